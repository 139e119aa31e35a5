"""Executor interfaces for the roles of a campaign. ``actors`` implements them, on this machine and on Ray."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from al_loop.oracles.base import Call, Failure, Outcome

if TYPE_CHECKING:
    from al_loop.gflownet.reward import LogReward
    from al_loop.ledger import Candidate, Observation
    from al_loop.modelling.fitted import FittedModels
    from al_loop.modelling.fitter import ModelFitter
    from al_loop.sinks import Sink

NOT_BUILT: Final = "the oracle could not be built"


class CallEnded(Exception):  # noqa: N818  it is an event more than an error
    """A call ended without all of its answers, together with the process that ran it.

    Attributes:
        output: what the process printed last.
    """

    output: str = ""


class WorkerLost(CallEnded):
    """The process or actor of an oracle worker died during a call."""


class CallTimeout(CallEnded):
    """A call took longer than allowed; the process that ran it has been ended."""


class MemoryExceeded(CallEnded):
    """A call used more memory than allowed; the process that ran it has been ended."""


class NotBuilt(CallEnded):
    """The oracle could not be built in the worker's process, which has been ended."""


def outcome_of_ended_call(error: CallEnded, timeout_s: float) -> Outcome:
    """Return the failure of the object that was being measured when a call ended.

    Args:
        error: how the call ended.
        timeout_s: how long it was allowed to take, in seconds.
    """
    if isinstance(error, CallTimeout):
        failure = Failure("timeout", f"no answer within {timeout_s:g} s; the process was ended")
    elif isinstance(error, MemoryExceeded):
        failure = Failure("permanent", f"{error}; the process was ended")
    elif isinstance(error, NotBuilt):
        failure = Failure("environment", f"{NOT_BUILT}: {error}")
    else:
        failure = Failure("retryable", f"the worker died: {error}")
    return Outcome(failure=failure, info={"output": error.output} if error.output else {})


class OracleWorker(ABC):
    """Runs an oracle, one call at a time, in a process of its own.

    Attributes:
        name: name of the worker, in the ledger and in log files.
    """

    name: str

    @abstractmethod
    def start(self) -> None:
        """Wait until the worker can run; the next call raises what goes wrong."""

    @abstractmethod
    def call(self, objects: Sequence[str], timeout_s: float, call: Call) -> Iterator[Outcome]:
        """Yield an outcome for each object in order, as soon as it is known.

        Args:
            objects: the objects to measure.
            timeout_s: longest duration of the whole call, in seconds.
            call: idempotency keys and the fidelity.

        Raises:
            WorkerLost: the process died; the next call starts a new one.
            CallTimeout: the call took too long and was ended; the next call starts a new process.
            MemoryExceeded: the call used too much memory and was ended; the next call starts a new process.
        """

    @abstractmethod
    def close(self) -> None:
        """End the worker at once, also during a call."""


@dataclass(frozen=True)
class TrainingStep:
    """One step of sampler training.

    Args:
        number: counts the steps of a round from 0.
        loss: mean loss of the trajectories of the step.
    """

    number: int
    loss: float


class SamplerTraining(ABC):
    """Trains the sampler, and draws objects from it; the same object serves all rounds.

    ``draw`` and ``best_seen`` may be called after ``train`` or ``load``.
    """

    @abstractmethod
    def state(self) -> bytes:
        """Return everything that ``load`` needs to continue with the next round."""

    @abstractmethod
    def load(self, state: bytes) -> None:
        """Continue from what ``state`` returned, maybe in another process.

        Raises:
            Exception: the state is damaged, or of another kind of sampler.
        """

    @abstractmethod
    def train(
        self, number: int, log_reward: LogReward, measured: Sequence[str], seeds: Sequence[str] = ()
    ) -> Iterator[TrainingStep]:
        """Train for a round, and yield after each step; the result depends on the arguments and the state alone.

        Args:
            number: the round.
            log_reward: the reward of the round.
            measured: the objects that have values.
            seeds: objects from which searches start, beside the best of the training.
        """

    @abstractmethod
    def info(self) -> dict[str, Any]:
        """Return numbers of the last training for the ledger, such as ``loss_first`` and ``loss_last``."""

    @abstractmethod
    def draw(self, n: int, *, seed: int) -> list[str]:
        """Draw objects from the trained sampler, with repetitions.

        Args:
            n: number of objects.
            seed: the same seed and state give the same objects.
        """

    @abstractmethod
    def best_seen(self) -> list[str]:
        """Return the best objects of the training, which are candidates, too."""

    @abstractmethod
    def close(self) -> None:
        """End the processes that were started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Executor(ABC):
    """Runs the roles of a campaign: sampler training, surrogate, oracle workers."""

    @abstractmethod
    def training(self) -> SamplerTraining:
        """Start the training of samplers."""

    @abstractmethod
    def fit(
        self,
        fitter: ModelFitter,
        observations: Sequence[Observation],
        pending: Sequence[Candidate],
        factors: Sequence[float],
    ) -> FittedModels:
        """Fit the models of a round, on the surrogate's device.

        Args:
            fitter: fits them.
            observations: see ``ModelFitter.fit``.
            pending: see ``ModelFitter.fit``.
            factors: see ``ModelFitter.fit``.
        """

    @abstractmethod
    def oracle_worker(self, number: int) -> OracleWorker:
        """Return the oracle worker of a number; it starts with its first call."""

    def log_to(self, folder: Path) -> None:  # noqa: B027  an executor may keep nothing
        """Keep what the oracle workers print in a folder, a file for each; by default, nothing is kept.

        Args:
            folder: an existing folder.
        """

    def sinks(self) -> list[Sink]:
        """Return the sinks that come with where the campaign runs."""
        return []

    @abstractmethod
    def close(self) -> None:
        """End the processes that were started."""
