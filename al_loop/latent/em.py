"""GFlowNet-EM: maximum likelihood of models with discrete, compositional latents (Hu et al., ICML 2023).

In the paper's notation, with the names of the code: the E-step trains ``policy``, q(z|x), so that its balance loss with
the reward R(z; x) = p(x, z) (``log_joint``) vanishes; log Z(x) = log p(x) is the policy's flow at the start state of x.
The M-step ascends the mean of ``log_joint`` over z drawn from q(z|x).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from al_loop.errors import ConfigError
from al_loop.gflownet.backward_rollout import backward_rollout
from al_loop.gflownet.device import find_device
from al_loop.gflownet.learner import Learner
from al_loop.gflownet.pipeline import InlineSampler, SamplerGroup, pipeline
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.reward import Diverged, StateReward
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.sampler import Sampler
from al_loop.gflownet.trajectory_terms import log_probabilities
from al_loop.latent.base import LatentModel
from al_loop.latent.observations import Observations
from al_loop.latent.posterior import JointReward, Posterior, Report, importance_weights, improve
from al_loop.latent.settings import EM
from al_loop.seeding import derive_seed
from al_loop.system import stopping

#: most observations of which a round's report draws latents
_REPORTED = 1000
#: most pairs of an observation and a latent that a round's report enumerates
_PAIRS = 50_000
#: share of the learning rate that is left after the final E-steps
_LEAST_RATE = 0.01


@dataclass(frozen=True)
class Round:
    """What happened in a round of EM.

    Args:
        number: the round, from 1.
        loss: the smoothed loss of the sampler after its E-steps.
        n_e_steps: number of E-steps before the M-steps.
        accepted: share of latents that the moves changed.
        report: the comparison with the exact posterior; None: none was due.
    """

    number: int
    loss: float
    n_e_steps: int
    accepted: float
    report: Report | None = field(default=None)


@dataclass(frozen=True)
class _Drawn:
    """Latents drawn for an M-step.

    Args:
        index: the observation of each, shape n.
        z: terminal states of the latents, shape n x k.
        weight: their weights, shape n, in double precision; those of an observation add up to 1.
        moved: share of the latents that the moves changed.
    """

    index: Tensor
    z: Tensor
    weight: Tensor
    moved: float


class Alternation:
    """The alternation of E-steps and M-steps, one round at a time.

    Args:
        model: the model, which is modified.
        x: observations, shape n x width.
        em: the settings.
        seed: seed of all randomness.
        samplers: the samplers that draw trajectories for E-steps; None: one in this process.
    """

    def __init__(
        self, model: LatentModel, x: Tensor, em: EM, seed: int = 0, samplers: SamplerGroup | None = None
    ) -> None:
        device = find_device(em.device)
        self.model, self.x, self.em, self._seed = model.to(device), x.to(device), em, seed
        #: the model where dreams are drawn: on the CPU, whose random numbers are the same everywhere
        self._dreamer = model if device.type == "cpu" else copy.deepcopy(model).cpu()
        self.observations = Observations(model, self.x, em.n_dreams)
        if em.forward_looking and not model.is_partial:
            name = type(model).__name__
            raise ValueError(f"forward_looking: this {name} has no log-joint of unfinished latents; set it to false")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "policy"))
            policy = make_policy(self.observations, em.hidden, em.layers).to(device)
        self.learner = Learner(self.observations, em.training, derive_seed(seed, "learner"), policy)
        self._reward = StateReward(JointReward(model, self.observations), model.is_partial, is_live=True)
        self._samplers = samplers or InlineSampler(Sampler(self.observations, policy, backward=em.backward))
        self._samplers.set_reward(self._reward)
        self._dreaming = torch.optim.Adam(policy.parameters(), lr=em.lr)
        has_gradient = not model.has_closed_form
        self._model_optimizer = torch.optim.Adam(model.parameters(), lr=em.lr_model) if has_gradient else None
        self._kept: list[_Drawn] = []
        self.n_rounds = 0

    @property
    def posterior(self) -> Posterior:
        """The posterior with the present weights, on the CPU."""
        em, weights = self.em, {name: weight.cpu().clone() for name, weight in self.learner.policy.state_dict().items()}
        return Posterior(self._on_cpu(), weights, em.hidden, em.layers, em.backward)

    def _on_cpu(self) -> LatentModel:
        """Return the model on the CPU, with its present parameters."""
        if self._dreamer is not self.model:
            self._dreamer.load_state_dict(self.model.state_dict())
        return self._dreamer

    def round(self) -> Round:
        """Make the E-steps and M-steps of the next round.

        Raises:
            ConfigError: the training runs away.
        """
        number = self.n_rounds
        try:
            loss, n_e_steps = self._e_steps(number)
            accepted = self._m_steps(number)
            self.n_rounds += 1
            if self.n_rounds == self.em.rounds:
                self._final_steps()
        except Diverged as error:
            rates = f"em.lr={self.em.lr:g} and em.lr_model={self.em.lr_model:g}"
            scale = "" if self.model.reads_text else f", or rescale the data, of up to {float(self.x.abs().max()):g}"
            raise ConfigError(
                f"em.lr: the training runs away in round {number + 1} ({error}) with {rates}; use smaller ones{scale}"
            ) from None
        is_due = self.n_rounds % self.em.report_every == 0 or self.n_rounds == self.em.rounds
        return Round(self.n_rounds, loss, n_e_steps, accepted, self.report() if is_due else None)

    @torch.no_grad()
    def report(self, n: int = 4) -> Report:
        """Compare the sampler with the model on at most 1,000 of the observations.

        Args:
            n: draws for each.
        """
        generator = torch.Generator().manual_seed(derive_seed(self._seed, "report"))
        rows = torch.randperm(len(self.x), generator=generator)[:_REPORTED]
        seed = derive_seed(self._seed, "report")
        return self.posterior.report(self.x.cpu()[rows], n, seed=seed, n_pairs=_PAIRS)

    # -- E-steps -------------------------------------------------------------------------------------------------------

    def _e_steps(self, number: int) -> tuple[float, int]:
        """Train the sampler until its loss is low enough, and return the smoothed loss and the number of steps."""
        n_warm = math.ceil(self.em.warmup / self.em.e_steps) if number == 0 else 0
        for part in range(n_warm):
            self._train(f"warmup {part}", 0.0)
        loss, n_steps = self._train(number, self.em.threshold_of(number))
        return loss, n_steps + n_warm * self.em.e_steps

    def _final_steps(self) -> None:
        """Make the E-steps after the last M-step, in rounds of ``e_steps``, with a falling learning rate."""
        n_parts = math.ceil(self.em.final_steps / self.em.e_steps)
        for part in range(n_parts):
            self._scale_rate(_LEAST_RATE ** ((part + 1) / n_parts))
            self._train(f"final {part}", 0.0)
        self._scale_rate(1.0)

    def _scale_rate(self, share: float) -> None:
        """Set the learning rates of the sampler to a share of that of the settings."""
        self.learner.scale_rates(share)
        for group in self._dreaming.param_groups:
            group["lr"] = share * self.em.lr

    def _train(self, name: int | str, threshold: float) -> tuple[float, int]:
        """Make at most ``e_steps`` E-steps, and return the smoothed loss and their number.

        Args:
            name: what their random numbers depend on.
            threshold: the smoothed loss at which they end.
        """
        em, smooth, n_steps = self.em, None, 0
        self.learner.start(self._reward)
        self._on_cpu()
        for loss in pipeline(
            self.learner, self._samplers, seed=lambda purpose, step: derive_seed(self._seed, name, purpose, step)
        ):
            if em.n_dreams:
                self._dream(derive_seed(self._seed, name, "dream", n_steps))
            n_steps += 1
            smooth = loss if smooth is None else em.smoothing * smooth + (1 - em.smoothing) * loss
            if smooth < threshold:
                break
        assert smooth is not None
        return smooth, n_steps

    def _generator(self, seed: int) -> torch.Generator:
        """Return a source of randomness for roll-outs, on the learner's device."""
        return torch.Generator(self.learner.device).manual_seed(seed)

    def _dream(self, seed: int) -> None:
        """Raise the likelihood, under the sampler, of latents that the model drew with their observations."""
        generator = torch.Generator().manual_seed(seed)
        x, z = self._dreamer.sample(self.em.n_dreams, generator)
        states, policy = self.observations.dream(x, z), self.learner.policy
        generator = self._generator(seed)
        histories = backward_rollout(self.observations, policy, states, generator=generator, backward=self.em.backward)
        log_pf, _ = log_probabilities(self.observations, policy, histories, backward="uniform")
        loss = -log_pf.sum(0).mean()
        self._dreaming.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(policy.parameters(), 10.0)
        self._dreaming.step()

    # -- M-steps -------------------------------------------------------------------------------------------------------

    def _m_steps(self, number: int) -> float:
        """Improve the model on latents drawn for the observations, and return the share that the moves changed."""
        em, generator = self.em, torch.Generator().manual_seed(derive_seed(self._seed, number, "m"))
        n = len(self.x) if em.m_batch is None else min(em.m_batch, len(self.x))
        if self._model_optimizer is None:
            drawn = self._draw(torch.randperm(len(self.x), generator=generator)[:n], generator)
            if number >= (1 - em.average) * em.rounds:
                self._kept.append(drawn)
            used = self._kept or [drawn]
            index, z, weight = (torch.cat([getattr(d, name) for d in used]) for name in ("index", "z", "weight"))
            self.model.maximise(self.x[index], z, weight / len(used))
            return drawn.moved
        shares = []
        for _ in range(em.m_steps):
            stopping.look()
            rows = torch.randint(len(self.x), (min(n, em.batch_size),), generator=generator)
            drawn = self._draw(rows, generator)
            log_joint = self.model.log_joint(self.x[drawn.index], drawn.z)
            loss = -(log_joint * drawn.weight).sum() / drawn.weight.sum()
            self._model_optimizer.zero_grad()
            torch.autograd.backward(loss)
            self._model_optimizer.step()
            shares.append(drawn.moved)
        return sum(shares) / len(shares)

    @torch.no_grad()
    def _draw(self, rows: Tensor, generator: torch.Generator) -> _Drawn:
        """Return latents of observations, as the settings say.

        Args:
            rows: the observations.
            generator: source of all randomness.
        """
        em, policy = self.em, self.learner.sampling_policy
        index = rows.to(self.x.device).repeat_interleave(em.draws)
        if self.x.device.type != "cpu":
            generator = self._generator(int(torch.randint(2**62, (1,), generator=generator)))
        drawn = rollout(
            self.observations, policy, len(index), generator=generator, start=self.observations.start(index)
        )
        before = states = drawn.terminal
        weight = torch.full((len(index),), 1 / em.draws, dtype=torch.float64, device=states.device)
        if em.moves:
            states = improve(self.observations, policy, self.model, states, em.moves, em.undone, em.backward, generator)
        elif em.weighted:
            log_weight = importance_weights(self.observations, policy, self.model, drawn, em.backward)
            weight = log_weight.view(len(rows), em.draws).softmax(1).flatten()
        moved = float((states != before).any(1).double().mean())
        if em.best:
            log_joint = self.model.log_joint(*self.observations.observed(states)).view(len(rows), em.draws)
            best = torch.arange(len(rows), device=states.device) * em.draws + log_joint.argmax(1)
            states, weight = states[best], torch.ones(len(rows), dtype=torch.float64, device=states.device)
        return _Drawn(states[:, 0], states[:, 1:], weight, moved)

    # -- checkpoints ---------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the complete state, from which ``load_state_dict`` resumes bit for bit."""
        optimizer = self._model_optimizer
        return copy.deepcopy(
            {
                "model": self.model.state_dict(),
                "learner": self.learner.state_dict(),
                "dreaming": self._dreaming.state_dict(),
                "model_optimizer": None if optimizer is None else optimizer.state_dict(),
                "kept": [vars(drawn) for drawn in self._kept],
                "n_rounds": self.n_rounds,
            }
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state returned by ``state_dict``, under the same settings."""
        self.model.load_state_dict(state["model"])
        self.learner.load_state_dict(state["learner"])
        self._dreaming.load_state_dict(state["dreaming"])
        if self._model_optimizer is not None:
            self._model_optimizer.load_state_dict(state["model_optimizer"])
        self._kept = [
            _Drawn(**drawn) if isinstance(drawn, dict) else self._unweighted(*drawn) for drawn in state["kept"]
        ]
        self.n_rounds = state["n_rounds"]

    def _unweighted(self, index: Tensor, z: Tensor) -> _Drawn:
        """Return draws of equal weight, which version 0.2.0 wrote as pairs."""
        return _Drawn(index, z, torch.full((len(index),), 1 / self.em.draws, dtype=torch.float64, device=z.device), 0.0)


@dataclass(frozen=True)
class Result:
    """A fitted model.

    Args:
        model: the model.
        posterior: its posterior, which draws latents of any observation.
        rounds: what happened in each round.
    """

    model: LatentModel
    posterior: Posterior
    rounds: list[Round]
