"""The log-partition variance objective (VarGrad)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from al_loop.gflownet.objectives.base import Objective, Terms


class LogPartitionVariance(Objective):
    """Trajectory balance with the batch's own estimate of log Z (Richter et al. 2020; Zhang et al. 2023).

    Each condition has an estimate of its own, from its trajectories in the batch; a single one teaches nothing, so that
    conditions require ``TrainingSettings.per_condition`` of at least 2.
    """

    kind = "log_partition_variance"
    uses_groups: ClassVar[bool] = True
    uses_log_z: ClassVar[bool] = False

    def __call__(self, terms: Terms) -> Tensor:
        """Return losses, shape n, whose mean is the variance of the trajectories' estimates of log Z."""
        estimate = terms.log_reward + terms.log_pb.sum(0) - terms.log_pf.sum(0)
        if terms.group is None:
            return self.loss(estimate.mean() - estimate)
        zeros = estimate.new_zeros(len(estimate))  # there are no more groups than trajectories
        total = zeros.index_add(0, terms.group, estimate)
        count = zeros.index_add(0, terms.group, torch.ones_like(estimate)).clamp(min=1)
        return self.loss((total / count)[terms.group] - estimate)
