"""Training in which samplers draw while the learner learns.

As in Trajectory Balance with Asynchrony (Bartoldson et al. 2025), the samplers use slightly old weights, which
off-policy objectives tolerate, so that neither side waits for the other. At most staleness + 1 draws are in progress,
which bounds their memory. ``TrainingSettings.order`` determines the order in which they are trained on:

- ``fixed``: draw i uses the weights after step i - staleness and is trained on in step i, regardless of its sampler and
  of the time of its arrival. A campaign gives the same result on one machine and on many, whether or not samplers die.
  A draw that takes longer than ``staleness`` others delays them.
- ``arrival``: draws are trained on in the order of their arrival, so that samplers never wait. A draw that is older
  than the bound when it arrives is not trained on; only its objects are added to the replay.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from torch import Tensor

from al_loop.gflownet.learner import Learner
from al_loop.gflownet.reward import AnyReward
from al_loop.gflownet.sampler import Draw, DrawRequest, Sampler
from al_loop.seeding import derive_seed
from al_loop.system import stopping


class Pending(Protocol):
    """A draw in progress."""

    def result(self) -> Draw:
        """Wait for the draw and return it."""


class SamplerGroup(ABC):
    """The samplers that draw for a learner."""

    @property
    def n_lost(self) -> int:
        """Number of samplers that have died; each was replaced, and its draws were repeated."""
        return 0

    @abstractmethod
    def set_reward(self, log_reward: AnyReward) -> None:
        """Set the reward for draws that begin from now on."""

    @abstractmethod
    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Set the policy's weights for draws that begin from now on."""

    @abstractmethod
    def begin(self, request: DrawRequest) -> Pending:
        """Begin a draw with the current weights and reward.

        The draw depends only on the request, the weights and the reward, not on the sampler that makes it.
        """

    @abstractmethod
    def first(self, groups: Sequence[Sequence[Pending]]) -> int:
        """Wait for the first group of draws to be complete and return its index."""

    @abstractmethod
    def close(self) -> None:
        """Shut down the samplers."""


class InlineSampler(SamplerGroup):
    """A single sampler in this process. It draws at once; what other processes score is waited for with the result.

    Args:
        sampler: the sampler.
    """

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def set_reward(self, log_reward: AnyReward) -> None:
        self._sampler.set_reward(log_reward)

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        self._sampler.set_weights(weights)

    def begin(self, request: DrawRequest) -> Pending:
        return self._sampler.begin(request)

    def first(self, groups: Sequence[Sequence[Pending]]) -> int:
        return 0

    def close(self) -> None:
        self._sampler.close()


@dataclass
class PipelineStats:
    """Statistics of a training, updated while it runs.

    Args:
        steps: number of gradient steps.
        seconds: total time, in seconds.
        waited_s: time that the learner waited for draws, in seconds.
        trajectories: number of trajectories drawn, including those of searches.
        staleness: age of the weights of each draw that was trained on, in steps.
        late: number of draws that were too old to be trained on.
        draw_bytes: total size of the draws that the learner received, in bytes.
        weight_bytes: total size of the weights that it sent, in bytes; each version counts once.
        lost: number of samplers that died.
    """

    steps: int = 0
    seconds: float = 0.0
    waited_s: float = 0.0
    trajectories: int = 0
    staleness: list[int] = field(default_factory=list)
    late: int = 0
    draw_bytes: int = 0
    weight_bytes: int = 0
    lost: int = 0


def split(request: DrawRequest, shares: int) -> list[DrawRequest]:
    """Divide a request into parts of about equal size, and one for each of its searches, each with its own seed.

    Trajectories of one condition that are compared with each other stay together.

    Args:
        request: the request.
        shares: number of parts, fewer if there are fewer trajectories or conditions.
    """
    n_blocks = -(-request.n // request.per_condition)
    shares = max(min(shares, n_blocks), 1)
    blocks = [n_blocks // shares + (i < n_blocks % shares) for i in range(shares)]
    sizes = [request.per_condition * k for k in blocks]
    sizes[-1] -= sum(sizes) - request.n  # the last condition may have fewer
    parts = [replace(request, n=n, jobs=()) for n in sizes]
    parts += [replace(request, n=0, jobs=(job,)) for job in request.jobs]
    return [replace(part, seed=derive_seed(request.seed, i)) for i, part in enumerate(parts)]


def pipeline(
    learner: Learner, samplers: SamplerGroup, *, seed: Callable[[str, int], int], stats: PipelineStats | None = None
) -> Iterator[float]:
    """Train according to the learner's settings.

    Args:
        learner: the learner, after ``start`` with the reward.
        samplers: the samplers, after ``set_reward`` with the same reward.
        seed: returns the seed for a purpose (``draw``, ``parents``, ``replay``) and a step.
        stats: statistics to update while the training runs.

    Yields:
        The loss of each step.
    """
    training, stats = learner.training, stats or PipelineStats()
    began, n_lost = time.monotonic(), samplers.n_lost
    in_progress: list[tuple[int, list[Pending]]] = []  # (step of the weights, parts of the draw)
    n_begun = n_done = 0

    def send_weights() -> None:
        weights = learner.weights()
        stats.weight_bytes += sum(tensor.nbytes for tensor in weights.values())
        samplers.set_weights(weights)

    def begin_draws() -> None:
        nonlocal n_begun
        while len(in_progress) < min(training.staleness + 1, training.steps - n_done):
            request = DrawRequest(
                training.batch_size * training.updates,
                seed=seed("draw", n_begun),
                epsilon=training.epsilon,
                temperature=training.temperature,
                jobs=learner.jobs(seed("parents", n_begun)),
                per_condition=training.per_condition,
            )
            begins = time.monotonic()  # an inline sampler draws at once
            in_progress.append((n_done, [samplers.begin(part) for part in split(request, training.shares)]))
            stats.waited_s += time.monotonic() - begins
            n_begun += 1

    send_weights()
    begin_draws()
    while n_done < training.steps:
        stopping.look()
        waits = time.monotonic()
        index = 0 if training.order == "fixed" else samplers.first([parts for _, parts in in_progress])
        version, parts = in_progress.pop(index)
        draw = Draw.join([part.result() for part in parts])
        stats.waited_s += time.monotonic() - waits
        stats.trajectories += len(draw.trajectories)
        stats.draw_bytes += draw.n_bytes
        if n_done - version > training.staleness:
            learner.add_to_replay(draw)
            stats.late += 1
            begin_draws()
            continue
        stats.staleness.append(n_done - version)
        loss = learner.updates(draw, seed=seed("replay", n_done))
        n_done += 1
        stats.steps = n_done
        send_weights()
        begin_draws()
        stats.seconds, stats.lost = time.monotonic() - began, samplers.n_lost - n_lost
        yield loss
