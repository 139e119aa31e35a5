"""Settings of GFlowNet-EM."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

from al_loop.gflownet.backward_rollout import Backward
from al_loop.gflownet.objectives import make_objective
from al_loop.gflownet.settings import TrainingSettings
from al_loop.system.checks import one_of, whole_number


@dataclass(frozen=True)
class EM:
    """Settings of GFlowNet-EM (Hu et al. 2023); the section ``em`` of a config has the same names.

    A round trains the sampler q(z|x) in E-steps, until its smoothed loss is below the threshold or there were
    ``e_steps`` of them. It then draws latents, improves them by moves, and makes the M-steps.

    Args:
        rounds: number of rounds.
        e_steps: largest number of E-steps in a round.
        warmup: E-steps before the first round. An M-step on latents of an untrained sampler makes all latents alike, a
            saddle that EM takes long to leave.
        final_steps: E-steps after the last M-step, in which the learning rate falls to a hundredth, so that the sampler
            catches up with a model that no longer changes.
        batch_size: observations of an E-step, with one trajectory each.
        threshold: loss, smoothed over E-steps, above which the M-step waits; 0: it waits for ``e_steps`` E-steps.
        final_threshold: the threshold of the last round; it changes linearly in between. None: it is constant.
        smoothing: decay of the smoothed loss, at least 0 and below 1.
        sleep: dreams of an E-step, as a share of the batch: pairs drawn from the model, whose latents' likelihood under
            the sampler is maximised (wake-sleep).
        moves: back-and-forth moves with Metropolis-Hastings acceptance before the M-step.
        undone: mean share of its steps that a move takes back. Each move draws its own, so that moves reach every
            latent, also where latents are built in one order.
        draws: latents of each observation in the M-step.
        weighted: whether these draws are weighted by importance, in place of moves, so that the M-step is that of the
            exact posterior in the limit of many draws, however good the sampler.
        average: share of the rounds, at the end, in which a closed M-step uses the draws of all rounds since it began
            (stochastic approximation EM, Delyon et al. 1999), which removes the noise of single draws.
        best: whether the M-step uses only the best of the draws of each observation, which is hard EM.
        m_batch: observations of an M-step; None: all of them, which a closed M-step requires to converge.
        m_steps: gradient steps of a round, for models without a closed M-step.
        lr_model: learning rate of these (Adam).
        objective: the sampler's loss, by its kind.
        backward: the backward policy.
        forward_looking: whether flows are learned relative to the partial log-joint.
        per_observation: trajectories for each observation in an E-step, at least 2 for ``log_partition_variance``.
        floor: log-joints lower than the best of the same observation in a batch by more than this count as that much
            lower; above 0.
        epsilon: share of uniform actions in E-steps.
        temperature: divisor of the policy's logits in E-steps.
        lr: learning rate of the sampler.
        hidden: width of the sampler's network.
        layers: number of its layers.
        report_every: rounds between two reports of exact quantities.
        device: ``cpu``, ``cuda``, ...
        staleness: most E-steps by which the weights of a draw may lag behind, so that samplers on Ray draw while the
            sampler's network is trained.

    Raises:
        ValueError: a setting is out of range.
    """

    rounds: int = 50
    e_steps: int = 100
    warmup: int = 0
    final_steps: int = 0
    batch_size: int = 128
    threshold: float = 0.0
    final_threshold: float | None = None
    smoothing: float = 0.9
    sleep: float = 1.0
    moves: int = 2
    undone: float = 0.5
    draws: int = 1
    weighted: bool = False
    average: float = 0.0
    best: bool = False
    m_batch: int | None = None
    m_steps: int = 10
    lr_model: float = 1e-3
    objective: str = "trajectory_balance"
    backward: Backward = "learned"
    forward_looking: bool = False
    per_observation: int = 1
    floor: float = 60.0
    epsilon: float = 0.05
    temperature: float = 1.0
    lr: float = 1e-3
    hidden: int = 128
    layers: int = 2
    report_every: int = 1
    device: str = "cpu"
    staleness: int = 0

    def __post_init__(self) -> None:
        for name, low in (
            ("rounds", 0), ("e_steps", 1), ("warmup", 0), ("final_steps", 0), ("batch_size", 1), ("moves", 0),
            ("draws", 1), ("m_steps", 1), ("per_observation", 1), ("report_every", 1), ("staleness", 0), ("hidden", 1),
            ("layers", 1),
        ):  # fmt: skip
            whole_number(name, getattr(self, name), low)
        if self.m_batch is not None and (not isinstance(self.m_batch, int) or self.m_batch < 1):
            raise ValueError(f"m_batch: must be at least 1, or null for all observations, got {self.m_batch}")
        one_of("backward", self.backward, get_args(Backward))
        if self.per_observation > self.batch_size:
            raise ValueError(
                f"per_observation: must be at most the batch_size of {self.batch_size}, got {self.per_observation}"
            )
        for name in ("threshold", "sleep", "final_threshold"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name}: must be at least 0 and finite, got {value}")
        for name in ("lr", "lr_model", "temperature", "floor"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: must be above 0 and finite, got {getattr(self, name)}")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing: must be at least 0 and below 1, got {self.smoothing}")
        if not 0 < self.undone <= 1:
            raise ValueError(f"undone: must be above 0 and at most 1, got {self.undone}")
        for name in ("epsilon", "average"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: must be from 0 to 1, got {getattr(self, name)}")
        if self.weighted and (self.moves or self.best or self.draws < 2):
            raise ValueError(
                "weighted: requires at least 2 draws, no moves and best: false, got "
                f"draws {self.draws}, moves {self.moves} and best {str(self.best).lower()}"
            )
        if self.final_threshold is not None and not self.threshold:
            raise ValueError("final_threshold: requires a threshold above 0, from which it changes")
        self._check_objective()

    def _check_objective(self) -> None:
        """Check that the objective can learn a posterior.

        Raises:
            ValueError: it is unknown, or cannot.
        """
        objective = make_objective(self.objective)
        reason = ""
        if objective.uses_reference:
            reason = "requires a prior of its own; use another one, such as trajectory_balance"
        elif objective.uses_stops:
            reason = "requires objects that may end at each step, and latents do not; use another one, such as "
            reason += "sub_trajectory_balance"
        elif objective.uses_groups and self.per_observation < 2:
            reason = "compares the trajectories of an observation; set per_observation to at least 2, such as 4"
        elif objective.is_on_policy and self.backward == "learned":
            reason = "requires a backward policy that it does not train; set backward: uniform"
        if reason:
            raise ValueError(f"objective: {self.objective} {reason}")
        self.training.check_objective(objective)

    def threshold_of(self, number: int) -> float:
        """Return the threshold of a round, 0 if there is none.

        Args:
            number: the round, from 0.
        """
        if self.final_threshold is None:
            return self.threshold
        share = number / max(self.rounds - 1, 1)
        return self.threshold + share * (self.final_threshold - self.threshold)

    @property
    def n_dreams(self) -> int:
        """Number of dreams of an E-step."""
        return math.ceil(self.sleep * self.batch_size)

    @property
    def training(self) -> TrainingSettings:
        """The settings of the sampler's E-steps."""
        return TrainingSettings(
            steps=self.e_steps,
            batch_size=self.batch_size,
            objective=self.objective,
            backward=self.backward,
            forward_looking=self.forward_looking,
            per_condition=self.per_observation,
            staleness=self.staleness,
            replay_size=0,
            epsilon=self.epsilon,
            temperature=self.temperature,
            floor=self.floor,
            lr=self.lr,
            hidden=self.hidden,
            layers=self.layers,
            device=self.device,
        )
