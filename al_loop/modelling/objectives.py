"""The objectives of a campaign: which of the oracle's values it optimises and which it constrains. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from al_loop.config import CampaignConfig
from al_loop.config.schema import OutcomeConstraint
from al_loop.errors import ConfigError, suggestion
from al_loop.oracles.base import Goal, Objective, Oracle
from al_loop.system.plain_values import Bound

#: for each value of an answer, whether it is only a bound; None if all are exact
Censored = tuple[Bound | None, ...] | None


@dataclass(frozen=True)
class CampaignObjectives:
    """The oracle's values that are optimised, and those that must lie within bounds.

    Args:
        indices: positions of the optimised values among the oracle's values.
        names: names of the optimised values.
        goals: the direction of each optimised value.
        bounds: position of a value (optimised or not), its lowest and its highest acceptable value, in its unit; None
            for no bound.
        reference_point: the worst value of interest of each optimised value, in its unit, if there are several; None
            to derive it from the data.
    """

    indices: tuple[int, ...]
    names: tuple[str, ...]
    goals: tuple[Goal, ...]
    bounds: tuple[tuple[int, float | None, float | None], ...] = ()
    reference_point: tuple[float, ...] | None = None

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def are_several(self) -> bool:
        """Whether the campaign looks for a front of trade-offs rather than for a best value."""
        return len(self.indices) > 1

    @property
    def signs(self) -> tuple[float, ...]:
        """+1 for each value that is maximised, -1 for each that is minimised."""
        return tuple(1.0 if goal == "maximise" else -1.0 for goal in self.goals)

    @property
    def record_goal(self) -> Goal:
        """Direction of what counts as a record: the single objective, or the hypervolume, which is maximised."""
        return "maximise" if self.are_several else self.goals[0]

    def optimised(self, values: Sequence[float] | None) -> tuple[float, ...]:
        """Return the optimised ones among the oracle's values; NaN if there are no values (a failure)."""
        return tuple(float("nan") if values is None else values[i] for i in self.indices)

    def are_within_bounds(self, values: Sequence[float]) -> bool:
        """Return whether the measured values of one object satisfy all bounds."""
        return bool(self.within_bounds([values])[0])

    def within_bounds(self, values: ArrayLike, censored: Sequence[Censored] | None = None) -> NDArray[np.bool_]:
        """Return a mask, shape n, of the rows that certainly satisfy all bounds; one whose value is missing does not.

        Args:
            values: the oracle's values, shape n x m; NaN where there is none.
            censored: for each row which of its values are bounds; None if all are exact.
        """
        table = np.asarray(values, dtype=np.float64)
        sides = _sides(censored, table.shape)
        mask = np.ones(len(table), dtype=bool)
        for i, low, high in self.bounds:
            mask &= np.isfinite(table[:, i])
            if low is not None:
                mask &= (table[:, i] >= low) & (sides[:, i] >= 0)
            if high is not None:
                mask &= (table[:, i] <= high) & (sides[:, i] <= 0)
        return mask

    def certain(self, values: ArrayLike, censored: Sequence[Censored] | None = None) -> NDArray[np.float64]:
        """Return the optimised values, n x objectives, NaN where one may be worse than its number, which is a bound.

        Args:
            values: the oracle's values, shape n x m; NaN where there is none.
            censored: for each row which of its values are bounds; None if all are exact.
        """
        table = np.asarray(values, dtype=np.float64)
        columns = list(self.indices)
        is_uncertain = _sides(censored, table.shape)[:, columns] * np.array(self.signs) < 0
        certain: NDArray[np.float64] = np.where(is_uncertain, np.nan, table[:, columns])
        return certain

    def are_results(
        self, values: ArrayLike, is_at_target: ArrayLike, censored: Sequence[Censored] | None = None
    ) -> NDArray[np.bool_]:
        """Return a mask, shape n, of the answers that count as results.

        The best value, the Pareto front, the hypervolume and every rule about them consider these alone: answers with
        a value that is certain to be at least as good as its number, at the target fidelity, within all bounds.

        Args:
            values: the oracle's values, shape n x m; NaN where there is none.
            is_at_target: whether each was measured at the target fidelity, shape n.
            censored: for each row which of its values are bounds; None if all are exact.
        """
        has_value = np.isfinite(self.certain(values, censored)).any(axis=1)
        is_within = self.within_bounds(values, censored)
        mask: NDArray[np.bool_] = has_value & np.asarray(is_at_target, dtype=bool) & is_within
        return mask


def _sides(censored: Sequence[Censored] | None, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return 1 where a value is a lower bound, -1 where it is an upper bound, else 0: n x m."""
    sides = np.zeros(shape, dtype=np.int64)
    for i, entry in enumerate(censored or ()):
        if entry is not None:
            sides[i] = [{"<": -1, ">": 1}.get(side or "", 0) for side in entry]
    return sides


def oracle_objectives(config: CampaignConfig, oracle: Oracle) -> tuple[Objective, ...]:
    """Return the oracle's objectives, the optimised one with the campaign's goal in place of the oracle's usual one.

    Args:
        config: the campaign's config.
        oracle: the oracle that was built from it.

    Raises:
        ConfigError: the config has a goal but optimises several objectives, or optimises what the oracle does not
            measure.
    """
    if config.goal is None:
        return oracle.objectives
    if config.has_several_objectives:
        raise ConfigError(
            f"goal: {config.goal!r} only applies to campaigns with a single objective; remove it, since each objective "
            "of the oracle declares its own direction"
        )
    optimised = _optimised(config.optimise, oracle.objectives)
    return tuple(
        Objective(o.name, o.unit, config.goal) if i in optimised else o for i, o in enumerate(oracle.objectives)
    )


def campaign_objectives(config: CampaignConfig, oracle: Oracle) -> CampaignObjectives:
    """Return which of the oracle's values a campaign optimises, in which direction, and which it constrains.

    Args:
        config: the campaign's config.
        oracle: the oracle that was built from it.

    Raises:
        ConfigError: the config names values that the oracle does not measure, or its reference point or goal does not
            fit its objectives.
    """
    objectives = oracle_objectives(config, oracle)
    return _select(objectives, config.optimise, config.outcome_constraints, config.reference_point)


def recorded_objectives(objectives: Sequence[Objective], config: Mapping[str, Any]) -> CampaignObjectives:
    """Return which values a recorded campaign optimises and constrains.

    Args:
        objectives: everything that its oracle measures, as the ledger records it.
        config: the config of a start, as the ledger records it.

    Raises:
        ConfigError: the config names values that are not among the objectives.
    """
    names = config.get("optimise") or objectives[0].name
    bounds = [OutcomeConstraint.model_validate(c) for c in config.get("outcome_constraints") or ()]
    return _select(objectives, names if isinstance(names, str) else tuple(names), bounds, None)


def _select(
    objectives: Sequence[Objective],
    optimise: str | tuple[str, ...] | None,
    constraints: Sequence[OutcomeConstraint],
    point: Mapping[str, float] | None,
) -> CampaignObjectives:
    """Return the objectives of a campaign, from all that is measured and the config's keys about it."""
    optimised = _optimised(optimise, objectives)
    names = tuple(objectives[i].name for i in optimised)
    if len(set(names)) < len(names):
        raise ConfigError(f"optimise: {', '.join(names)} names a value twice; list each once")
    if point is not None and len(names) < 2:
        raise ConfigError(
            "reference_point only applies to several objectives, and this campaign optimises one; remove it"
        )
    if point is not None and set(point) != set(names):
        raise ConfigError(
            f"reference_point: it must have one value for each of {', '.join(names)}, not {', '.join(point) or 'none'}"
        )
    measured = [o.name for o in objectives]
    bounds = tuple(
        (_position(c.objective, measured, f"outcome_constraints.{i}.objective"), c.min, c.max)
        for i, c in enumerate(constraints)
    )
    return CampaignObjectives(
        optimised,
        names,
        tuple(objectives[i].goal for i in optimised),
        bounds,
        None if point is None else tuple(point[name] for name in names),
    )


def _optimised(optimise: str | tuple[str, ...] | None, objectives: Sequence[Objective]) -> tuple[int, ...]:
    """Return the indices of the optimised values among the objectives."""
    measured = [o.name for o in objectives]
    if optimise is None and len(measured) == 1:
        return (0,)
    if not optimise:
        raise ConfigError(f"optimise: missing; name one or several of the oracle's values: {', '.join(measured)}")
    names = (optimise,) if isinstance(optimise, str) else optimise
    return tuple(_position(name, measured, "optimise") for name in names)


def _position(name: str, names: Sequence[str], key: str) -> int:
    if name not in names:
        raise ConfigError(
            f"{key}: {name!r} is not one of the values that the oracle measures: {', '.join(names)}"
            f"{suggestion(name, names)}"
        )
    return names.index(name)
