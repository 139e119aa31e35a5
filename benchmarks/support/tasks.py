"""Tasks and distances of the exactness benchmark; imported by the peers too, so it needs only torch and numpy."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

DATA = Path(__file__).parents[1] / "data"


@dataclass(frozen=True)
class Task:
    """A space that can be enumerated, with the training settings of both sides.

    Args:
        dimensions: of the hypergrid; 0: all DNA words of 8 letters.
        height: of the hypergrid.
        batch_size: trajectories per gradient step.
        hidden: width of the network.
        lr: learning rate of the network.
        lr_log_z: learning rate of log Z.
    """

    dimensions: int
    height: int
    batch_size: int
    hidden: int = 256
    lr: float = 1e-3
    lr_log_z: float = 0.1


TASKS = {
    "hypergrid_8x8": Task(2, 8, batch_size=16),
    "hypergrid_16x16x16x16": Task(4, 16, batch_size=64),
    "hypergrid_20x20x20x20": Task(4, 20, batch_size=64),
    "tfbind8": Task(0, 0, batch_size=64),
}


def distances(p: Tensor, log_reward: Tensor) -> tuple[float, float]:
    """Return the distances of a distribution over n objects from R/Z.

    Args:
        p: n probabilities.
        log_reward: n log-rewards.

    Returns:
        L1 distance (sum of absolute differences, 0 to 2) and Jensen-Shannon divergence (nats).
    """
    target = log_reward.double().softmax(0)
    middle = (p + target) / 2

    def kl(a: Tensor) -> float:
        return float(torch.where(a > 0, a * (a / middle).log(), 0.0).sum())

    return float((p - target).abs().sum()), (kl(p) + kl(target)) / 2


def tfbind8_scores() -> Tensor:
    """Return the binding of SIX6 (reference allele, replicate 1) to all 65,536 8-mers: 0 to 1, in the order of ACGT."""
    with gzip.open(DATA / "tfbind8_six6.npy.gz") as file:
        return torch.from_numpy(np.load(file).astype(np.float32) / 65535)


def tfbind8_log_reward(index: Tensor) -> Tensor:
    """Return log(max(score, 0.001)^3), the reward of Shen et al. 2023, for n words given by their index: n."""
    return 3 * tfbind8_scores().clamp(min=1e-3)[index].log()
