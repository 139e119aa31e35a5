"""The weights in training, with their optimiser and their moving average."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from al_loop.gflownet.log_z import LogZ
from al_loop.gflownet.moving_average import moving_average, update_on_device
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.settings import TrainingSettings
from al_loop.gflownet.team import Team


class TrainedWeights:
    """A policy and log Z, which gradient steps change together.

    Args:
        policy: the policy.
        log_z: log of the total flow.
        training: the settings.
    """

    def __init__(self, policy: Policy, log_z: LogZ, training: TrainingSettings) -> None:
        self.policy, self.log_z = policy, log_z
        self._clip_norm, self._decay = training.clip_norm, training.ema
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
        self._is_on_device = False

    @property
    def sampling_policy(self) -> Policy:
        """The policy that draws: the trained one, or its moving average."""
        if self._average is None:
            return self.policy
        averaged = self._average.module
        assert isinstance(averaged, Policy)
        return averaged

    def keep_on_device(self) -> None:
        """Hold learning rates and counts in tensors beside the weights, as recorded kernels require."""
        self._is_on_device = True
        for group in self._optimizer.param_groups:
            group["lr"] = torch.tensor(group["lr"], device=self.log_z.level.device)
            group["capturable"] = self.log_z.level.device.type == "cuda"
        if self._average is not None:
            self._average.n_averaged = self._average.n_averaged.to(self.log_z.level.device)

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """At the end, give all weights and the optimiser, in place, the values that they had at the beginning."""
        modules = [self.policy, self.log_z, *([] if self._average is None else [self._average])]
        tensors = [value for module in modules for value in module.state_dict().values()]
        values = [tensor.detach().clone() for tensor in tensors]
        states = self._optimizer.state
        before = {p: {k: v.clone() for k, v in state.items()} for p, state in states.items()}
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, value in zip(tensors, values, strict=True):
                    tensor.copy_(value)
                for parameter, state in states.items():
                    for name, tensor in state.items():
                        if parameter in before:
                            tensor.copy_(before[parameter][name])
                        else:  # before the first step, all are 0
                            tensor.zero_()

    def step(self, loss: Tensor, team: Team | None = None, is_valid: Tensor | None = None) -> None:
        """Make one gradient step.

        Args:
            loss: the loss, a scalar.
            team: the processes whose gradients are added up; None: this one is alone.
            is_valid: whether to make the step, a bool scalar on the device; None: yes.
        """
        if is_valid is not None:
            self._optimizer.found_inf = (~is_valid).float()  # type: ignore[attr-defined]
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        if team is not None:
            team.sum_gradients(p for group in self._optimizer.param_groups for p in group["params"])
        if self._clip_norm is not None:
            nn.utils.clip_grad_norm_(self.policy.parameters(), self._clip_norm)
        self._optimizer.step()
        if self._average is not None and is_valid is None:
            self._average.update_parameters(self.policy)
        elif self._average is not None:
            update_on_device(self._average, self.policy, self._decay)

    def scale_rates(self, share: float) -> None:
        """Set every learning rate to a share of its own, for a schedule."""
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(share * rate)
            else:
                group["lr"] = share * rate

    def state_dict(self) -> dict[str, Any]:
        """Return the state for ``load_state_dict``; its tensors are those in training, not copies."""
        digest = self.policy.frozen_digest
        return {
            "policy": self.policy.trainable_state(),
            "log_z": self.log_z.state_dict(),
            "average": self._average_state(),
            "optimizer": self._optimizer_state(),
            **({} if digest is None else {"frozen": digest}),
        }

    def _optimizer_state(self) -> dict[str, Any]:
        """Return the optimiser's state with plain numbers for the learning rates."""
        state = self._optimizer.state_dict()
        groups = [{**group, "lr": float(group["lr"]), "capturable": False} for group in state["param_groups"]]
        return {**state, "param_groups": groups}

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
        for group in self._optimizer.param_groups:  # those of the settings
            group["lr"] = 0.0
        self.scale_rates(1.0)
        if self._is_on_device:
            self.keep_on_device()
