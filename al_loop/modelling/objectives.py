"""What the oracle's values are wanted for. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from al_loop.config import CampaignConfig
from al_loop.errors import ConfigError
from al_loop.oracles.base import Goal, Oracle


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


def campaign_objectives(config: CampaignConfig, oracle: Oracle) -> Wanted:
    """What a config wants of its oracle.

    Raises:
        ConfigError: the config names values that the oracle does not measure.
    """
    chosen = config.objectives_of(oracle.objectives)
    names = tuple(oracle.objectives[i].name for i in chosen)
    if len(set(names)) < len(names):
        raise ConfigError(f"optimise: {', '.join(names)} names a value twice")
    point = config.reference_point
    if point is not None and (not config.has_several_objectives or set(point) != set(names)):
        raise ConfigError(
            f"reference_point: it must have one value for each of {', '.join(names)}, not {', '.join(point) or 'none'}"
            if config.has_several_objectives
            else "reference_point: it is of several objectives, but one is optimised; leave it out"
        )
    return Wanted(
        chosen,
        names,
        tuple(oracle.objectives[i].goal for i in chosen),
        config.bounds_of(oracle.objectives),
        None if point is None else tuple(point[name] for name in names),
    )
