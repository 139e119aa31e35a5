"""Campaigns into which faults are thrown at random: is any committed answer ever lost, is anything paid for twice?

    python benchmarks/campaign/faults.py                       # at least 300 faults; about 15 minutes on two cores
    python benchmarks/campaign/faults.py --faults 60 --only postgresql

Four kinds of campaign, each until its share of the faults is reached. In all of them the oracle itself kills its
process, segfaults, hangs, raises, exits, and answers with NaN, too many numbers and garbage, and the driver and the
oracle's workers are killed (-9). Besides:

    sqlite       nothing more
    disk         the run lies on a small file system, which is filled up and emptied
    postgresql   connections are cut, and the server is stopped as by a power cut and started again
    ray          on a cluster of several nodes, of which one is lost and another one comes

The oracle writes its own account of what it was asked and what it answered, fsynced, so that what the ledger holds is
compared with what happened. Every answer that was ever seen in the ledger must be there until the end, unchanged; every
value must be the right one; an object may be answered twice by the oracle only where it was in flight at a kill.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.errors import AlLoopError
from al_loop.ledger import EvaluationRow, Ledger
from benchmarks.support.driver import ROOT, Driver

RESULTS = Path(__file__).parents[1] / "results"
CONFIG = """
name: faults
seed: SEED
environment: {kind: sequence, alphabet: ACGU, length: 8}
oracle: {target: "faulty:measure", account: ACCOUNT, seed: SEED, rate: RATE}
sampler: {steps: 10, batch_size: 16, hidden: 16, pool: 64}
rounds: {initial: 12, batch_size: 12, count: 4}
evaluation: {workers: 3, timeout_s: 2.0, attempts: 4, backoff_s: 0.05, patience_s: 120}
resources: {sampler: {num_cpus: 0.1}, oracle: {num_cpus: 0.5}}
"""
ORACLE = """
import ctypes, os, random, sys, time

def worth(word):
    return word.count("G") + 0.5 * word.count("GA")

def write(account, *words):
    line = " ".join(map(str, words)) + "\\n"
    file = os.open(account, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, line.encode())
    os.fsync(file)
    os.close(file)

def measure(word, account, seed, rate):
    write(account, "asked", word)
    with open(account) as file:
        n = sum(line == f"asked {word}\\n" for line in file)
    chance = random.Random(f"{seed} {word} {n}")
    time.sleep(chance.uniform(0.02, 0.15))
    if chance.random() < rate:
        fault = chance.choice(["kill", "segfault", "hang", "raise", "exit", "nan", "length", "garbage"])
        write(account, "fault", fault, word)
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
        return {"nan": float("nan"), "length": (1.0, 2.0), "garbage": "certainly"}[fault]
    write(account, "paid", word)
    return worth(word)
"""


@dataclass
class Tally:
    """What one kind of campaign went through."""

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
        return not (self.missing or self.changed or self.wrong or self.unanswered or self.unexplained)


class Scene:
    """Where campaigns run: one start of each at a time, and the faults that belong to the place."""

    address = "local"

    def prepare(self, folder: Path) -> tuple[Path, str]:
        """The run directory and the ledger's URL of a new campaign."""
        return folder / "run", f"sqlite:///{folder}/run/ledger.db"

    def faults(self) -> dict[str, Callable[[], None]]:
        return {}

    def close(self) -> None:
        pass


def may_mount() -> bool:
    """Whether a small file system can be mounted here: root may, but not in every container."""
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
        if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
            return False
        subprocess.run(["umount", folder], check=True)
        return True


class SmallDisk(Scene):
    """A file system of a few megabytes."""

    def prepare(self, folder: Path) -> tuple[Path, str]:
        self.close()
        self._disk = folder / "disk"
        self._disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(self._disk)], check=True)
        return self._disk / "run", f"sqlite:///{self._disk}/run/ledger.db"

    def faults(self) -> dict[str, Callable[[], None]]:
        return {"disk full": self._fill}

    def _fill(self) -> None:
        ballast = self._disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        time.sleep(random.uniform(0.5, 3.0))
        ballast.unlink()

    def close(self) -> None:
        if hasattr(self, "_disk"):
            subprocess.run(["umount", "-l", str(self._disk)], check=False)


class Postgresql(Scene):
    """A PostgreSQL server of one's own."""

    def __init__(self) -> None:
        from benchmarks.support.postgresql import PostgresqlServer

        self._server = PostgresqlServer()

    def prepare(self, folder: Path) -> tuple[Path, str]:
        self._url = self._server.new_database()
        return folder / "run", self._url

    def faults(self) -> dict[str, Callable[[], None]]:
        return {"connections cut": lambda: self._cut(), "server stopped": self._restart}

    def _cut(self) -> None:
        self._server.cut_connections(self._url)

    def _restart(self) -> None:
        self._server.stop_at_once()
        time.sleep(random.uniform(0.0, 2.0))
        self._server.start()

    def close(self) -> None:
        self._server.__exit__()


class RayCluster(Scene):
    """Several Ray nodes on this machine; the oracle's workers run on those that may be lost."""

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="al-loop-ray-", ignore_cleanup_errors=True)
        os.environ |= {"RAY_AUTH_MODE": "disabled", "HOME": self._home.name, "PYTHONPATH": str(ROOT)}
        from ray.cluster_utils import Cluster

        soon = {
            "health_check_initial_delay_ms": 0,
            "health_check_period_ms": 500,
            "health_check_timeout_ms": 500,
            "health_check_failure_threshold": 2,
        }
        arguments = {"num_cpus": 1, "include_dashboard": False, "_system_config": soon}
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


class FaultCampaign:
    """One campaign, started again and again until it has reached its end, with faults thrown into it."""

    def __init__(self, folder: Path, scene: Scene, driver: Driver, tally: Tally, seed: int, rate: float) -> None:
        folder.mkdir()
        self._scene, self._driver, self._tally = scene, driver, tally
        self._chance = random.Random(seed)
        self._account = folder / "account"
        self._run_dir, self._url = scene.prepare(folder)
        (folder / "faulty.py").write_text(ORACLE)
        self._config = folder / "faults.yaml"
        text = CONFIG.replace("SEED", str(seed)).replace("ACCOUNT", str(self._account)).replace("RATE", str(rate))
        self._config.write_text(text + (f"ledger: '{self._url}'\n" if "postgresql" in self._url else ""))
        self._seen: dict[int, EvaluationRow] = {}
        self._excused: Counter[str] = Counter()

    def run(self, wanted: Callable[[], bool]) -> None:
        """Until the campaign is over; faults from outside are thrown as long as they are wanted."""
        self._tally.campaigns += 1
        while True:
            pid = self._driver.start(self._config, self._run_dir, self._scene.address)
            self._tally.starts += 1
            with ThreadPoolExecutor(1) as waiter:  # Ray starts its nodes in the main thread alone
                over = waiter.submit(self._driver.wait)
                self._throw_faults(pid, over, wanted)
                status = over.result()
            time.sleep(0.3)  # the workers of a killed driver end by themselves, within their call
            self._excused.update(self._look(has_ended=True))
            if status == 0:
                break
            if status == 1:
                self._tally.faults["(stopped with a reason)"] += 1
            elif status != -signal.SIGKILL:
                raise SystemExit(f"the driver ended with {status}; see {self._config.parent.parent}/driver.log")
        self._judge()

    def _throw_faults(self, pid: int, over: Future[int], wanted: Callable[[], bool]) -> None:
        own = self._scene.faults()
        is_local = self._scene.address == "local"
        faults = {
            "driver killed": lambda: os.kill(pid, signal.SIGKILL),
            "worker killed": (lambda: self._kill_worker(pid)) if is_local else self._kill_actor,
            **own,
        }
        while not wait([over], self._chance.uniform(0.3, 2.0)).done:
            if not wanted():
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
        """Compares the ledger with what was seen in it before; returns the objects that are in flight."""
        try:
            with Ledger(self._url, read_only=True, patience_s=60) as ledger:
                in_flight = {c.object for c in ledger.in_flight()}
                now = {e.candidate_id: e for e in ledger.evaluations()}
        except AlLoopError:
            if has_ended and self._seen:
                raise
            return set()  # it is not there yet, or cannot be reached at present
        for key, before in self._seen.items():
            self._tally.missing += key not in now
            self._tally.changed += key in now and now[key] != before
        self._seen = now
        return in_flight

    def _judge(self) -> None:
        """What stands in the ledger at the end, beside the oracle's own account."""
        lines = [line.split() for line in self._account.read_text().splitlines()]
        self._tally.faults.update(f"oracle: {words[1]}" for words in lines if words[0] == "fault")
        paid = Counter(words[1] for words in lines if words[0] == "paid")
        with Ledger(self._url, read_only=True) as ledger:
            names = {c.id: c.object for c in ledger.candidates()}
            answers = ledger.evaluations()
            self._tally.unanswered += len(ledger.pending()) + (len(names) != 5 * 12)
        self._tally.answers += len(answers)
        for answer in answers:
            if answer.values is not None:
                word = names[answer.candidate_id]
                self._tally.values += 1
                self._tally.wrong += answer.values != (word.count("G") + 0.5 * word.count("GA"),)
        for word, n in paid.items():
            self._tally.paid_twice += n > 1
            self._tally.unexplained += n - 1 > self._excused[word]


def throw(name: str, n_faults: int, seed: int = 0, rate: float = 0.2, folder: Path | None = None) -> Tally:
    """Campaigns of one kind until as many faults were thrown."""
    tally = Tally(name)
    with contextlib.ExitStack() as stack:
        folder = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="al-loop-faults-")))
        scene = SCENES[name]()
        stack.callback(scene.close)
        driver = Driver(folder)
        stack.callback(driver.close)
        while sum(tally.faults.values()) < n_faults:
            number = tally.campaigns
            campaign = FaultCampaign(folder / f"campaign{number}", scene, driver, tally, seed + number, rate)
            from_inside = 60 * rate  # of this campaign, roughly; they are counted at its end
            campaign.run(lambda f=from_inside: sum(tally.faults.values()) + f < n_faults)
            print(
                f"  {name}: campaign {number}: {sum(tally.faults.values())} faults, {tally.starts} starts", flush=True
            )
    return tally


def rows(tallies: list[Tally]) -> Iterator[dict[str, object]]:
    for t in tallies:
        yield {
            "campaigns": t.name,
            "n": t.campaigns,
            "starts": t.starts,
            "faults": sum(n for kind, n in t.faults.items() if not kind.startswith("(")),
            "answers": t.answers,
            "with a value": t.values,
            "missing": t.missing,
            "changed": t.changed,
            "wrong": t.wrong,
            "never answered": t.unanswered,
            "paid twice": t.paid_twice,
            "of these not in flight at a kill": t.unexplained,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=320, help="in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=SCENES, action="append")
    arguments = parser.parse_args()
    names = arguments.only or list(SCENES)
    tallies = []
    for name in names:
        tallies.append(throw(name, -(-arguments.faults // len(names)), arguments.seed))
    table = list(rows(tallies))
    for row in table:
        print("\n".join(f"{key:>34}  {value}" for key, value in row.items()), end="\n\n")
    kinds = sum((t.faults for t in tallies), Counter())
    print("faults by kind:")
    for kind, n in sorted(kinds.items(), key=lambda item: -item[1]):
        print(f"{n:>6}  {kind}")
    if not arguments.only:
        with (RESULTS / "faults.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(table[0]))
            writer.writeheader()
            writer.writerows(table)
        with (RESULTS / "faults_by_kind.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("kind", "n"), *sorted(kinds.items())])
    if not all(t.is_clean for t in tallies):
        raise SystemExit("NOT CLEAN")


if __name__ == "__main__":
    main()
