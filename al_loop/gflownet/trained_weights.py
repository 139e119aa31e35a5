"""The weights in training, with their optimiser and their moving average."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from al_loop.gflownet.log_z import LogZ
from al_loop.gflownet.moving_average import moving_average
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.settings import TrainingSettings


class TrainedWeights:
    """A policy and log Z, which gradient steps change together.

    Args:
        policy: the policy.
        log_z: log of the total flow.
        training: the settings.
    """

    def __init__(self, policy: Policy, log_z: LogZ, training: TrainingSettings) -> None:
        self.policy, self.log_z = policy, log_z
        self._clip_norm = training.clip_norm
        self._average = AveragedModel(policy, multi_avg_fn=moving_average(training.ema)) if training.ema else None
        change = log_z.change
        self._optimizer = torch.optim.Adam(
            [
                {"params": [p for p in policy.parameters() if p.requires_grad], "lr": training.lr},
                {"params": [log_z.level], "lr": training.lr_log_z},
                {"params": [] if change is None else list(change.parameters()), "lr": 10 * training.lr},
            ],
            fused=True,
        )
        self._rates = [group["lr"] for group in self._optimizer.param_groups]

    @property
    def sampling_policy(self) -> Policy:
        """The policy that draws: the trained one, or its moving average."""
        if self._average is None:
            return self.policy
        averaged = self._average.module
        assert isinstance(averaged, Policy)
        return averaged

    def step(self, loss: Tensor) -> None:
        """Make one gradient step.

        Args:
            loss: the loss, a scalar.
        """
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        if self._clip_norm is not None:
            nn.utils.clip_grad_norm_(self.policy.parameters(), self._clip_norm)
        self._optimizer.step()
        if self._average is not None:
            self._average.update_parameters(self.policy)

    def scale_rates(self, share: float) -> None:
        """Set every learning rate to a share of its own, for a schedule."""
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = share * rate

    def state_dict(self) -> dict[str, Any]:
        """Return the state for ``load_state_dict``; its tensors are those in training, not copies."""
        digest = self.policy.frozen_digest
        return {
            "policy": self.policy.trainable_state(),
            "log_z": self.log_z.state_dict(),
            "average": self._average_state(),
            "optimizer": self._optimizer.state_dict(),
            **({} if digest is None else {"frozen": digest}),
        }

    def _average_state(self) -> dict[str, Any] | None:
        """Return the state of the moving average, without frozen weights; None: there is no average."""
        if self._average is None:
            return None
        frozen = {f"module.{name}" for name in self.policy.frozen_names}
        return {name: value for name, value in self._average.state_dict().items() if name not in frozen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state returned by ``state_dict``, except for the learning rates.

        Raises:
            ValueError: the frozen weights came from another file.
        """
        digest = self.policy.frozen_digest
        if state.get("frozen", digest) != digest:
            raise ValueError(
                f"the frozen weights have the checksum {digest}, but the state was trained on {state['frozen']}; use "
                "the model that it was trained with"
            )
        self.policy.load_trainable_state(state["policy"])
        self.log_z.load_state_dict(state["log_z"])
        if self._average is not None and state["average"] is None:
            self.sampling_policy.load_trainable_state(state["policy"])
        elif self._average is not None:
            # the frozen weights are those of the policy, which the average shares
            frozen = {f"module.{name}" for name in self.policy.frozen_names}
            own = {name: value for name, value in self._average.state_dict().items() if name in frozen}
            self._average.load_state_dict({**state["average"], **own})
        self._optimizer.load_state_dict(state["optimizer"])
        self.scale_rates(1.0)
