"""Whole campaigns in a simulated world, and what must hold of each."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest import mock

import torch

import al_loop.acquisitions.ucb
import al_loop.campaign.proposer
import al_loop.environments.sequence
import al_loop.features.one_hot
import al_loop.selectors.greedy
import al_loop.surrogates.gp  # noqa: F401  before the clock and the disk are replaced
from al_loop.campaign import Campaign, preparation, provenance, reproduction
from al_loop.campaign.building import build_oracle
from al_loop.campaign.reporter import Reporter
from al_loop.config import CampaignConfig
from al_loop.errors import AlLoopError
from al_loop.ledger import Ledger, leases
from al_loop.ledger.engines import sqlite_url
from al_loop.storage import rescued
from al_loop.system.stopping import Stopped
from benchmarks.support.simulation.database import SimulatedDatabase
from benchmarks.support.simulation.disk import Disk
from benchmarks.support.simulation.executor import ALPHABET, LENGTH, Account, SimulatedExecutor
from benchmarks.support.simulation.oracle import truth
from benchmarks.support.simulation.primitives import modules
from benchmarks.support.simulation.scheduler import Process, SimulationError, Task, World

BATCH, ROUNDS = 4, 3
N_SEEDS = 4  # of the campaigns, beside that of the simulation; each has one undisturbed reference
_MOST_STARTS = 12
_REPLACED = ("al_loop.campaign.", "al_loop.ledger.", "al_loop.storage.", "al_loop.system.stopping", "al_loop.sinks.")
_EVENTS = ("kill", "power cut", "suspension", "database locked", "disk full", "stop", "clock set", "intruder")


@dataclass(frozen=True)
class Setup:
    """What a simulated campaign is like; drawn by its seed.

    Args:
        seed: of the campaign's config.
        workers: number of oracle workers.
        call_size: objects of a call.
        attempts: calls before a passing failure is final.
        patience_s: how long full disks and such are waited for.
        closes_early: whether a round starts before the last is measured.
        has_cache: whether answers are shared through a cache.
        events: the kinds of fault that may happen.
        event_rate: chance of one at each step.
        n_events: most of them.
        oracle_rate: chance that a call of the oracle fails.
        cut_rate: chance that a statement loses its connection.
    """

    seed: int
    workers: int = 2
    call_size: int = 1
    attempts: int = 2
    patience_s: float = 3600.0
    closes_early: bool = False
    has_cache: bool = False
    events: tuple[str, ...] = ()
    event_rate: float = 0.0
    n_events: int = 0
    oracle_rate: float = 0.0
    cut_rate: float = 0.0

    @classmethod
    def drawn(cls, world: World) -> Setup:
        """Return the setup of a world's seed; each kind of fault is left out of half of them."""
        chance = world.chance
        return cls(
            seed=chance.randrange(N_SEEDS),
            workers=chance.randint(1, 4),
            call_size=chance.choice([1, 1, 2, 3]),
            attempts=chance.randint(1, 3),
            patience_s=chance.choice([3.0, 30.0, 3600.0]),
            closes_early=chance.random() < 0.3,
            has_cache=chance.random() < 0.2,
            events=tuple(name for name in _EVENTS if chance.random() < 0.5),
            event_rate=chance.choice([0.001, 0.004, 0.015]),
            n_events=chance.randint(1, 9),
            oracle_rate=chance.choice([0.0, 0.05, 0.3]),
            cut_rate=chance.choice([0.0, 0.0, 0.01, 0.05]),
        )

    def config(self, shared: Path) -> CampaignConfig:
        """Return the campaign's config.

        Args:
            shared: the folder that all machines see.
        """
        rounds: dict[str, Any] = {"initial": BATCH, "batch_size": BATCH, "count": ROUNDS}
        if self.closes_early:
            rounds |= {"close_share": 0.5, "keep_busy": True}
        evaluation = {
            "workers": self.workers,
            "attempts": self.attempts,
            "timeout_s": 60,
            "patience_s": self.patience_s,
            "stop_after_failures": None,
        }
        if self.has_cache:
            evaluation["cache"] = str(shared / "cache.db")
        return CampaignConfig.model_validate(
            {
                "name": "simulated",
                "seed": self.seed,
                "environment": {"kind": "sequence", "alphabet": ALPHABET, "length": LENGTH},
                "oracle": {
                    "target": "benchmarks.support.simulation.oracle:SimulatedOracle",
                    "n_at_once": self.call_size,
                },
                "sampler": {"pool": 24, "steps": 3},
                "selector": "greedy",
                "rounds": rounds,
                "evaluation": evaluation,
                "ledger": str(sqlite_url(shared / "ledger.db")),
                "checkpoints": str(shared / "checkpoints"),
            }
        )


@dataclass
class Verdict:
    """What became of a simulated campaign.

    Args:
        seed: of the simulation.
        problem: the broken promise; empty if all were kept.
        faults: the faults by kind.
        starts: starts of a driver.
        answers: answers in the ledger.
        lines: the trace, if it was asked for.
    """

    seed: int
    problem: str = ""
    faults: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    answers: int = 0
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class State:
    """What a ledger holds.

    Args:
        batches: round and object of each candidate, by number.
        answers: values and failure of each answer, by candidate.
        in_flight: objects that were sent to the oracle and have no answer.
    """

    batches: dict[int, tuple[int, str]] = field(default_factory=dict)
    answers: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    in_flight: frozenset[str] = frozenset()

    @classmethod
    def of(cls, path: Path) -> State:
        """Read the file of a ledger with SQLite alone."""
        if not path.exists():
            return cls()
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            batches = {i: (r, o) for i, r, o in connection.execute("SELECT id, round, object FROM candidates")}
            rows = connection.execute('SELECT candidate_id, "values", failure_kind FROM evaluations ORDER BY number')
            answers = {id_: (json.loads(values) if values else None, kind) for id_, values, kind in rows}
            sent = {id_ for (id_,) in connection.execute("SELECT DISTINCT candidate_id FROM attempts")}
        except sqlite3.OperationalError:  # killed before it had tables
            return cls()
        finally:
            connection.close()
        return cls(batches, answers, frozenset(batches[i][1] for i in sent if i not in answers))

    def rounds(self) -> dict[int, list[str]]:
        """Return the objects of each round."""
        found: dict[int, list[str]] = {}
        for _, (number, word) in sorted(self.batches.items()):
            found.setdefault(number, []).append(word)
        return found

    def answers_of(self, number: int) -> dict[str, tuple[Any, ...]]:
        """Return the answers of a round, by object."""
        return {w: self.answers[i] for i, (r, w) in self.batches.items() if r == number and i in self.answers}


#: the files of the oracle's code, which are the same for all campaigns and take a second to find
_files_of_oracle = lru_cache(provenance.module_files)


class _Notes(Reporter):
    def __init__(self, world: World) -> None:
        self._world = world

    def note(self, message: str) -> None:
        self._world.note(f"note: {message}")


class SimulatedCampaign:
    """One campaign in a simulated world.

    Args:
        seed: of everything that is drawn.
        root: an empty folder.
        has_trace: whether to keep a trace.
        setup: what it is like; None: drawn by the seed.
    """

    def __init__(self, seed: int, root: Path, *, has_trace: bool = False, setup: Setup | None = None) -> None:
        self.world = World(seed, str(root), has_trace=has_trace)
        self._reference = State()
        self.setup = setup or Setup.drawn(self.world)
        self.verdict = Verdict(seed, faults=self.world.faults, lines=self.world.lines)
        self._root, self._shared = root, root / "shared"
        self._disk = Disk(self.world, root)
        self._database = SimulatedDatabase(self.world, self._disk)
        self._account = Account()
        self._excused: Counter[str] = Counter()
        self._state = State()
        self._processes: dict[int, Process] = {}
        self._campaigns: dict[int, Campaign] = {}
        self._ends: dict[int, BaseException | None] = {}
        self._observer = Process("observer", "observer", 1, is_exposed=False)
        self._has_lost_power = False
        self._images: dict[Path, bytes] = {}
        self._intrusions = self._n_events = 0
        self._drivers: list[Process] = []
        self._last_host = ""  # on which the campaign ended; others may have been refused, and have no run directory

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self._shared / "ledger.db"

    def run(self) -> Verdict:
        """Run the campaign to its end, and return what became of it."""
        if self.setup.events or self.setup.oracle_rate or self.setup.cut_rate:
            self._reference = undisturbed(self.setup.seed)
        self._shared.mkdir()
        (self._root / "tmp").mkdir()
        with self._in_use():
            try:
                self.world.run(self._observer, self._observe)
            except SimulationError as error:
                self.verdict.problem = str(error)
            except Exception as error:
                self.verdict.problem = f"{type(error).__name__}: {error}"
        self.verdict.answers = len(self._state.answers)
        return self.verdict

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        """Replace what is not deterministic."""
        replacements = modules(self.world)
        with contextlib.ExitStack() as stack:
            for name, module in sorted(sys.modules.items()):
                if not name.startswith(_REPLACED) or module is None:
                    continue
                for attribute, replacement in replacements.items():
                    if attribute in vars(module):
                        stack.enter_context(mock.patch.object(module, attribute, replacement))
            defaults = {**(leases.take.__kwdefaults__ or {}), "state_of": self._state_of}
            stack.enter_context(mock.patch.object(leases.take, "__kwdefaults__", defaults))
            replay = "benchmarks.support.simulation.executor:ReplayExecutor"
            stack.enter_context(mock.patch.object(reproduction, "DEFAULT_EXECUTOR", replay))
            stack.enter_context(mock.patch.object(provenance, "module_files", _files_of_oracle))
            stack.enter_context(mock.patch.object(preparation, "describe_oracle", build_oracle))  # without a process
            temporary = mock.Mock(gettempdir=lambda: str(self._root / "tmp"))  # on a disk of its own
            stack.enter_context(mock.patch.object(rescued, "tempfile", temporary))
            stack.enter_context(self._disk.in_use())
            stack.enter_context(self._database.in_use())
            yield

    def _state_of(self, pid: int, since: object) -> bool | None:
        process = self._processes.get(pid)
        if process is None or process.is_dead or process.is_over:
            return False
        return None if process.suspended_until > self.world.now else True

    # -- the course of a simulation ------------------------------------------------------------------------------------

    def _observe(self) -> None:
        """Start drivers until the campaign is finished, and check the ledger after each."""
        world, setup = self.world, self.setup
        self._database.cut_rate = setup.cut_rate
        world.on_switch = self._on_switch
        host = "a"
        while True:
            if self.verdict.starts >= _MOST_STARTS:
                self._calm_down()
            self._drivers = [self._start(host)]
            while not self._are_over():
                world.wait_until(lambda: self._are_over() or self._needs_replacement())
                if self._needs_replacement():
                    self._start_another("b" if self._drivers[-1].host == "a" else "a")
            drivers = self._drivers
            self._restore_images()
            finished = [d for d in drivers if self._ends.get(d.pid, self) is None]
            self._check(drivers)
            if finished:
                self._last_host = finished[0].host
                break
            if self.verdict.starts > _MOST_STARTS + 2:
                raise SimulationError(f"the campaign does not end: {self._ends[drivers[-1].pid]}")
            world.sleep(world.chance.uniform(0.1, 70) if self._n_events < setup.n_events else 250)
            hosts = sorted(path.parent.name for path in self._root.glob("*/rescued.jsonl"))
            host = hosts[0] if hosts else host
        self._calm_down()
        self._check_end()

    def _are_over(self) -> bool:
        return all(driver.is_over for driver in self._drivers)

    def _needs_replacement(self) -> bool:
        """Return whether somebody starts the campaign elsewhere because no driver moves any more."""
        alive = [d for d in self._drivers if not d.is_over]
        return len(self._drivers) < 4 and bool(alive) and all(d.suspended_until > self.world.now + 70 for d in alive)

    def _calm_down(self) -> None:
        self.world.on_switch = lambda task, what: None
        self._database.cut_rate = self._database.locked_until = self._disk.full_until = 0.0
        self._account.service_down_until = 0.0

    def _start(self, host: str) -> Process:
        self.verdict.starts += 1
        is_calm = self.verdict.starts > _MOST_STARTS
        process = Process(f"{host}{self.verdict.starts}", host, 1000 + self.verdict.starts, is_exposed=not is_calm)
        self._processes[process.pid] = process
        self.world.spawn(process, "driver", lambda: self._drive(process))
        return process

    def _start_another(self, host: str) -> None:
        """Start a further driver, beside those that have not ended."""
        self._drivers.append(self._start(host))

    def _drive(self, process: Process) -> None:
        world, config = self.world, self.setup.config(self._shared)
        rate = self.setup.oracle_rate if process.is_exposed else 0.0
        executor = SimulatedExecutor(config, world, self._account, rate)
        error: BaseException | None = None
        try:
            with Campaign(config, self._root / process.host, executor, _Notes(world)) as campaign:
                self._campaigns[process.pid] = campaign
                campaign.run()
                if not campaign.is_finished:
                    raise SimulationError("the campaign ended before its last round")
        except (AlLoopError, Stopped) as end:
            error = end
            world.note(f"ended: {type(end).__name__}: {end}")
        self._ends[process.pid] = error

    def _restore_images(self) -> None:
        """Leave the database as a kill left it, where no other process used it; a power cut undoes more."""
        if not self._images:
            return
        for path in (self.ledger, self._log):
            path.unlink(missing_ok=True)
            if path in self._images:
                path.write_bytes(self._images[path])
        self.ledger.with_name("ledger.db-shm").unlink(missing_ok=True)
        self._images.clear()
        if self._has_lost_power:
            self._disk.power_cut()
            self._has_lost_power = False

    @property
    def _log(self) -> Path:
        return self.ledger.with_name("ledger.db-wal")

    # -- faults --------------------------------------------------------------------------------------------------------

    def _on_switch(self, task: Task, what: str) -> None:
        """Let a fault happen now and then, before a task does something."""
        world, chance, setup = self.world, self.world.chance, self.setup
        is_possible = bool(what) and task.process.is_exposed and self._n_events < setup.n_events and bool(setup.events)
        if not is_possible or chance.random() >= setup.event_rate:
            return
        self._n_events += 1
        name = chance.choice(setup.events)
        if name == "kill":
            world.fault("kill")
            self._kill([task.process])
        elif name == "power cut":
            world.fault(name)
            self._has_lost_power = True
            self._kill([p for p in self._processes.values() if not p.is_over])
        elif name == "suspension":
            world.fault(name)
            task.process.suspended_until = world.now + chance.uniform(1, 200)
        elif name == "database locked":
            world.fault(name)
            self._database.locked_until = world.now + chance.uniform(0.05, 20)
        elif name == "disk full":
            world.fault(name)
            self._disk.full_until = world.now + chance.uniform(0.1, 60)
        elif name == "clock set":
            world.fault(name)
            world.wall_offset += chance.uniform(-100, 100)
        elif name == "stop" and (campaign := self._campaigns.get(task.process.pid)) is not None:
            world.fault(name)
            campaign.stop(finish_calls=chance.random() < 0.5)
        elif name == "intruder" and self._intrusions < 2 and not task.process.suspended_until > world.now:
            self._intrude()

    def _kill(self, processes: list[Process]) -> None:
        for process in processes:
            process.is_dead = True
        self._excused.update(State.of(self.ledger).in_flight)
        if all(p.is_dead or p.is_over for p in self._processes.values()):
            self._images = {p: p.read_bytes() for p in (self.ledger, self._log) if p.exists()}
            self._images = self._images or {self._shared: b""}

    def _intrude(self) -> None:
        """Start a second driver on another machine, which must be refused while the first one is at work."""
        self._intrusions += 1
        self.world.fault("intruder")
        if self.world.faults["clock set"]:  # the lease may seem to have ended, so that the second one takes over
            self._excused.update(State.of(self.ledger).in_flight)
        self._start_another(f"c{self._intrusions}")

    # -- what must hold ------------------------------------------------------------------------------------------------

    def _check(self, drivers: list[Process]) -> None:
        """Compare the ledger with what was in it, and with what arrived from the oracle."""
        now = State.of(self.ledger)
        for driver in drivers:
            unexpected = [t.error for t in driver.tasks if t.error is not None]
            if unexpected:
                raise SimulationError(f"{type(unexpected[0]).__name__}: {unexpected[0]}") from unexpected[0]
        for id_, answer in self._state.answers.items():
            if now.answers.get(id_) != answer:
                raise SimulationError(
                    f"lost or changed: {self._state.batches[id_]}: {answer} -> {now.answers.get(id_)}"
                )
        for id_, entry in self._state.batches.items():
            if now.batches.get(id_) != entry:
                raise SimulationError(f"lost or changed: candidate {id_} {entry} -> {now.batches.get(id_)}")
        self._state = now
        self._check_delivered(drivers, now)
        self._check_values(now)
        if self.ledger.exists() and now.batches:
            with Ledger(sqlite_url(self.ledger), read_only=True) as ledger:
                if found := ledger.findings():
                    raise SimulationError(f"al-loop verify: {found[0]}")
        if not any(driver.is_dead for driver in drivers):  # a stop that lets calls be cut off
            self._excused.update(now.in_flight)

    def _check_delivered(self, drivers: list[Process], now: State) -> None:
        """Require that what arrived in a process that was not killed is in the ledger, or in a file beside it."""
        answered = {now.batches[i][1] for i in now.answers}
        beside = {now.batches[i][1] for i in self._rescued() if i in now.batches}
        for driver in drivers:
            for word, outcome in self._account.delivered.pop(driver.pid, []):
                if driver.is_dead or outcome.failure is not None:
                    continue
                if word not in answered and word not in beside:
                    raise SimulationError(f"lost: the answer for {word} arrived in {driver.name}, which was not killed")

    def _rescued(self) -> set[int]:
        found = set()
        for file in (*self._root.glob("*/rescued*.jsonl"), *self._root.glob("tmp/*/*.jsonl")):
            for line in file.read_text(errors="replace").splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    found.add(json.loads(line)["candidate_id"])
        return found

    def _check_values(self, now: State) -> None:
        for id_, (values, kind) in now.answers.items():
            word = now.batches[id_][1]
            expected = truth(word)
            if values is not None and (expected.values is None or tuple(values) != expected.values):
                raise SimulationError(f"wrong: {word} is {expected.values or expected.failure}, not {values}")
            if kind == "invalid" and (expected.failure is None or expected.failure.kind != "invalid"):
                raise SimulationError(f"wrong: {word} is {expected.values}, not {kind}")
        words = [word for _, word in now.batches.values()]
        if len(set(words)) < len(words):
            raise SimulationError("an object was proposed twice")
        sizes = {number: len(batch) for number, batch in now.rounds().items()}
        if any(size != BATCH for size in sizes.values()) or sorted(sizes) != list(range(len(sizes))):
            raise SimulationError(f"the rounds are not as planned: {sizes}")

    def _check_end(self) -> None:
        """Require the whole campaign, paid for once, with the batches of an undisturbed one."""
        state = self._state
        if len(state.batches) != BATCH * (ROUNDS + 1) or len(state.answers) != len(state.batches):
            raise SimulationError(f"{len(state.answers)} answers for {len(state.batches)} candidates at the end")
        for word, n in self._account.paid.items():
            if truth(word).values is not None and n > 1 + self._excused[word]:
                raise SimulationError(f"{word} was paid for {n} times, and was in flight {self._excused[word]} times")
        if not self.setup.closes_early:
            self._compare(self._reference)
        # beside the comparison with the reference, a replay says something new where answers arrive during decisions
        if not (self.setup.closes_early or self.world.faults["clock set"] or self.verdict.seed % 4 == 0):
            return
        with Ledger(sqlite_url(self.ledger), read_only=True) as ledger:
            for batch in reproduction.reproduced(ledger, self._root / self._last_host):
                if not batch.is_same:
                    raise SimulationError(f"al-loop verify --replay: {batch}")

    def _compare(self, reference: State) -> None:
        """Require the batches of the reference as long as the answers are the same."""
        for number, batch in reference.rounds().items():
            if self._state.rounds().get(number) != batch:
                raise SimulationError(f"round {number}: {self._state.rounds().get(number)} instead of {batch}")
            if self._state.answers_of(number) != reference.answers_of(number):
                return


@lru_cache
def undisturbed(seed: int) -> State:
    """Return the ledger of a campaign without faults."""
    with tempfile.TemporaryDirectory() as folder:
        campaign = SimulatedCampaign(seed, Path(folder), setup=Setup(seed))
        verdict = campaign.run()
        assert not verdict.problem, verdict.problem
        return campaign._state


def simulate(seed: int, *, has_trace: bool = False) -> Verdict:
    """Simulate a campaign. Torch uses one thread from then on, as campaigns do.

    Args:
        seed: of everything that is drawn; the same one gives the same campaign.
        has_trace: whether to keep a trace.
    """
    torch.set_num_threads(1)
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="al-loop-simulated-", dir=memory if memory.is_dir() else None) as folder:
        return SimulatedCampaign(seed, Path(folder), has_trace=has_trace).run()
