"""The signal of convergence: how far the sampler is from the posterior on prompts of interest."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from al_loop.language.rewards import LanguageReward
from al_loop.language.tuned import TunedModel

#: continuations of a prompt up to which the exact divergence is computed
_FEW = 500


@dataclass(frozen=True)
class Report:
    """The state of the tuning after some steps, as means over prompts.

    Of importance weights w = R / q of the sampler's own continuations: a perfect sampler has equal weights, an
    effective share of 1 and a bound of 0. Continuations that the sampler never draws are not seen by either; only
    ``kl`` knows of them.

    Args:
        step: number of steps so far.
        loss: mean loss of the steps since the last report.
        log_reward: mean log-reward of the continuations, at the reward's temperature.
        effective_share: effective sample size as a share of the number of draws, from 0 to 1.
        kl_bound: log mean w - mean log w, a lower bound in expectation of KL(sampler || posterior), in nats.
        distinct_share: share of distinct texts among the draws.
        kl: exact KL(sampler || posterior) in nats; NaN where the continuations are too many.
    """

    step: int
    loss: float
    log_reward: float
    effective_share: float
    kl_bound: float
    distinct_share: float
    kl: float

    def metrics(self) -> dict[str, float]:
        """Return the finite numbers by name, for sinks."""
        return {f"tune/{k}": float(v) for k, v in vars(self).items() if k != "step" and math.isfinite(v)}


@torch.no_grad()
def convergence(tuned: TunedModel, reward: LanguageReward, n: int, *, step: int, loss: float, seed: int) -> Report:
    """Report on a sampler.

    Args:
        tuned: the sampler; its environment's prompts are those of the report.
        reward: the reward, bound to this environment.
        n: number of continuations of each prompt.
        step: number of steps so far.
        loss: mean loss.
        seed: source of all randomness.
    """
    rows = []
    for number, prompt in enumerate(tuned.environment.prompts):
        drawn = tuned.draw(prompt, n, seed=seed + number)
        log_reward = reward(drawn.states).double().cpu()
        log_w = log_reward - drawn.log_prob.cpu()
        share = math.exp(float(2 * log_w.logsumexp(0) - (2 * log_w).logsumexp(0))) / n
        bound = float(log_w.logsumexp(0)) - math.log(n) - float(log_w.mean())
        kl = tuned.posterior(prompt).kl if tuned.n_continuations() <= _FEW else math.nan
        rows.append((float(log_reward.mean()), share, bound, len(set(drawn.objects)) / n, kl))
    means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    return Report(step, loss, *means)
