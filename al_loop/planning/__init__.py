"""Plans: a campaign simulated before its first call, and where it stands in its plan later."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from al_loop.planning.record import Plan, read_plan
from al_loop.planning.standing import Standing, standing

if TYPE_CHECKING:
    from al_loop.config import CampaignConfig

__all__ = ["Plan", "Standing", "plan", "read_plan", "standing"]


def plan(
    config: CampaignConfig | Mapping[str, Any] | str | Path,
    *,
    goal: float | str,
    data: str | Path | Sequence[str | Path] = (),
    table: str | Path | None = None,
    run_dir: str | Path | None = None,
    on_start: Callable[[int], object] = lambda n: None,
    on_step: Callable[[], object] = lambda: None,
    **settings: Any,
) -> Plan:
    """Simulate a campaign before its first call: the chance to reach a goal, and what serves best. Never measures.

    Args:
        config: a config, its content, or its file.
        goal: the value to reach, in the oracle's unit (with several objectives: the hypervolume); or ``"1%"``, the
            best share of random objects.
        data: earlier measurements to learn from: a table or a run directory, or several.
        table: a table of measured values that is the oracle in every simulation, in place of drawn functions.
        run_dir: where to save the plan, so that later reports say where the campaign stands; None: nowhere.
        on_start: receives the number of simulations.
        on_step: called after each simulation.
        settings: of ``planning.settings.PlanSettings``: ``calls``, ``simulations``, ``batches``, ``pool``, ``mean``,
            ``spread``, ``limit``, ``hours_per_call``, ``has_variants``.

    Raises:
        ConfigError: the config, the data or a setting is refused.
    """
    from al_loop.config import CampaignConfig, load_config, parse_config
    from al_loop.config.locations import Locations
    from al_loop.planning.making import make_plan
    from al_loop.planning.settings import PlanSettings

    if isinstance(config, str | Path):
        config = load_config(config)
    elif not isinstance(config, CampaignConfig):
        config = parse_config(dict(config), Locations())
    files = [data] if isinstance(data, str | Path) else list(data)
    made = make_plan(
        config,
        PlanSettings(goal, **settings),
        data=[str(file) for file in files],
        table=None if table is None else str(table),
        on_start=on_start,
        on_step=on_step,
    )
    if run_dir is not None:
        made.save(Path(run_dir))
    return made
