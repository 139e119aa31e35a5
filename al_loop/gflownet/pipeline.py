"""Samplers draw while the learner learns; what comes of it does not depend on who is faster.

As in Trajectory Balance with Asynchrony (Bartoldson et al. 2025) the samplers hold slightly old weights, which
off-policy objectives do not mind, and nobody waits for anybody. Unlike there, draw number i is always made with the
weights after step i - staleness and always trained on in step i, whoever makes it and whenever it arrives. So a
campaign comes to the same result on one machine and on many, with samplers that die and without, and the staleness is
bounded by construction: there are never more than staleness + 1 draws on their way, which also bounds the memory that
they take.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from al_loop.gflownet.learner import Learner
from al_loop.gflownet.sampler import AnyReward, Draw, Order, Sampler
from al_loop.seeds import derive_seed


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
    def begin(self, order: Order) -> Callable[[], Draw]:
        """Begins a draw with the weights and the reward of now; what it returns waits for the draw.

        A draw depends on the order, the weights and the reward alone, not on who makes it.
        """

    @abstractmethod
    def close(self) -> None:
        """Ends whatever was started."""


class OwnSampler(SamplerGroup):
    """One sampler in this process: a draw is made where it begins."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def set_reward(self, log_reward: AnyReward) -> None:
        self._sampler.set_reward(log_reward)

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        self._sampler.set_weights(weights)

    def begin(self, order: Order) -> Callable[[], Draw]:
        draw = self._sampler.fill(order)
        return lambda: draw

    def close(self) -> None:
        """Nothing was started."""


@dataclass
class Traffic:
    """What went on in a training.

    seconds: in all. waited_s: of these, the learner waited for draws. trajectories: drawn, those of searches included.
    staleness: of each draw in steps. draw_bytes: that came to the learner. weight_bytes: that went out, counted once
    for each version. lost: samplers that died.
    """

    seconds: float = 0.0
    waited_s: float = 0.0
    trajectories: int = 0
    staleness: list[int] = field(default_factory=list)
    draw_bytes: int = 0
    weight_bytes: int = 0
    lost: int = 0


def split(order: Order, shares: int) -> list[Order]:
    """An order in parts of about equal size, and each of its searches by itself, with seeds of their own."""
    shares = max(min(shares, order.n), 1)
    sizes = [order.n // shares + (i < order.n % shares) for i in range(shares)]
    parts = [replace(order, n=n, jobs=()) for n in sizes] + [replace(order, n=0, jobs=(job,)) for job in order.jobs]
    return [replace(part, seed=derive_seed(order.seed, i)) for i, part in enumerate(parts)]


def pipeline(
    learner: Learner, samplers: SamplerGroup, *, seed: Callable[[str, int], int], traffic: Traffic | None = None
) -> Iterator[float]:
    """Trains by the learner's settings; yields the loss of each step.

    Args:
        learner: told of the reward already (``Learner.start``).
        samplers: likewise.
        seed: of a purpose (``draw``, ``parents``, ``replay``) in a step.
        traffic: is written while it goes on.
    """
    training, told = learner.training, traffic or Traffic()
    began, lost = time.monotonic(), samplers.n_lost
    coming: deque[tuple[int, list[Callable[[], Draw]]]] = deque()
    n_done = 0

    def send_weights() -> None:
        weights = learner.weights()
        told.weight_bytes += sum(tensor.nbytes for tensor in weights.values())
        samplers.set_weights(weights)

    def begin(step: int) -> None:
        order = Order(
            training.batch_size * training.updates,
            seed=seed("draw", step),
            epsilon=training.epsilon,
            temperature=training.temperature,
            jobs=learner.jobs(seed("parents", step)),
        )
        coming.append((n_done, [samplers.begin(part) for part in split(order, training.shares)]))

    send_weights()
    for step in range(min(training.staleness + 1, training.steps)):
        begin(step)
    for step in range(training.steps):
        version, parts = coming.popleft()
        waits = time.monotonic()
        draw = Draw.join([wait() for wait in parts])
        told.waited_s += time.monotonic() - waits
        told.trajectories += len(draw.trajectories)
        told.draw_bytes += draw.n_bytes
        told.staleness.append(n_done - version)
        loss = learner.updates(draw, seed=seed("replay", step))
        n_done += 1
        send_weights()
        if step + training.staleness + 1 < training.steps:
            begin(step + training.staleness + 1)
        told.seconds, told.lost = time.monotonic() - began, samplers.n_lost - lost
        yield loss
