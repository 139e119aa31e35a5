"""The amortised posterior q(z|x), and its comparison with the exact one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from al_loop.gflownet.back_and_forth import back_and_forth, metropolis_hastings, random_shares
from al_loop.gflownet.backward_rollout import Backward
from al_loop.gflownet.exact_distribution import terminal_distribution
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.trajectories import Trajectories
from al_loop.gflownet.trajectory_terms import log_probabilities
from al_loop.latent.base import LatentModel
from al_loop.latent.observations import Observations
from al_loop.system.checks import in_range, whole_number

#: most trajectories that are drawn at a time
_CHUNK = 20_000


class JointReward(nn.Module):
    """The live reward log p(x, z) of states, whose parameters are those of the model.

    Args:
        model: the model.
        observations: the environment of the states.
    """

    def __init__(self, model: LatentModel, observations: Observations) -> None:
        super().__init__()
        self.model, self._observations = model, observations

    @torch.no_grad()
    def forward(self, states: Tensor) -> Tensor:
        """Return log p(x, z) of finished states, and the terms of it that are determined of partial ones, shape n."""
        x, z = self._observations.observed(states)
        if self.model.is_partial:
            return self.model.log_partial(x, z)
        return self.model.log_joint(x, z)


@dataclass(frozen=True)
class Report:
    """How well a model fits observations, and how well the sampler knows its posterior; means over observations.

    Args:
        bound: evidence lower bound of log p(x), in nats per observation.
        importance: log p(x) by importance sampling, a lower bound in expectation.
        effective: effective sample size of the importance weights, as a share of the draws.
        log_likelihood: log p(x), if the model computes it exactly; otherwise NaN.
        kl: KL divergence of q(z|x) from p(z|x): exact for enumerated latents, otherwise an estimate of an upper bound
            from the draws (with the exact log p(x)); NaN without an exact log p(x).
        is_kl_exact: whether ``kl`` is a sum over all latents (of as many observations as ``n_pairs`` allows).
    """

    bound: float
    importance: float
    effective: float
    log_likelihood: float = math.nan
    kl: float = math.nan
    is_kl_exact: bool = False


class Posterior:
    """The posterior q(z|x) of a model, which a sampler draws for any observation.

    Args:
        model: the model.
        weights: the weights of the sampler's network.
        hidden: width of the network.
        layers: number of its layers.
        backward: the backward policy.
    """

    def __init__(
        self, model: LatentModel, weights: dict[str, Tensor], hidden: int, layers: int, backward: Backward = "learned"
    ) -> None:
        self.model, self.weights = model, weights
        self.hidden, self.layers, self.backward = hidden, layers, backward

    def _bind(self, x: Any) -> tuple[Observations, Policy]:
        observations = Observations(self.model, self.model.rows_of(x))
        with torch.random.fork_rng(devices=[]):
            policy = make_policy(observations, self.hidden, self.layers)
        policy.load_state_dict(self.weights)
        return observations, policy

    def draw(self, x: Any, n: int = 1, *, seed: int = 0, moves: int = 0, undone: float = 0.5) -> Tensor:
        """Draw latents of observations.

        Args:
            x: m observations: a tensor, or data that the model reads.
            n: number of latents of each.
            seed: source of all randomness.
            moves: back-and-forth moves with Metropolis-Hastings acceptance that follow, which make the draws more
                exact.
            undone: mean share of its steps that a move takes back.

        Returns:
            Terminal states of the latents, shape m x n x k.

        Raises:
            ValueError: a number is out of range, or the data are not observations of the model.
        """
        whole_number("n", n, 1)
        whole_number("moves", moves, 0)
        in_range("undone", undone, 0, 1, above=True)
        observations, policy = self._bind(x)
        m = observations.n_observed
        index = torch.arange(m).repeat_interleave(n)
        generator = torch.Generator().manual_seed(seed)
        parts = []
        for rows in index.split(_CHUNK):
            drawn = rollout(observations, policy, len(rows), generator=generator, start=observations.start(rows))
            states = drawn.terminal
            if moves:
                states = improve(observations, policy, self.model, states, moves, undone, self.backward, generator)
            parts.append(states[:, 1:])
        return torch.cat(parts).view(m, n, -1)

    @torch.no_grad()
    def weighted(self, x: Any, n: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Draw latents with importance weights, whose weighted means are those of p(z|x) in the limit of many draws.

        Args:
            x: m observations.
            n: number of latents of each.
            seed: source of all randomness.

        Returns:
            Terminal states of the latents, shape m x n x k, and their weights, shape m x n, which add up to 1.

        Raises:
            ValueError: n is below 1, or the data are not observations of the model.
        """
        whole_number("n", n, 1)
        observations, policy = self._bind(x)
        generator = torch.Generator().manual_seed(seed)
        states, log_weights = _weighted_draws(observations, policy, self.model, n, generator, self.backward)
        return states, log_weights.softmax(1)

    def codes(self, x: Any) -> tuple[Tensor, Tensor]:
        """Return q(z|x) of every latent, for models with few of them.

        Args:
            x: m observations.

        Returns:
            Probabilities, shape m x n_codes in double precision, and the codes in the same order, n_codes x k.
        """
        observations, policy = self._bind(x)
        return _code_probabilities(observations, policy, self.model, observations.n_observed), self.model.codes

    @torch.no_grad()
    def importance(self, x: Any, n: int = 100, *, seed: int = 0) -> Tensor:
        """Estimate log p(x) of m observations by importance sampling, shape m; a lower bound in expectation.

        Args:
            x: the observations.
            n: draws for each.
            seed: source of all randomness.

        Raises:
            ValueError: n is below 1, or the data are not observations of the model.
        """
        whole_number("n", n, 1)
        observations, policy = self._bind(x)
        generator = torch.Generator().manual_seed(seed)
        _, log_weights = _weighted_draws(observations, policy, self.model, n, generator, self.backward)
        return log_weights.logsumexp(1) - math.log(n)

    def report(self, x: Any, n: int = 16, *, seed: int = 0, n_pairs: int | None = None) -> Report:
        """Compare the posterior with the model on observations.

        Args:
            x: the observations.
            n: draws for each.
            seed: source of all randomness.
            n_pairs: most pairs of an observation and a latent that are enumerated for the KL divergence, which is then
                that of the first observations alone, at least one; None: all pairs.

        Raises:
            ValueError: n is below 1, or the data are not observations of the model.
        """
        whole_number("n", n, 1)
        observations, policy = self._bind(x)
        generator = torch.Generator().manual_seed(seed)
        return evaluate(observations, policy, self.model, n, generator, self.backward, n_pairs)


@torch.no_grad()
def improve(
    observations: Observations,
    policy: Policy,
    model: LatentModel,
    states: Tensor,
    moves: int,
    undone: float,
    backward: Backward,
    generator: torch.Generator,
) -> Tensor:
    """Return terminal states after back-and-forth moves, accepted by Metropolis-Hastings under p(z|x).

    Args:
        observations: the environment of the states.
        policy: the sampler's network.
        model: the model.
        states: terminal states, shape n x state_size.
        moves: number of moves.
        undone: mean share of its steps that a move takes back.
        backward: the backward policy.
        generator: source of all randomness.
    """
    log_joint = model.log_joint(*observations.observed(states))
    for _ in range(moves):
        undone_steps = random_shares(undone, len(states), generator)
        move = back_and_forth(observations, policy, states, undone_steps, generator=generator, backward=backward)
        assert move.log_ratio is not None
        proposed = model.log_joint(*observations.observed(move.states))
        accepted = metropolis_hastings(move.log_ratio, log_joint, proposed, generator)
        states = torch.where(accepted[:, None], move.states, states)
        log_joint = torch.where(accepted, proposed, log_joint)
    return states


def _code_probabilities(observations: Observations, policy: Policy, model: LatentModel, n: int) -> Tensor:
    """Return q(z|x) of every code of the first n rows, shape n x n_codes; 0 for codes that are not allowed."""
    codes = model.codes
    order = {tuple(row): i for i, row in enumerate(codes.tolist())}
    probabilities = torch.zeros(n, len(codes), dtype=torch.float64)
    for rows in torch.arange(n).split(max(_CHUNK // len(codes), 1)):
        states, mass = terminal_distribution(observations, policy, observations.start(rows))
        column = torch.tensor([order[tuple(row)] for row in states[:, 1:].tolist()])
        probabilities[states[:, 0], column] = mass
    return probabilities


def importance_weights(
    observations: Observations, policy: Policy, model: LatentModel, drawn: Trajectories, backward: Backward
) -> Tensor:
    """Return log p(x, z) + log P_B - log P_F of trajectories, shape n, in double precision.

    Args:
        observations: the environment.
        policy: the sampler's network.
        model: the model.
        drawn: n trajectories.
        backward: the backward policy.
    """
    log_pf, log_pb = log_probabilities(observations, policy, drawn, backward=backward)
    log_joint = model.log_joint(*observations.observed(drawn.terminal))
    return log_joint.double() + log_pb.double().sum(0) - log_pf.double().sum(0)


def _weighted_draws(
    observations: Observations,
    policy: Policy,
    model: LatentModel,
    n: int,
    generator: torch.Generator,
    backward: Backward,
) -> tuple[Tensor, Tensor]:
    """Return terminal states of n draws for each observation, shape m x n x k, and log importance weights, m x n."""
    states, log_weights = [], []
    for rows in torch.arange(observations.n_observed).split(max(_CHUNK // n, 1)):
        index = rows.repeat_interleave(n)
        drawn = rollout(observations, policy, len(index), generator=generator, start=observations.start(index))
        states.append(drawn.terminal[:, 1:].view(len(rows), n, -1))
        log_weights.append(importance_weights(observations, policy, model, drawn, backward).view(len(rows), n))
    return torch.cat(states), torch.cat(log_weights)


@torch.no_grad()
def evaluate(
    observations: Observations,
    policy: Policy,
    model: LatentModel,
    n: int,
    generator: torch.Generator,
    backward: Backward = "learned",
    n_pairs: int | None = None,
) -> Report:
    """Return the report of a sampler on all observations of an environment.

    Args:
        observations: the environment.
        policy: the sampler's network.
        model: the model.
        n: draws for each observation.
        generator: source of all randomness.
        backward: the backward policy.
        n_pairs: most pairs of an observation and a latent that are enumerated; None: all.
    """
    _, weights = _weighted_draws(observations, policy, model, n, generator, backward)
    importance = weights.logsumexp(1) - math.log(n)
    effective = (2 * weights.logsumexp(1) - (2 * weights).logsumexp(1)).exp() / n
    bound = float(weights.mean())
    report = Report(bound, float(importance.mean()), float(effective.mean()))
    if not model.is_exact:
        return report
    x = observations.x[: observations.n_observed]
    log_likelihood = float(model.log_likelihood(x).double().mean())
    kl, is_exact = log_likelihood - bound, model.has_codes
    if is_exact:
        n_enumerated = len(x) if n_pairs is None else min(len(x), max(n_pairs // len(model.codes), 1))
        q = _code_probabilities(observations, policy, model, n_enumerated)
        log_joint = model.log_joints(x[:n_enumerated]).double()
        log_p = log_joint - log_joint.logsumexp(1, keepdim=True)
        kl = float(torch.where(q > 0, q * (q.clamp(min=1e-300).log() - log_p), 0.0).sum(1).mean())
    return Report(report.bound, report.importance, report.effective, log_likelihood, kl, is_exact)
