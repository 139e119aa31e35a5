"""What the oracle's values are wanted for. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from al_loop.config import CampaignConfig
from al_loop.errors import ConfigError
from al_loop.oracles.base import Goal, Objective, Oracle


@dataclass(frozen=True)
class Wanted:
    """Which values are optimised, and which must keep within bounds.

    Args:
        objectives: which of the oracle's values are optimised.
        names: of these.
        goals: of these.
        bounds: of any of the values: which, and between what, in its unit.
        reference_point: of several objectives the worst values of interest, in their units; None: from the data.
    """

    objectives: tuple[int, ...]
    names: tuple[str, ...]
    goals: tuple[Goal, ...]
    bounds: tuple[tuple[int, float | None, float | None], ...] = ()
    reference_point: tuple[float, ...] | None = None

    @property
    def signs(self) -> tuple[float, ...]:
        """+1 where a larger value is better, else -1; one for each objective."""
        return tuple(1.0 if goal == "maximise" else -1.0 for goal in self.goals)

    def of(self, values: Sequence[float] | None) -> tuple[float, ...]:
        """The optimised ones among an answer's values; NaN of a failure."""
        return tuple(float("nan") if values is None else values[i] for i in self.objectives)

    def keeps_bounds(self, values: Sequence[float]) -> bool:
        """Whether measured values are within all bounds."""
        return all(
            (low is None or values[i] >= low) and (high is None or values[i] <= high) for i, low, high in self.bounds
        )


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
    optimised = _optimised(config, oracle)
    return tuple(
        Objective(o.name, o.unit, config.goal) if i in optimised else o for i, o in enumerate(oracle.objectives)
    )


def campaign_objectives(config: CampaignConfig, oracle: Oracle) -> Wanted:
    """Return which of the oracle's values a campaign optimises, in which direction, and which it constrains.

    Args:
        config: the campaign's config.
        oracle: the oracle that was built from it.

    Raises:
        ConfigError: the config names values that the oracle does not measure, or its reference point or goal does not
            fit its objectives.
    """
    objectives = oracle_objectives(config, oracle)
    optimised = _optimised(config, oracle)
    names = tuple(objectives[i].name for i in optimised)
    if len(set(names)) < len(names):
        raise ConfigError(f"optimise: {', '.join(names)} names a value twice; list each once")
    point = config.reference_point
    if point is not None and not config.has_several_objectives:
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
        for i, c in enumerate(config.outcome_constraints)
    )
    return Wanted(
        optimised,
        names,
        tuple(objectives[i].goal for i in optimised),
        bounds,
        None if point is None else tuple(point[name] for name in names),
    )


def _optimised(config: CampaignConfig, oracle: Oracle) -> tuple[int, ...]:
    """Return the indices of the optimised values among the oracle's objectives."""
    measured = [o.name for o in oracle.objectives]
    if config.optimise is None and len(measured) == 1:
        return (0,)
    if not config.optimise:
        raise ConfigError(f"optimise: missing; name one or several of the oracle's values: {', '.join(measured)}")
    names = (config.optimise,) if isinstance(config.optimise, str) else config.optimise
    return tuple(_position(name, measured, "optimise") for name in names)


def _position(name: str, names: Sequence[str], key: str) -> int:
    if name not in names:
        raise ConfigError(f"{key}: {name!r} is not one of the values that the oracle measures: {', '.join(names)}")
    return names.index(name)
