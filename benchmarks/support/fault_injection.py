"""Campaigns with injected faults: their settings, the faults, and the comparison with the oracle's own log."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from al_loop.errors import AlLoopError
from al_loop.ledger import EvaluationRow, Ledger
from benchmarks.support.driver import ROOT, Driver
from benchmarks.support.postgresql import PostgresqlServer

CONFIG = """
name: faults
seed: SEED
environment: {kind: sequence, alphabet: ACGU, length: 8}
oracle: {target: "faulty:measure", seed: SEED, rate: RATE}
sampler: {steps: 10, batch_size: 16, hidden: 16, pool: POOL}
rounds: {initial: BATCH, batch_size: BATCH, count: ROUNDS}
evaluation: {workers: 3, timeout_s: 2.0, attempts: 4, backoff_s: 0.05, patience_s: 120}
resources: {sampler: {num_cpus: 0.1}, oracle: {num_cpus: 0.5}}
"""
ORACLE = """
import ctypes, errno, os, random, sys, time

account = "ACCOUNT"  # no argument: a file that an argument names must not change between starts

def value_of(word):
    return word.count("G") + 0.5 * word.count("GA")

def write(*words):
    line = " ".join(map(str, words)) + "\\n"
    file = os.open(account, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, line.encode())
    os.fsync(file)
    os.close(file)

def measure(word, seed, rate):
    write("asked", word)
    with open(account) as file:
        n = sum(line == f"asked {word}\\n" for line in file)
    chance = random.Random(f"{seed} {word} {n}")
    time.sleep(chance.uniform(0.02, 0.15))
    if chance.random() < rate:
        fault = chance.choice(
            ["kill", "segfault", "hang", "raise", "exit", "nan", "length", "garbage", "refuse", "module", "full"]
        )
        write("fault", fault, word)
        if fault == "kill":
            os.kill(os.getpid(), 9)
        if fault == "segfault":
            ctypes.string_at(0)
        if fault == "hang":
            time.sleep(600)
        if fault == "raise":
            raise ValueError("the furnace is cold")
        if fault == "exit":
            sys.exit(3)
        if fault == "refuse":
            raise ConnectionRefusedError(errno.ECONNREFUSED, "connection refused")
        if fault == "module":
            raise ModuleNotFoundError("No module named 'furnace'")
        if fault == "full":
            raise OSError(errno.ENOSPC, "no space left on device")
        return {"nan": float("nan"), "length": (1.0, 2.0), "garbage": "certainly"}[fault]
    write("paid", word)
    return value_of(word)
"""


@dataclass(frozen=True)
class Shape:
    """The size of each campaign, and how often faults are injected.

    Args:
        batch: objects in each round.
        rounds: rounds after the first.
        rate: share of the oracle's calls that end in a fault.
        pause: shortest and longest time between two faults from outside, in seconds.
    """

    batch: int = 12
    rounds: int = 4
    rate: float = 0.2
    pause: tuple[float, float] = (0.3, 2.0)

    @property
    def n_objects(self) -> int:
        """The number of objects that a campaign measures."""
        return self.batch * (1 + self.rounds)


@dataclass
class Tally:
    """Counts of starts, faults, answers and violations for one kind of campaign."""

    name: str
    campaigns: int = 0
    starts: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    values: int = 0
    missing: int = 0
    changed: int = 0
    wrong: int = 0
    unanswered: int = 0
    paid_twice: int = 0
    unexplained: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not (self.missing or self.changed or self.wrong or self.unanswered or self.unexplained)

    def add(self, other: Tally) -> None:
        """Add the counts of other campaigns."""
        self.faults += other.faults
        for name in COUNTS:
            vars(self)[name] += vars(other)[name]


#: the fields of a tally that are plain numbers
COUNTS = [entry.name for entry in fields(Tally) if entry.type == "int"]
DEFAULT_SHAPE = Shape()
_MOST_STOPS = 20  # one after another that leave no answer


class Scene:
    """The setting in which campaigns run, one at a time, with the faults that are specific to it."""

    address = "local"

    def prepare(self, folder: Path) -> tuple[Path, str]:
        """Return the run directory and the ledger's URL for a new campaign."""
        return folder / "run", f"sqlite:///{folder}/run/ledger.db"

    def faults(self) -> dict[str, Callable[[], None]]:
        """Return the faults specific to this setting: name -> function that injects it."""
        return {}

    def close(self) -> None:
        pass


def may_mount() -> bool:
    """Return whether a small file system can be mounted: it takes root, and fails in some containers."""
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
        if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
            return False
        subprocess.run(["umount", folder], check=True)
        return True


class SmallDisk(Scene):
    """A file system of a few megabytes.

    Args:
        megabytes: its size.
    """

    def __init__(self, megabytes: int = 8) -> None:
        self._disk: Path | None = None
        self._size = f"size={megabytes}m"

    def prepare(self, folder: Path) -> tuple[Path, str]:
        self.close()
        disk = folder / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", self._size, "tmpfs", str(disk)], check=True)
        self._disk = disk
        return disk / "run", f"sqlite:///{disk}/run/ledger.db"

    def faults(self) -> dict[str, Callable[[], None]]:
        return {"disk full": self._fill}

    def _fill(self) -> None:
        assert self._disk is not None
        ballast = self._disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        time.sleep(random.uniform(0.5, 3.0))
        ballast.unlink()

    def close(self) -> None:
        if self._disk is not None:
            subprocess.run(["umount", "-l", str(self._disk)], check=False)


class Postgresql(Scene):
    """A dedicated PostgreSQL server.

    Args:
        server: a running one; None: a new one.
    """

    def __init__(self, server: PostgresqlServer | None = None) -> None:
        self._server, self._url = server or PostgresqlServer(), ""

    def prepare(self, folder: Path) -> tuple[Path, str]:
        self._url = self._server.new_database()
        return folder / "run", self._url

    def faults(self) -> dict[str, Callable[[], None]]:
        return {"connections cut": self._cut, "server stopped": self._restart}

    def session_faults(self) -> dict[str, Callable[[], None]]:
        """Return the faults that leave the server running."""
        return {"connections cut": self._cut, "tables locked": self._lock}

    def _cut(self) -> None:
        self._server.cut_connections(self._url)

    def _restart(self) -> None:
        self._server.stop_at_once()
        time.sleep(random.uniform(0.0, 2.0))
        self._server.start()

    def _lock(self) -> None:
        """Hold a lock of the ledger's tables for a while, as a careless backup would."""
        engine = sa.create_engine(sa.make_url(self._url).set(drivername="postgresql+psycopg"))
        with contextlib.suppress(sa.exc.DBAPIError), engine.begin() as connection:
            connection.exec_driver_sql("LOCK TABLE evaluations, attempts IN ACCESS EXCLUSIVE MODE")
            time.sleep(random.uniform(0.5, 8.0))
        engine.dispose()

    def close(self) -> None:
        self._server.__exit__()


#: to notice a killed node soon: the connection to it is refused at once; a long time-out spares nodes that
#: answer late on a busy machine
FAST_DETECTION = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 60_000,
    "health_check_failure_threshold": 4,
}


class RayCluster(Scene):
    """Several Ray nodes on this machine; the oracle's workers run on the nodes that may be lost."""

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="al-loop-ray-", ignore_cleanup_errors=True)
        os.environ |= {"RAY_AUTH_MODE": "disabled", "HOME": self._home.name, "PYTHONPATH": str(ROOT)}
        from ray.cluster_utils import Cluster

        arguments = {"num_cpus": 1, "include_dashboard": False, "_system_config": FAST_DETECTION}
        self._cluster: Any = Cluster(initialize_head=True, head_node_args=arguments)
        self._nodes = [self._cluster.add_node(num_cpus=1) for _ in range(2)]
        self.address = self._cluster.address

    def faults(self) -> dict[str, Callable[[], None]]:
        return {"node lost": self._lose}

    def _lose(self) -> None:
        node = self._nodes.pop(random.randrange(len(self._nodes)))
        self._cluster.remove_node(node, allow_graceful=False)
        time.sleep(random.uniform(0.0, 1.0))
        self._nodes.append(self._cluster.add_node(num_cpus=1))

    def close(self) -> None:
        self._cluster.shutdown()
        self._home.cleanup()


SCENES: dict[str, Callable[[], Scene]] = {
    "sqlite": Scene,
    "disk": SmallDisk,
    "postgresql": Postgresql,
    "ray": RayCluster,
}


def open_ledger(url: str, patience_s: float = 60) -> Ledger:
    """Open a ledger for reading, whose server may be starting.

    Args:
        url: the ledger.
        patience_s: how long to wait for the server, in seconds.

    Raises:
        AlLoopError: it cannot be opened.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return Ledger(url, read_only=True, patience_s=60)
        except AlLoopError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.5)


class FaultCampaign:
    """One campaign with injected faults, restarted until it has finished.

    Args:
        folder: a new folder for the campaign.
        scene: where it runs.
        driver: the process that starts it.
        tally: the counts to add to.
        seed: of the campaign, and of the faults.
        shape: its size, and how often faults are injected.
    """

    def __init__(
        self, folder: Path, scene: Scene, driver: Driver, tally: Tally, seed: int, shape: Shape = DEFAULT_SHAPE
    ) -> None:
        folder.mkdir()
        self._scene, self._driver, self._tally, self._shape = scene, driver, tally, shape
        self._chance = random.Random(seed)
        self._log = folder / "account"
        self._run_dir, self._url = scene.prepare(folder)
        (folder / "faulty.py").write_text(ORACLE.replace("ACCOUNT", str(self._log)))
        self._config = folder / "faults.yaml"
        text = CONFIG.replace("SEED", str(seed)).replace("RATE", str(shape.rate))
        text = text.replace("BATCH", str(shape.batch)).replace("ROUNDS", str(shape.rounds))
        text = text.replace("POOL", str(max(64, 2 * shape.batch)))
        self._config.write_text(text + (f"ledger: '{self._url}'\n" if "postgresql" in self._url else ""))
        self._seen: dict[int, EvaluationRow] = {}
        self._excused: Counter[str] = Counter()

    def run(self, is_fault_due: Callable[[], bool]) -> None:
        """Run the campaign to its end, and inject faults from outside while ``is_fault_due()``."""
        self._tally.campaigns += 1
        n_in_vain = 0
        while True:
            n_seen = len(self._seen)
            pid = self._driver.start(self._config, self._run_dir, self._scene.address)
            self._tally.starts += 1
            with ThreadPoolExecutor(1) as waiter:  # Ray can start nodes only in the main thread
                over = waiter.submit(self._driver.wait)
                self._inject_faults(pid, over, is_fault_due)
                status = over.result()
            time.sleep(0.3)  # workers of a killed driver exit by themselves, even during a call
            self._excused.update(self._look(has_ended=True))
            if status == 0:
                break
            if status == 1:
                self._tally.faults["(stopped with a reason)"] += 1
                n_in_vain = 0 if len(self._seen) > n_seen else n_in_vain + 1
                if n_in_vain > _MOST_STOPS:
                    raise SystemExit(f"{_MOST_STOPS} starts in vain; see {self._config.parent.parent}/driver.log")
            elif status != -signal.SIGKILL:
                raise SystemExit(f"the driver ended with {status}; see {self._config.parent.parent}/driver.log")
        self._check()

    def _inject_faults(self, pid: int, over: Future[int], is_fault_due: Callable[[], bool]) -> None:
        own = self._scene.faults()
        is_local = self._scene.address == "local"
        faults = {
            "driver killed": lambda: os.kill(pid, signal.SIGKILL),
            "worker killed": (lambda: self._kill_worker(pid)) if is_local else self._kill_actor,
            **own,
        }
        while not wait([over], self._chance.uniform(*self._shape.pause)).done:
            if not is_fault_due():
                continue
            name = self._chance.choice([*faults, *own, *own])
            before = self._look()
            with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess, IndexError):
                faults[name]()
                self._tally.faults[name] += 1
            self._excused.update(before | self._look())

    def _kill_worker(self, pid: int) -> None:
        children = [c for c in psutil.Process(pid).children() if "spawn_main" in " ".join(c.cmdline())]
        os.kill(self._chance.choice(children).pid, signal.SIGKILL)

    def _kill_actor(self) -> None:
        actors = [
            p for p in psutil.process_iter(["cmdline"]) if "ray::OracleActor" in " ".join(p.info["cmdline"] or ())
        ]
        os.kill(self._chance.choice(actors).pid, signal.SIGKILL)

    def _look(self, *, has_ended: bool = False) -> set[str]:
        """Compare the ledger with its previous state, and return the objects in flight."""
        try:
            with open_ledger(self._url, patience_s=60 if has_ended and self._seen else 0) as ledger:
                in_flight = {c.object for c in ledger.in_flight()}
                now = {e.candidate_id: e for e in ledger.evaluations()}
        except AlLoopError:
            if has_ended and self._seen:
                raise
            return set()  # it does not exist yet, or cannot be reached at present
        for key, before in self._seen.items():
            self._tally.missing += key not in now
            self._tally.changed += key in now and now[key] != before
        self._seen = now
        return in_flight

    def _check(self) -> None:
        """Compare the final ledger with the oracle's own log."""
        lines = [line.split() for line in self._log.read_text().splitlines()]
        self._tally.faults.update(f"oracle: {words[1]}" for words in lines if words[0] == "fault")
        paid = Counter(words[1] for words in lines if words[0] == "paid")
        with open_ledger(self._url) as ledger:
            names = {c.id: c.object for c in ledger.candidates()}
            answers = ledger.evaluations()
            self._tally.unanswered += len(ledger.pending()) + (len(names) != self._shape.n_objects)
        self._tally.answers += len(answers)
        for answer in answers:
            if answer.values is not None:
                word = names[answer.candidate_id]
                self._tally.values += 1
                self._tally.wrong += answer.values != (word.count("G") + 0.5 * word.count("GA"),)
        for word, n in paid.items():
            self._tally.paid_twice += n > 1
            self._tally.unexplained += n - 1 > self._excused[word]
