"""Where the parts of a campaign run: the interfaces that ``actors`` implements, on this machine or on Ray."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from al_loop.oracles.base import Call, Outcome

if TYPE_CHECKING:
    from al_loop.gflownet.reward import LogReward
    from al_loop.ledger import Candidate, Observation
    from al_loop.modelling.fitted import FittedModels
    from al_loop.modelling.fitter import ModelFitter
    from al_loop.sinks import Sink


class WorkerLost(Exception):  # noqa: N818  it is an event more than an error
    """The process or actor that was evaluating died."""


class CallTimeout(Exception):  # noqa: N818
    """A call took longer than allowed; the process that ran it has been ended."""


class MemoryExceeded(Exception):  # noqa: N818
    """A call held more memory than allowed; the process that ran it has been ended."""


class OracleWorker(ABC):
    """One place where an oracle runs, one call at a time."""

    name: str

    @abstractmethod
    def start(self) -> None:
        """Waits until there is a place to run; what goes wrong is told by the next call."""

    @abstractmethod
    def call(self, objects: Sequence[str], timeout_s: float, call: Call) -> Iterator[Outcome]:
        """Yields an outcome for each object in order, the moment it is known.

        Args:
            objects: what is to be measured.
            timeout_s: of the whole call.
            call: what the oracle may know of it.

        Raises:
            WorkerLost: it died; the next call starts a new one.
            CallTimeout: it took too long and was ended; the next call starts a new one.
            MemoryExceeded: it held too much memory and was ended; the next call starts a new one.
        """

    @abstractmethod
    def close(self) -> None:
        """Ends it at once, also in the middle of a call."""


@dataclass(frozen=True)
class TrainingStep:
    """A draw was trained on.

    loss: the mean of what was drawn.
    """

    number: int
    loss: float


class SamplerTraining(ABC):
    """What learns to draw objects: the learner, with whatever draws for it. It is the same object in all rounds.

    ``draw`` and ``met`` come after a training or after ``load``.
    """

    @abstractmethod
    def state(self) -> bytes:
        """All that ``load`` needs to go on with the next round."""

    @abstractmethod
    def load(self, state: bytes) -> None:
        """Goes on from what ``state`` gave, maybe in another process.

        Raises:
            Exception: it is damaged, or of another kind of sampler.
        """

    @abstractmethod
    def train(self, number: int, log_reward: LogReward, measured: Sequence[str]) -> Iterator[TrainingStep]:
        """The training of a round; what it comes to depends on nothing but the arguments and the state before.

        Args:
            number: of the round.
            log_reward: what objects are drawn for in this round.
            measured: the objects that the oracle gave a value for.
        """

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Numbers of the last training for the ledger, such as ``loss_first``, ``loss_last``."""

    @abstractmethod
    def draw(self, n: int, *, seed: int) -> list[str]:
        """N objects (with repetitions) from the trained sampler; the same for the same seed and state."""

    @abstractmethod
    def met(self) -> list[str]:
        """The best objects that training met, for the batch to be picked from, too."""

    @abstractmethod
    def close(self) -> None:
        """Ends whatever was started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Executor(ABC):
    """Places the roles of a campaign."""

    @abstractmethod
    def training(self) -> SamplerTraining:
        """The role that trains samplers."""

    @abstractmethod
    def fit(
        self,
        fitter: ModelFitter,
        observations: Sequence[Observation],
        pending: Sequence[Candidate],
        factors: Sequence[float],
    ) -> FittedModels:
        """Fit the models of a round, see ``ModelFitter.fit``."""

    @abstractmethod
    def oracle_worker(self, number: int) -> OracleWorker:
        """The oracle worker of a number; it starts with its first call."""

    def sinks(self) -> list[Sink]:
        """Who else is told a campaign's numbers where it runs."""
        return []

    @abstractmethod
    def close(self) -> None:
        """Ends whatever was started."""
