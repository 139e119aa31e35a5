"""The joint training of an energy and of the sampler that draws from it (EB-GFN, Zhang et al. 2022)."""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from al_loop.energy import negatives
from al_loop.energy.data import LiveData
from al_loop.energy.energies.base import Energy
from al_loop.energy.settings import EnergySettings
from al_loop.environments.base import Environment
from al_loop.errors import ConfigError
from al_loop.gflownet.learner import Learner
from al_loop.gflownet.moving_average import moving_average
from al_loop.gflownet.pipeline import InlineSampler, Pending, SamplerGroup
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.reward import Diverged, StateReward
from al_loop.gflownet.sampler import Draw, DrawRequest, Sampler
from al_loop.gflownet.settings import TrainingSettings
from al_loop.seeding import derive_seed

_LARGEST_SPREAD = 1e4  # nats between the scores of a batch; log-probabilities of real objects differ by hundreds
_LOWEST_RATE = 0.01  # share of the sampler's learning rate at the end


@dataclass(frozen=True)
class StepInfo:
    """Numbers of one step.

    Args:
        loss: the sampler's mean loss on its own draws.
        gap: mean score of the data minus that of the negatives; 0 at the solution.
        share: accepted share of moves, or effective share of weighted draws.
    """

    loss: float
    gap: float
    share: float


def _zeros(states: Tensor) -> Tensor:
    return torch.zeros(len(states), device=states.device)


def zero_reward() -> StateReward:
    """Return the reward of samplers, which leave the scores of their draws to the learner, which has the energy."""
    return StateReward(_zeros)


def make_sampler(environment: Environment, policy: Policy, training: TrainingSettings) -> Sampler:
    """Return a sampler that leaves the scores of its draws to the learner, which has the energy."""
    sampler = Sampler(environment, policy, backward=training.backward, precision=training.dtype)
    sampler.set_reward(zero_reward())
    return sampler


class EnergyTrainer:
    """An energy, and a sampler with the energy as its live reward.

    The sampler's loss is that of its own draws and of backward walks from data, mixed by their numbers. The energy
    ascends mean score of data - mean score of negatives, the gradient of the log-likelihood.

    Args:
        environment: the space.
        energy: the energy.
        data: terminal states of the training data, shape n x state_size, and their weights or None.
        settings: the settings of the energy.
        training: the settings of the sampler; its batch size, steps and replay are those of the energy's settings.
        seed: source of all randomness.
        policy: the policy network; None: the environment's default.
        samplers: draw in other processes; None: in this one.
    """

    def __init__(
        self,
        environment: Environment,
        energy: Energy,
        data: tuple[Tensor, Tensor | None],
        settings: EnergySettings,
        training: TrainingSettings,
        seed: int,
        policy: Policy | None = None,
        samplers: SamplerGroup | None = None,
    ) -> None:
        self.environment, self.settings, self.training, self._seed = environment, settings, training, seed
        self.learner = Learner(environment, training, derive_seed(seed, "weights"), policy)
        self.device = self.learner.device
        self.energy = energy.to(self.device)
        self._average = AveragedModel(energy, multi_avg_fn=moving_average(settings.ema)) if settings.ema else None
        self._data = LiveData(data[0].to(self.device), data[1])
        self.learner.add_source(self._data, settings.data_batch)
        self.learner.start(StateReward(self.energy, is_live=True))
        parameters = self.energy.parameters()
        self._optimizer = torch.optim.AdamW(parameters, lr=settings.lr, weight_decay=settings.decay)
        self._is_shared = samplers is None  # the sampler has the learner's own weights
        self._samplers = samplers or InlineSampler(make_sampler(environment, self.learner.sampling_policy, training))
        self._in_progress: deque[Pending] = deque()
        self._n_begun = 0
        self.n_steps = 0

    @property
    def settles_after(self) -> int:
        """Number of steps after which the energy stays as it is, and the sampler catches up."""
        return round((1 - self.settings.settle) * self.settings.steps)

    @property
    def is_settling(self) -> bool:
        """Whether the energy stays as it is from now on."""
        return self.n_steps >= self.settles_after

    def settle(self) -> None:
        """Skip the remaining steps of the energy, so that only those are left in which the sampler catches up."""
        self.n_steps = self._n_begun = max(self.n_steps, self.settles_after)
        self._in_progress.clear()

    def step(self) -> StepInfo:
        """Make one gradient step of the energy and one of the sampler.

        Raises:
            ConfigError: the scores run away, or are not finite, or the sampler's numbers are not.
        """
        try:
            return self._step()
        except Diverged as error:
            rates = self.training
            raise ConfigError(
                f"lr: the training runs away at step {self.n_steps} ({error}) with lr={self.settings.lr:g}, "
                f"sampler.lr={rates.lr:g} and sampler.lr_log_z={rates.lr_log_z:g}; use smaller ones"
            ) from None

    def _step(self) -> StepInfo:
        number, settings = self.n_steps, self.settings
        draw = self._draw()
        progress = number / settings.steps
        gap = share = 0.0
        if not self.is_settling:
            rate = 0.5 + 0.5 * math.cos(math.pi * progress / (1 - settings.settle))
            gap, share = self._energy_step(draw, number, rate)
            if self.n_steps + 1 >= self.settles_after and self._average is not None:
                averaged = self._average.module
                self.energy.load_state_dict(averaged.state_dict())
        rate = _LOWEST_RATE + (1 - _LOWEST_RATE) * (0.5 + 0.5 * math.cos(math.pi * progress))
        self.learner.scale_rates(rate)
        loss = self.learner.updates(draw, seed=derive_seed(self._seed, "data", number))
        self.n_steps += 1
        return StepInfo(loss, gap, share)

    def _draw(self) -> Draw:
        """Return the draw of the next step; the following ones have begun, as far as they may be stale."""
        training = self.training
        if not self._is_shared:
            self._samplers.set_weights(self.learner.weights())
        while self._n_begun < min(self.n_steps + training.staleness + 1, self.settings.steps):
            request = DrawRequest(
                self.settings.batch_size,
                derive_seed(self._seed, "draw", self._n_begun),
                training.epsilon,
                training.temperature,
            )
            self._in_progress.append(self._samplers.begin(request))
            self._n_begun += 1
        return self._in_progress.popleft().result().to(self.device)

    def _energy_step(self, draw: Draw, number: int, rate: float) -> tuple[float, float]:
        """Make a gradient step of the energy, and return the gap of the scores and the share of the negatives."""
        settings, policy, backward = self.settings, self.learner.policy, self.training.backward
        chooser = torch.Generator().manual_seed(derive_seed(self._seed, "positives", number))
        positives = self._data.rows(settings.data_batch, chooser)
        if settings.negatives == "fresh":
            found = negatives.fresh(
                self.environment,
                policy,
                self.energy,
                draw.trajectories,
                backward=backward,
                is_corrected=settings.is_corrected,
            )
        else:
            longest = self.environment.max_steps
            found = negatives.moved(
                self.environment,
                policy,
                self.energy,
                positives,
                negatives.n_undone(number, settings.steps, settings.warmup, longest),
                generator=torch.Generator(self.device).manual_seed(derive_seed(self._seed, "moves", number)),
                backward=backward,
                is_corrected=settings.is_corrected,
            )
        scores = self.energy(torch.cat([positives, found.states]))
        of_data, of_negatives = scores[: len(positives)], scores[len(positives) :]
        gap = of_data.mean() - (found.weights * of_negatives).sum()
        own = scores if self.energy.base is None else scores - self.energy.base(torch.cat([positives, found.states]))
        loss = settings.l2 * (own**2).mean() - gap
        penalty = self.energy.penalty()
        if penalty is not None:
            loss = loss + penalty
        self._check(scores.detach(), loss.detach())
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        if self.training.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.energy.parameters(), self.training.clip_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * settings.lr
        self._optimizer.step()
        if self._average is not None:
            self._average.update_parameters(self.energy)
        return float(gap.detach()), found.share

    def _check(self, scores: Tensor, loss: Tensor) -> None:
        """Raise an error if the scores run away."""
        spread = float(scores.max() - scores.min())
        if math.isfinite(float(loss)) and spread <= _LARGEST_SPREAD:
            return
        settings = self.settings
        raise ConfigError(
            f"lr: the energy's scores run away (step {self.n_steps}: they spread over {spread:.3g} nats) with "
            f"lr={settings.lr:g} and l2={settings.l2:g}; use a smaller lr, or a larger l2"
        )

    def close(self) -> None:
        """Shut down the samplers."""
        self._samplers.close()

    def state_dict(self) -> dict[str, Any]:
        """Return the complete state, from which ``load_state_dict`` resumes, bit for bit without staleness."""
        return copy.deepcopy(
            {
                "learner": self.learner.state_dict(),
                "energy": self.energy.state_dict(),
                "average": None if self._average is None else self._average.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "n_steps": self.n_steps,
            }
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state returned by ``state_dict``."""
        self.learner.load_state_dict(state["learner"])
        self.energy.load_state_dict(state["energy"])
        if self._average is not None and state["average"] is not None:
            self._average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.n_steps = self._n_begun = state["n_steps"]
        self._in_progress.clear()
