"""Training objectives."""

from __future__ import annotations

from torch import Tensor


def trajectory_balance(log_z: Tensor, log_pf: Tensor, log_pb: Tensor, log_reward: Tensor) -> Tensor:
    """Trajectory balance (Malkin et al. 2022, eq. 14): squared log-ratio of forward and backward flow, per trajectory.

    log_z: scalar. log_pf, log_pb, log_reward: n. Returns n losses; they are zero at the exact solution.
    """
    return (log_z + log_pf - log_reward - log_pb).square()
