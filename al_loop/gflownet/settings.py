"""Settings of sampler training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch

from al_loop.gflownet.backward_rollout import Backward
from al_loop.gflownet.conditioning import Conditioning
from al_loop.gflownet.execution.choice import Execution, ExecutionName
from al_loop.gflownet.objectives.base import Objective
from al_loop.gflownet.replay import Priority
from al_loop.gflownet.searches.base import Search
from al_loop.system.checks import in_range, instance_of, one_of, whole_number

Order = Literal["fixed", "arrival"]
BackwardLoss = Literal["balance", "likelihood"]
Precision = Literal["auto", "float32", "tf32", "bfloat16"]

_WHOLE_NUMBERS = {
    "steps": 0, "batch_size": 1, "updates": 1, "epochs": 1, "staleness": 0, "shares": 1, "replay_size": 0,
    "replay_capacity": 1, "measured_size": 0, "heads": 1, "per_condition": 1, "hidden": 1, "layers": 1,
}  # fmt: skip
_CHOICES = {
    "order": Order, "backward": Backward, "backward_loss": BackwardLoss, "replay_priority": Priority,
    "precision": Precision,
}  # fmt: skip


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of sampler training; the section ``sampler`` of a config has the same names.

    Args:
        steps: number of draws, each followed by ``updates`` gradient steps.
        batch_size: fresh trajectories per gradient step.
        updates: gradient steps per draw. Trajectories for all of them are drawn at once, which costs less; the later
            ones are slightly off-policy, which these objectives tolerate.
        epochs: passes over each draw, each of ``updates`` gradient steps. More than one make the most of expensive
            rewards, above all with ``entropic_ppo``, which keeps the policy near the one that drew.
        staleness: largest number of steps by which the sampling weights may lag behind. ``staleness + 1`` draws are in
            progress at a time, so that samplers draw while the learner learns (see ``pipeline``).
        order: order in which draws are trained on: ``fixed``, which is reproducible, or by ``arrival``.
        shares: number of parts of a draw, which several samplers can draw in parallel.
        objective: the loss, by its kind or as an object.
        backward: the backward policy: ``learned``, ``uniform``, or ``maximum_entropy`` (every way to build an object
            is equally likely).
        backward_loss: the loss of a learned backward policy: that of the ``balance``, or the ``likelihood`` of fresh
            trajectories under it, which the balance then takes as given (trajectory likelihood maximisation, Gritsaev
            et al. 2024).
        forward_looking: whether flows of partial objects are learned relative to their own reward; requires a
            ``StateReward`` with ``is_partial`` and an objective that uses flows.
        replay_size: objects from the replay added to each step, with histories drawn by the backward policy.
        replay_capacity: number of distinct objects in the replay.
        replay_priority: objects that the replay retains: those of highest ``reward``, or the newest (``recency``).
        measured_size: measured objects added to each step, with histories drawn in the same way.
        searches: searches that run alongside the policy in every step.
        epsilon: share of uniform actions while training, 0 to 1.
        temperature: divisor of the policy's logits while training, above 0.
        heads: members of an ensemble of forward heads; each trajectory is drawn by one of them (Thompson sampling,
            Rector-Brooks et al. 2023) and trains a random one.
        ema: decay of the moving average of the weights used for sampling, at least 0 and below 1; 0: the trained
            weights are used. The first steps decay faster.
        conditioning: conditions of the reward.
        per_condition: trajectories drawn for each condition in a draw, at least 2 for an objective that compares them
            (``log_partition_variance``). Conditions are those of ``conditioning`` and of a ``Conditioned`` environment.
        floor: log-rewards lower than the largest of their condition in a batch by more than this, at least 0, count as
            that much lower, since a log-reward of -inf would make every gradient infinite.
        lr: learning rate of the policy (Adam).
        lr_log_z: learning rate of log Z.
        clip_norm: largest norm of the gradient; None: unlimited.
        hidden: width of the policy network.
        layers: number of layers of the policy network.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        precision: precision of the policy's arithmetic; ``auto``: ``tf32`` on a GPU, whose matrix products it makes
            several times as fast, ``float32`` on a CPU. Logits and losses are added up in float32 in any case.
        execution: how roll-outs and gradient steps are executed: ``plain``; ``compiled``, which takes about a minute
            first; ``graphed``, compiled and recorded as CUDA graphs; ``auto``: ``graphed`` on a GPU, unless there are
            few steps, else ``plain``. Several processes, objectives that use the policy that drew, and language
            models are always plain. All train the same, but roll-outs other than plain ones use random numbers in
            another order.

    Raises:
        ValueError: a setting is out of range, or not of its type.
    """

    steps: int = 200
    batch_size: int = 64
    updates: int = 1
    epochs: int = 1
    staleness: int = 0
    order: Order = "fixed"
    shares: int = 1
    objective: Objective | str = "trajectory_balance"
    backward: Backward = "learned"
    backward_loss: BackwardLoss = "balance"
    forward_looking: bool = False
    replay_size: int = 16
    replay_capacity: int = 1000
    replay_priority: Priority = "reward"
    measured_size: int = 0
    searches: Sequence[Search] = ()
    epsilon: float = 0.05
    temperature: float = 1.0
    heads: int = 1
    ema: float = 0.0
    conditioning: Conditioning = field(default_factory=Conditioning)
    per_condition: int = 1
    floor: float = 60.0
    lr: float = 1e-3
    lr_log_z: float = 0.1
    clip_norm: float | None = 10.0
    hidden: int = 128
    layers: int = 2
    device: str = "cpu"
    precision: Precision = "auto"
    execution: ExecutionName | Execution = "auto"

    def __post_init__(self) -> None:
        for name, least in _WHOLE_NUMBERS.items():
            whole_number(name, getattr(self, name), least)
        for name, choices in _CHOICES.items():
            one_of(name, getattr(self, name), get_args(choices))
        for name in ("lr", "lr_log_z", "temperature"):
            in_range(name, getattr(self, name), 0, above=True, below=True)
        if self.clip_norm is not None:
            in_range("clip_norm", self.clip_norm, 0, above=True)
        in_range("epsilon", self.epsilon, 0, 1)
        in_range("ema", self.ema, 0, 1, below=True)
        in_range("floor", self.floor, 0)
        instance_of("forward_looking", self.forward_looking, bool, "true or false")
        instance_of("device", self.device, str, "the name of a device, such as cpu")
        instance_of("conditioning", self.conditioning, Conditioning, "a Conditioning")
        if not isinstance(self.objective, str):
            instance_of("objective", self.objective, Objective, "the kind of an objective, or an Objective")
        if not isinstance(self.execution, Execution):
            one_of("execution", self.execution, get_args(ExecutionName))
        instance_of("searches", self.searches, (list, tuple), "a list of searches")
        for search in self.searches:
            instance_of("searches", search, Search, "a list of searches, such as LocalSearch()")

    def check_groups(self, objective: Objective, n_conditions: int | None) -> None:
        """Raise an error if an objective that compares trajectories of one condition hardly ever gets two of them.

        Args:
            objective: the objective.
            n_conditions: number of conditions in the start states; None: there are none, or it is unknown.

        Raises:
            ValueError: it does.
        """
        n = self.batch_size + self.replay_size + self.measured_size
        n_pairs = n * (n - 1) / 2 / (n_conditions or 1)
        if objective.uses_groups and self.per_condition < 2 and n_pairs < 1:
            raise ValueError(
                f"per_condition: {type(objective).__name__} compares trajectories of the same condition, and a "
                f"batch of {self.batch_size} hardly has two of one among {n_conditions}; set it to at least 2"
            )

    def check_objective(self, objective: Objective) -> None:
        """Raise an error if an objective cannot be combined with the settings.

        Args:
            objective: the objective.

        Raises:
            ValueError: it cannot be combined with them.
        """
        name = type(objective).__name__
        compares = objective.uses_groups and self.per_condition > 1
        if objective.uses_groups and self.batch_size < 2:
            raise ValueError(f"batch_size: {name} compares trajectories, at least 2, got {self.batch_size}")
        if self.per_condition > self.batch_size:
            raise ValueError(
                f"per_condition: must be at most the batch_size of {self.batch_size}, got {self.per_condition}"
            )
        if self.conditioning.n_values and not (objective.uses_log_z or objective.uses_edges or compares):
            remedy = "set per_condition to at least 2, or use" if objective.uses_groups else "use"
            raise ValueError(
                f"objective: {name} has no log Z, which a conditioned reward requires; {remedy} another objective, "
                "such as trajectory_balance"
            )
        if self.forward_looking and not objective.uses_flows:
            raise ValueError(
                f"forward_looking: {name} does not use flows of partial objects; use an objective that does, such as "
                "sub_trajectory_balance"
            )
        if self.backward_loss == "likelihood" and (self.backward != "learned" or objective.uses_edges):
            reason = f"backward: {self.backward} is fixed" if self.backward != "learned" else f"{name} has none"
            raise ValueError(f"backward_loss: likelihood trains a learned backward policy, but {reason}")

        if objective.is_on_policy:
            self._check_on_policy(objective)

    def _check_on_policy(self, objective: Objective) -> None:
        """Raise an error if trajectories of another policy, or a moving reward, would reach an on-policy objective."""
        remedies = [
            f"{name}: {value}"
            for name, value, is_wrong in (
                ("replay_size", 0, self.replay_size > 0),
                ("measured_size", 0, self.measured_size > 0),
                ("searches", "[]", bool(self.searches)),
                ("staleness", 0, self.staleness > 0),
                ("ema", 0, self.ema > 0),
                ("heads", 1, self.heads > 1),
                ("backward_loss", "likelihood", self.backward == "learned" and self.backward_loss == "balance"),
                ("epochs", 1, self.epochs > 1 and not objective.uses_drawing_policy),
                ("updates", 1, self.updates > 1 and not objective.uses_drawing_policy),
            )
            if is_wrong
        ]
        if remedies:
            raise ValueError(
                f"objective: {type(objective).__name__} learns from fresh draws of the present policy alone, under a "
                f"backward policy that it does not train; set {', '.join(remedies)}"
            )

    @property
    def dtype(self) -> torch.dtype:
        """The dtype used for autocast in the policy."""
        return torch.bfloat16 if self.precision == "bfloat16" else torch.float32

    @property
    def uses_tf32(self) -> bool:
        """Whether a GPU multiplies matrices in TF32 where they are float32, as those of the heads are with bfloat16."""
        return self.precision != "float32"
