"""Samplers draw while the learner learns.

As in Trajectory Balance with Asynchrony (Bartoldson et al. 2025) the samplers hold slightly old weights, which
off-policy objectives do not mind, and nobody waits for anybody. There are never more than staleness + 1 draws on their
way, which bounds the memory that they take. In which order they are trained on is a choice (``Training.order``):

- ``fixed``: draw number i is made with the weights after step i - staleness and trained on in step i, whoever makes it
  and whenever it arrives. A campaign comes to the same result on one machine and on many, with samplers that die and
  without. A draw that takes longer than ``staleness`` others holds them up.
- ``arrival``: what arrives first is trained on first, so that samplers never wait. Of a draw that is older than the
  bound when it comes the objects go into the replay, and its trajectories are not trained on.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from torch import Tensor

from al_loop.gflownet.learner import Learner
from al_loop.gflownet.sampler import AnyReward, Draw, DrawRequest, Sampler
from al_loop.seeding import derive_seed


class Pending(Protocol):
    """A draw on its way."""

    def result(self) -> Draw:
        """Waits for it."""


class SamplerGroup(ABC):
    """All samplers that draw for a learner."""

    @property
    def n_lost(self) -> int:
        """How many died so far; each was replaced, and what it was drawing was drawn again."""
        return 0

    @abstractmethod
    def set_reward(self, log_reward: AnyReward) -> None:
        """What draws that begin from now on are scored with."""

    @abstractmethod
    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """The policy's weights for draws that begin from now on."""

    @abstractmethod
    def begin(self, order: DrawRequest) -> Pending:
        """Begins a draw with the weights and the reward of now.

        A draw depends on the order, the weights and the reward alone, not on who makes it.
        """

    @abstractmethod
    def first(self, waiting: Sequence[Sequence[Pending]]) -> int:
        """Which of several groups of draws is there first, all of it; waits for that."""

    @abstractmethod
    def close(self) -> None:
        """Ends whatever was started."""


@dataclass(frozen=True)
class _Made:
    """A draw that was made where it began."""

    draw: Draw

    def result(self) -> Draw:
        return self.draw


class InlineSampler(SamplerGroup):
    """One sampler in this process: a draw is made where it begins."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def set_reward(self, log_reward: AnyReward) -> None:
        self._sampler.set_reward(log_reward)

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        self._sampler.set_weights(weights)

    def begin(self, order: DrawRequest) -> Pending:
        return _Made(self._sampler.fill(order))

    def first(self, waiting: Sequence[Sequence[Pending]]) -> int:
        return 0

    def close(self) -> None:
        """Nothing was started."""


@dataclass
class PipelineStats:
    """What went on in a training.

    seconds: in all. waited_s: of these, the learner waited for draws. trajectories: drawn, those of searches included.
    staleness: in steps, of each draw that was trained on. late: draws that were too old for that. draw_bytes: that came
    to the learner. weight_bytes: that went out, counted once for each version. lost: samplers that died.
    """

    seconds: float = 0.0
    waited_s: float = 0.0
    trajectories: int = 0
    staleness: list[int] = field(default_factory=list)
    late: int = 0
    draw_bytes: int = 0
    weight_bytes: int = 0
    lost: int = 0


def split(order: DrawRequest, shares: int) -> list[DrawRequest]:
    """An order in parts of about equal size, and each of its searches by itself, with seeds of their own."""
    shares = max(min(shares, order.n), 1)
    sizes = [order.n // shares + (i < order.n % shares) for i in range(shares)]
    parts = [replace(order, n=n, jobs=()) for n in sizes] + [replace(order, n=0, jobs=(job,)) for job in order.jobs]
    return [replace(part, seed=derive_seed(order.seed, i)) for i, part in enumerate(parts)]


def pipeline(
    learner: Learner, samplers: SamplerGroup, *, seed: Callable[[str, int], int], traffic: PipelineStats | None = None
) -> Iterator[float]:
    """Trains by the learner's settings; yields the loss of each step.

    Args:
        learner: told of the reward already (``Learner.start``).
        samplers: likewise.
        seed: of a purpose (``draw``, ``parents``, ``replay``) in a step.
        traffic: is written while it goes on.
    """
    training, told = learner.training, traffic or PipelineStats()
    began, lost = time.monotonic(), samplers.n_lost
    coming: list[tuple[int, list[Pending]]] = []
    n_begun = n_done = 0

    def send_weights() -> None:
        weights = learner.weights()
        told.weight_bytes += sum(tensor.nbytes for tensor in weights.values())
        samplers.set_weights(weights)

    def begin_more() -> None:
        nonlocal n_begun
        while len(coming) < min(training.staleness + 1, training.steps - n_done):
            order = DrawRequest(
                training.batch_size * training.updates,
                seed=seed("draw", n_begun),
                epsilon=training.epsilon,
                temperature=training.temperature,
                jobs=learner.jobs(seed("parents", n_begun)),
            )
            begins = time.monotonic()  # where there is one sampler, in this process, it draws at once
            coming.append((n_done, [samplers.begin(part) for part in split(order, training.shares)]))
            told.waited_s += time.monotonic() - begins
            n_begun += 1

    send_weights()
    begin_more()
    while n_done < training.steps:
        waits = time.monotonic()
        at = 0 if training.order == "fixed" else samplers.first([parts for _, parts in coming])
        version, parts = coming.pop(at)
        draw = Draw.join([part.result() for part in parts])
        told.waited_s += time.monotonic() - waits
        told.trajectories += len(draw.trajectories)
        told.draw_bytes += draw.n_bytes
        if n_done - version > training.staleness:
            learner.keep(draw)
            told.late += 1
            begin_more()
            continue
        told.staleness.append(n_done - version)
        loss = learner.updates(draw, seed=seed("replay", n_done))
        n_done += 1
        send_weights()
        begin_more()
        told.seconds, told.lost = time.monotonic() - began, samplers.n_lost - lost
        yield loss
