"""Distances between an energy, its sampler and the data: likelihoods, log Z and L1."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from al_loop.energy.energies.base import Energy
from al_loop.environments.base import Environment
from al_loop.gflownet.backward_rollout import Backward
from al_loop.gflownet.evaluation import evidence_bounds, log_likelihood
from al_loop.gflownet.exact_distribution import terminal_distribution
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.reward import StateReward
from al_loop.gflownet.unique_rows import unique_rows

_N_DRAWS = 512
_N_HISTORIES = 20  # of each held-out object, as in Zhang et al. 2022
_MOST_OBJECTS = 512  # held-out objects of an estimate
_CHUNK = 8192
_MOST_CHILDREN = 4  # for each state, beyond which a space is not enumerated


@dataclass(frozen=True)
class EnergyReport:
    """The state of a training; all numbers in nats. Estimates have standard errors, exact numbers the error 0.

    Args:
        step: number of steps.
        energy_nll: negative log-likelihood of a held-out object under the energy, log Z - score; NaN without any.
        sampler_nll: that under the sampler.
        sampler_nll_error: its standard error; 0 if it is exact.
        log_z: log of the energy's sum over all objects: exact, or estimated from the sampler's draws.
        log_z_error: its standard error; 0 if it is exact.
        learned_log_z: the sampler's own parameter.
        effective_share: effective share of the weights of the sampler's draws under the energy, from 0 to 1; 1 if the
            two agree.
        kl_bound: an upper bound on KL(sampler || energy), or its value if it is exact.
        l1: sum of |sampler - energy| over all objects; NaN unless exact.
        is_exact: whether all objects were enumerated.
    """

    step: int
    energy_nll: float
    sampler_nll: float
    sampler_nll_error: float
    log_z: float
    log_z_error: float
    learned_log_z: float
    effective_share: float
    kl_bound: float
    l1: float
    is_exact: bool

    @property
    def lag(self) -> float:
        """How much worse the sampler explains held-out objects than the energy: above 0, the sampler lags behind."""
        return self.sampler_nll - self.energy_nll

    @property
    def worse_nll(self) -> float:
        """The larger of the two likelihoods' negatives, by which a training finds the state to go back to."""
        return max(self.energy_nll, self.sampler_nll)

    def as_metrics(self) -> dict[str, float]:
        """Return the numbers for sinks and files."""
        return {name: float(value) for name, value in asdict(self).items()} | {"lag": self.lag}

    def __str__(self) -> str:
        error = "" if self.is_exact or math.isnan(self.sampler_nll_error) else f" +- {self.sampler_nll_error:.3f}"
        numbers = [
            "no held-out object"
            if math.isnan(self.worse_nll)
            else f"energy {self.energy_nll:.3f}, sampler {self.sampler_nll:.3f}{error} nats per held-out object",
            f"log Z {self.log_z:.3f} (learned {self.learned_log_z:.3f})",
            f"KL {'' if self.is_exact else 'at most '}{self.kl_bound:.3f}",
        ]
        numbers.append(f"L1 {self.l1:.3f}" if self.is_exact else f"effective share {self.effective_share:.2f}")
        return ", ".join(numbers)


def count_states(environment: Environment, most: int) -> int | None:
    """Return the number of states of an environment, or None if there are more than a limit.

    Args:
        environment: the space.
        most: the limit.
    """
    states, total = environment.initial(1), 0
    for _ in range(environment.max_steps + 1):
        total += len(states)
        states = states[~environment.is_terminal(states)]
        if not len(states):
            return total
        n_children = 0
        children = []
        for part in states.split(64):  # a state may have thousands of children
            row, action = environment.forward_mask(part).nonzero(as_tuple=True)
            n_children += len(row)
            children.append(environment.step(part[row], action))
            if n_children > _MOST_CHILDREN * most:
                return None
        states = torch.cat(children)
        states = states[unique_rows(states)[0]]
        if total + len(states) > most:
            return None
    return total


@torch.no_grad()
def exact_report(
    environment: Environment, energy: Energy, policy: Policy, held_out: Tensor, learned_log_z: float, step: int
) -> EnergyReport:
    """Report by enumerating all objects.

    Args:
        environment: a small space.
        energy: the energy.
        policy: the sampler's policy.
        held_out: terminal states of held-out objects, shape n x state_size; may be empty.
        learned_log_z: the sampler's own log Z.
        step: number of steps so far.
    """
    if next(policy.parameters()).device.type != "cpu":  # copies, since modules move in place
        policy, energy = copy.deepcopy(policy).cpu(), copy.deepcopy(energy).cpu()
    states, q = terminal_distribution(environment, policy)
    scores = torch.cat([energy(part) for part in states.split(_CHUNK)]).double()
    scores = scores - environment.log_multiplicity(states).double()
    log_z = float(scores.logsumexp(0))
    p = (scores - log_z).exp()
    log_q = q.log()
    counts = _counts(states, held_out.cpu())
    kl = float((q * (log_q - (scores - log_z)))[q > 0].sum())
    share = 1 / float((p**2 / q)[q > 0].sum()) if bool((q > 0).any()) else 0.0
    return EnergyReport(
        step=step,
        energy_nll=_nll(counts, scores - log_z),
        sampler_nll=_nll(counts, log_q),
        sampler_nll_error=0.0,
        log_z=log_z,
        log_z_error=0.0,
        learned_log_z=learned_log_z,
        effective_share=share,
        kl_bound=kl,
        l1=float((p - q).abs().sum()),
        is_exact=True,
    )


def _nll(counts: Tensor, log_p: Tensor) -> float:
    """Return the mean negative log-likelihood of counted objects; NaN if there are none."""
    n = float(counts.sum())
    return -float((counts * log_p)[counts > 0].sum()) / n if n else math.nan


def _counts(states: Tensor, rows: Tensor) -> Tensor:
    """Return how often each of some distinct states occurs among rows, shape n, double precision."""
    _, group = unique_rows(torch.cat([states, rows]))
    of_group = torch.zeros(len(states) + len(rows), dtype=torch.float64).index_add(
        0, group[len(states) :], torch.ones(len(rows), dtype=torch.float64)
    )
    return of_group[group[: len(states)]]


@torch.no_grad()
def estimated_report(
    environment: Environment,
    energy: Energy,
    policy: Policy,
    held_out: Tensor,
    learned_log_z: float,
    step: int,
    *,
    backward: Backward,
    generator: torch.Generator,
) -> EnergyReport:
    """Report by importance sampling, for spaces that cannot be enumerated.

    Args:
        environment: the space.
        energy: the energy.
        policy: the sampler's policy.
        held_out: terminal states of held-out objects, shape n x state_size; may be empty.
        learned_log_z: the sampler's own log Z.
        step: number of steps so far.
        backward: the backward policy.
        generator: source of all randomness, on the policy's device.
    """
    reward = StateReward(energy)
    bounds = evidence_bounds(environment, policy, reward, _N_DRAWS, generator=generator, backward=backward)
    log_z, log_z_error, share = bounds.log_z, bounds.log_z_error, bounds.effective_share
    held_out = held_out[:_MOST_OBJECTS].to(generator.device)
    energy_nll = sampler_nll = error = math.nan
    if len(held_out):
        energy_nll = log_z - float(energy(held_out).double().mean())
        # an object with one history needs no others, and its likelihood is exact
        has_one = environment.n_backward_actions == 1
        n, rows = (1, max(_CHUNK // environment.max_steps, 1)) if has_one else (_N_HISTORIES, len(held_out))
        parts = [
            log_likelihood(environment, policy, part, n, generator=generator, backward=backward)
            for part in held_out.split(rows)
        ]
        log_p = torch.cat(parts)
        sampler_nll = -float(log_p.mean())
        error = float(log_p.std()) / math.sqrt(len(log_p)) if len(log_p) > 1 else math.nan
    return EnergyReport(
        step=step,
        energy_nll=energy_nll,
        sampler_nll=sampler_nll,
        sampler_nll_error=error,
        log_z=log_z,
        log_z_error=log_z_error,
        learned_log_z=learned_log_z,
        effective_share=share,
        kl_bound=max(log_z - bounds.elbo, 0.0),
        l1=math.nan,
        is_exact=False,
    )
