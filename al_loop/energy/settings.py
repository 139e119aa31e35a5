"""Settings of the joint training of an energy and its sampler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from al_loop.errors import ConfigError

Negatives = Literal["fresh", "back_and_forth"]


@dataclass(frozen=True)
class EnergySettings:
    """Settings of the joint training; a config of ``al-loop learn-energy`` has the same keys.

    Args:
        steps: number of steps, each one gradient step of the sampler and one of the energy.
        batch_size: trajectories that the sampler draws in a step.
        data_batch: objects of the data in a step, whose histories are walked back for the sampler, and which the energy
            raises.
        lr: learning rate of the energy (Adam).
        negatives: what the energy lowers: ``fresh`` objects of the sampler, or the proposals of ``back_and_forth``
            moves from the data (contrastive divergence).
        is_corrected: whether the negatives are corrected for the difference between the sampler and the energy: fresh
            ones by importance weights, moves by Metropolis-Hastings acceptance.
        warmup: share of the steps in which the number of undone steps of a move grows from 1 to all of them.
        settle: share of the steps, at the end, in which the energy stays as it is and the sampler catches up. Before,
            the energy's learning rate falls to 0 along a cosine, and the sampler's does so until the end.
        l2: weight of the mean squared score, which keeps the scores from drifting.
        decay: weight decay of the energy (AdamW).
        ema: decay of the moving average of the energy's weights; 0: none.
        base_steps: steps of maximum likelihood of a base: a policy whose log-likelihood is added to the network's
            scores, and with whose weights the sampler begins, so that the two agree from the start and the network
            learns what the policy misses; 0: no base.
        validation: held-out share of the objects, at least 0 and below 1.
        validations: number of evaluations of the held-out objects.
        patience: evaluations without a better held-out likelihood after which the training stops early; 0: never.
        most_refused: largest share of objects outside the space; the training refuses to start above it.

    Raises:
        ConfigError: a value is out of range.
    """

    steps: int = 5000
    batch_size: int = 128
    data_batch: int = 128
    lr: float = 3e-3
    negatives: Negatives = "fresh"
    is_corrected: bool = True
    warmup: float = 0.5
    settle: float = 0.25
    l2: float = 1e-4
    decay: float = 0.0
    ema: float = 0.0
    base_steps: int = 0
    validation: float = 0.1
    validations: int = 10
    patience: int = 0
    most_refused: float = 0.5

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "data_batch", "validations"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: must be at least 1, got {getattr(self, name)}")
        for name in ("validation", "settle", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name}: must be at least 0 and below 1, got {getattr(self, name)}")
        for name in ("warmup", "most_refused"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}: must be between 0 and 1, got {getattr(self, name)}")
        if not self.lr > 0:
            raise ConfigError(f"lr: must be above 0, got {self.lr}")
        for name in ("l2", "decay", "base_steps", "patience"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}: must be at least 0, got {getattr(self, name)}")
        if self.negatives not in ("fresh", "back_and_forth"):
            raise ConfigError(f"negatives: {self.negatives!r} is not one of fresh, back_and_forth")
