"""The log-partition variance objective (VarGrad)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from al_loop.gflownet.objectives.base import Objective, Terms


class LogPartitionVariance(Objective):
    """Trajectory balance with the batch's own estimate of log Z (Richter et al. 2020; Zhang et al. 2023).

    With a conditioned reward, every trajectory of a batch has its own Z, which the batch cannot estimate; the learner
    rejects this combination.
    """

    kind = "log_partition_variance"
    uses_log_z: ClassVar[bool] = False

    def __call__(self, terms: Terms) -> Tensor:
        """Return losses, shape n, whose mean is the variance of the trajectories' estimates of log Z."""
        estimate = terms.log_reward + terms.log_pb.sum(0) - terms.log_pf.sum(0)
        return self.loss(estimate.mean() - estimate)
