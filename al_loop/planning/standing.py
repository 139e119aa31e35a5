"""Where a campaign stands among the simulations of its plan, and when to stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from al_loop.planning.record import HOPELESS, Plan

_NEAREST = 0.25  # share of the simulations that count as similar to the campaign
_LEAST_NEAREST = 8


@dataclass(frozen=True)
class Standing:
    """Where a campaign stands.

    Args:
        n_calls: calls so far.
        share_below: share of the simulations that were worse after as many calls.
        chances: the chance to reach the goal after each later number of calls, from the most similar simulations.
        verdict: ``reached``, ``ahead``, ``on track``, ``behind``, ``outside`` or ``stop``.
        sentences: the same in words.
    """

    n_calls: int
    share_below: float
    chances: Mapping[int, float]
    verdict: str
    sentences: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "n_calls": self.n_calls,
            "share_below": self.share_below,
            "chances": [[n, chance] for n, chance in self.chances.items()],
            "verdict": self.verdict,
            "sentences": list(self.sentences),
        }


def standing(plan: Plan, n_calls: int, best: float | None) -> Standing | None:
    """Return where a campaign stands.

    Args:
        plan: its plan.
        n_calls: the calls that it has made.
        best: its best value; None: there is none.

    Returns:
        The standing; None if no call was made or no value is there.
    """
    if n_calls < 1 or best is None or not np.isfinite(best):
        return None
    n_most = plan.calls[-1]
    n = min(n_calls, n_most)
    simulated = plan.sign * plan.main.curves[:, n - 1]
    simulated = np.where(np.isnan(simulated), -np.inf, simulated)
    own = plan.sign * best
    share = float(np.mean(simulated < own) + 0.5 * np.mean(simulated == own))
    low, _, high = plan.band(n)
    where = f"After {n_calls} calls the best is {plan.number(best)}"
    if n_calls > n_most:
        where += f" (the plan ends at {n_most} calls)"
    sentences = [
        f"{where}: better than {share:.0%} of the plan's {plan.simulations} simulations, of which eight in ten lay "
        f"between {plan.number(min(low, high))} and {plan.number(max(low, high))}."
    ]
    later = [c for c in plan.calls if c > n]
    if own >= plan.sign * plan.goal:
        return Standing(n_calls, share, {}, "reached", (*sentences, f"The goal ({plan.goal_text}) is reached."))
    chances = _chances(plan, simulated, own, later)
    verdict = "ahead" if share > 0.9 else "behind" if share < 0.1 else "on track"
    if share in (0.0, 1.0):
        verdict = "outside"
        sentences.append(
            f"No simulation was {'as good' if share == 1.0 else 'as bad'}: what the plan assumed does not describe "
            "this oracle; plan again with the measurements: al-loop plan CONFIG --data RUN."
        )
    if chances:
        texts = ", ".join(f"{chance:.0%} by {c} calls" for c, chance in chances.items())
        sentences.append(f"Of the simulations that stood alike, the goal ({plan.goal_text}) was reached by {texts}.")
        if chances[n_most] < HOPELESS and verdict != "outside":
            verdict = "stop"
            sentences.append("Consider stopping or another goal: hardly any campaign that stood here reached it.")
    elif n_calls >= n_most:
        verdict = "stop" if verdict != "outside" else verdict
        sentences.append("The calls of the plan are spent without reaching the goal; plan again before buying more.")
    return Standing(n_calls, share, chances, verdict, tuple(sentences))


def _chances(
    plan: Plan, simulated: np.ndarray[Any, np.dtype[np.float64]], own: float, later: list[int]
) -> dict[int, float]:
    """Return the chance of the goal at later calls, from the simulations whose best value was most similar."""
    k = min(max(round(_NEAREST * plan.simulations), _LEAST_NEAREST), plan.simulations)
    distance = np.abs(
        np.where(np.isfinite(simulated), simulated, np.nanmin(simulated[np.isfinite(simulated)], initial=own)) - own
    )
    nearest = np.argsort(distance, kind="stable")[:k]
    return {c: float(plan.reached(c)[nearest].mean()) for c in later}
