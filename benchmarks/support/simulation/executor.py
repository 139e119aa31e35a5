"""The executor of simulated campaigns: oracle workers that die, hang and fail, and a sampler made of hashes."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from al_loop.campaign.executor import (
    CallTimeout,
    Executor,
    MemoryExceeded,
    OracleWorker,
    SamplerTraining,
    TrainingStep,
    WorkerLost,
)
from al_loop.config import CampaignConfig
from al_loop.gflownet.reward import LogReward
from al_loop.ledger import Candidate, Observation
from al_loop.modelling.fitted import FittedModels
from al_loop.modelling.fitter import ModelFitter
from al_loop.oracles.base import Call, Outcome
from benchmarks.support.simulation.oracle import truth
from benchmarks.support.simulation.scheduler import World

ALPHABET, LENGTH = "ACGU", 5
_N_STEPS = 3
_FAULTS = ("worker killed", "call hangs", "too much memory", "passing failure", "garbage", "service down")


@dataclass
class Account:
    """What the oracle was asked and answered, which no crash can undo.

    Attributes:
        paid: how often each word was answered with what counts.
        delivered: the answers that arrived in each process, by its number.
        service_down_until: until when the service that the oracle needs refuses.
    """

    paid: Counter[str] = field(default_factory=Counter)
    delivered: dict[int, list[tuple[str, Outcome]]] = field(default_factory=dict)
    service_down_until: float = 0.0


class SimulatedWorker(OracleWorker):
    """A worker whose calls take simulated time.

    Args:
        world: the simulated world.
        account: where answers are counted.
        number: its number.
        rate: chance that a call fails.
    """

    def __init__(self, world: World, account: Account, number: int, rate: float) -> None:
        self.name = f"oracle-{number}"
        self._world, self._account, self._rate = world, account, rate
        self._is_closed = False

    def start(self) -> None:
        self._world.switch("start a worker")

    def call(self, objects: Sequence[str], timeout_s: float, call: Call) -> Iterator[Outcome]:
        world, account = self._world, self._account
        for word in objects:
            assert set(call.keys) >= {word}
            world.switch(f"call {word}")
            self._pass_time(world.chance.expovariate(1 / 3.0))
            outcome = self._outcome(word, timeout_s)
            if outcome.failure is None or outcome.failure.kind in ("permanent", "invalid"):
                account.paid[word] += 1
                account.delivered.setdefault(world.task.process.pid, []).append((word, outcome))
            world.note(f"answer {word}: {outcome.values or outcome.failure}")
            yield outcome

    def _pass_time(self, seconds: float) -> None:
        if self._world.wait_until(lambda: self._is_closed, seconds):
            raise WorkerLost("it was closed")

    def _outcome(self, word: str, timeout_s: float) -> Outcome:
        world, account = self._world, self._account
        is_exposed = world.task.process.is_exposed
        if world.now < account.service_down_until and is_exposed:
            return Outcome.failed("unavailable", "the service does not answer")
        if not is_exposed or world.chance.random() >= self._rate:
            return truth(word)
        name = world.chance.choice(_FAULTS)
        world.fault(f"oracle: {name}")
        if name == "worker killed":
            raise WorkerLost("killed by signal 9")
        if name == "call hangs":
            self._pass_time(timeout_s)
            raise CallTimeout
        if name == "too much memory":
            raise MemoryExceeded("it used 9.00 GB, more than evaluation.memory_gb = 1")
        if name == "garbage":
            return Outcome.failed("permanent", "the oracle returned 'banana', which is no number")
        if name == "service down":
            account.service_down_until = world.now + world.chance.uniform(0.1, 90)
            return Outcome.failed("unavailable", "the service does not answer")
        return Outcome.failed("retryable", "busy")

    def close(self) -> None:
        self._is_closed = True


class HashedTraining(SamplerTraining):
    """A sampler whose state is a hash of all that it was trained with, so that any difference shows in its draws.

    Args:
        world: the simulated world; None outside one.
        seed: of the campaign.
    """

    def __init__(self, world: World | None, seed: int) -> None:
        self._world = world
        self._state = hashlib.sha256(f"{seed}".encode()).hexdigest()
        self._best: list[str] = []

    def state(self) -> bytes:
        return json.dumps([self._state, self._best]).encode()

    def load(self, state: bytes) -> None:
        self._state, self._best = json.loads(state)

    def train(
        self, number: int, log_reward: LogReward, measured: Sequence[str], seeds: Sequence[str] = ()
    ) -> Iterator[TrainingStep]:
        words = _words(f"{self._state}-{number}", 16)
        scores = [float(x) for x in log_reward(words)]
        for step in range(_N_STEPS):
            if self._world is not None:
                self._world.switch("train")
            yield TrainingStep(step, 1.0 / (1 + step))
        content = json.dumps([self._state, number, list(measured), scores, *seeds])
        self._state = hashlib.sha256(content.encode()).hexdigest()
        self._best = [word for _, word in sorted(zip(scores, words, strict=True), reverse=True)[:4]]

    def info(self) -> dict[str, Any]:
        return {"loss_first": 1.0, "loss_last": 1.0 / _N_STEPS}

    def draw(self, n: int, *, seed: int) -> list[str]:
        return _words(f"{self._state}-{seed}", n)

    def best_seen(self) -> list[str]:
        return self._best

    def close(self) -> None:
        """Do nothing."""


def _words(seed: str, n: int) -> list[str]:
    chance = random.Random(seed)
    return ["".join(chance.choices(ALPHABET, k=LENGTH)) for _ in range(n)]


class _HashedExecutor(Executor):
    """The sampler made of hashes, and real models.

    Args:
        config: the campaign's config.
        world: the simulated world; None outside one.
    """

    def __init__(self, config: CampaignConfig, world: World | None) -> None:
        self._seed, self._world = config.seed, world

    def training(self) -> SamplerTraining:
        return HashedTraining(self._world, self._seed)

    def fit(
        self,
        fitter: ModelFitter,
        observations: Sequence[Observation],
        pending: Sequence[Candidate],
        factors: Sequence[float],
    ) -> FittedModels:
        if self._world is not None:
            self._world.switch("fit")
        return fitter.fit(observations, pending, factors)

    def close(self) -> None:
        """Do nothing: the workers are closed by their pool."""


class SimulatedExecutor(_HashedExecutor):
    """All roles of a campaign in one simulated process; the models are real.

    Args:
        config: the campaign's config.
        world: the simulated world.
        account: of the oracle.
        rate: chance that a call of the oracle fails.
    """

    def __init__(self, config: CampaignConfig, world: World, account: Account, rate: float) -> None:
        super().__init__(config, world)
        self._worker = partial(SimulatedWorker, world, account, rate=rate)

    def oracle_worker(self, number: int) -> OracleWorker:
        return self._worker(number)


class ReplayExecutor(_HashedExecutor):
    """The executor with which batches of a simulated campaign are made again.

    Args:
        config: the campaign's config.
        logs: unused.
    """

    def __init__(self, config: CampaignConfig, logs: Path) -> None:
        super().__init__(config, None)

    def oracle_worker(self, number: int) -> OracleWorker:
        raise AssertionError("a replay measures nothing")
