"""Makes a plan: simulates a campaign, as configured and led otherwise, on the same imagined oracles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_loop.campaign.preparation import CampaignParts, prepare
from al_loop.config import CampaignConfig
from al_loop.config.given import GivenPart
from al_loop.errors import ConfigError, counted
from al_loop.ledger import Answer, Import
from al_loop.planning.beliefs import World, drawn_world, table_world
from al_loop.planning.record import Kind, Plan, SimulatedVariant
from al_loop.planning.settings import PlanSettings
from al_loop.planning.simulation import Simulation, Space, Variant
from al_loop.planning.truths import imagined_outcome
from al_loop.seeding import derive_seed
from al_loop.system.numbers import significant

Array = NDArray[np.float64]

#: surrogates that take too long to fit thousands of times, and are simulated by an exact Gaussian process
_SLOW = ("ensemble", "deep_kernel", "variational")
_N_IMAGINED = 50  # earlier measurements whose worth is asked for where there are none


def make_plan(
    config: CampaignConfig,
    settings: PlanSettings,
    *,
    data: Sequence[str] = (),
    table: str | None = None,
    on_start: Callable[[int], object] = lambda n: None,
    on_step: Callable[[], object] = lambda: None,
) -> Plan:
    """Simulate a campaign before its first call; never calls the oracle.

    Args:
        config: the campaign's config.
        settings: what to simulate.
        data: earlier measurements: tables, or directories of runs.
        table: a table of measured values that is the oracle in every simulation, in place of functions that are drawn.
        on_start: receives the number of simulations.
        on_step: called after each.

    Raises:
        ConfigError: the data cannot be read, or the config does not fit.
    """
    parts, shortcuts = _affordable_parts(config)
    world = table_world(parts, settings, table) if table else drawn_world(parts, settings, data)
    goals, goal_text = _goals(parts, settings, world)
    variants = _variants(parts, settings, world)
    on_start(len(variants) * settings.simulations)
    spaces: dict[int, Space] = {}
    simulated = []
    for name, kind, own_parts, variant in variants:
        if id(own_parts) not in spaces:
            spaces[id(own_parts)] = Space(own_parts, world.pool, is_closed=world.is_closed)
        space = spaces[id(own_parts)]
        curves = np.empty((settings.simulations, settings.calls[-1]))
        for number, truth in enumerate(world.truths):
            seed = derive_seed(config.seed, "plan", number)
            own = variant
            if kind == "data" and not world.earlier:
                own = replace(variant, earlier=_imagined(world, parts, number))
            curves[number] = Simulation(own_parts, space, truth, own, seed).run(settings.calls[-1])
            on_step()
        simulated.append(SimulatedVariant(name, kind, variant.batch_size, variant.initial, curves))
    objective, unit = _optimised(parts)
    return Plan(
        name=config.name,
        objective=objective,
        unit=unit,
        direction=parts.objectives.record_goal,
        goal=float(np.median(goals)),
        goal_text=goal_text,
        goals=tuple(goals),
        calls=settings.calls,
        variants=tuple(simulated),
        cost_per_call=parts.fidelities.costs[-1],
        hours_per_call=settings.hours_per_call,
        workers=config.evaluation.workers,
        assumptions=world.assumptions,
        shortcuts=(*shortcuts, *_shortcuts(parts, world)),
    )


def _affordable_parts(config: CampaignConfig) -> tuple[CampaignParts, list[str]]:
    """Return the parts of the campaign, with a Gaussian process in place of a slow surrogate."""
    kind = config.surrogate.kind
    if kind not in _SLOW:
        return prepare(config), []
    changed = _changed(config, surrogate={"kind": "gp"})
    return prepare(changed), [f"The surrogate {kind} is simulated by an exact Gaussian process, which fits in no time."]


def _changed(config: CampaignConfig, **sections: Any) -> CampaignConfig:
    """Return a config with other sections."""
    content = {**config.model_dump(mode="json", exclude_unset=True), **sections}
    if isinstance(config.oracle, GivenPart):
        content["oracle"] = config.oracle
    return type(config).model_validate(content).with_folders(*config.folders)


def _optimised(parts: CampaignParts) -> tuple[str, str]:
    """Return the name of what is optimised, and its unit."""
    if parts.objectives.are_several:
        return "hypervolume", ""
    objective = parts.oracle_objectives[parts.objectives.indices[0]]
    return objective.name, objective.unit


def _goals(parts: CampaignParts, settings: PlanSettings, world: World) -> tuple[list[float], str]:
    """Return the goal on each imagined oracle, and in words."""
    objectives, share = parts.objectives, settings.share
    name, unit = _optimised(parts)
    if share is None:
        goal = float(settings.goal)
        word = "at least" if objectives.record_goal == "maximise" else "at most"
        return [goal] * settings.simulations, f"{name} {word} {goal:g} {unit}".rstrip()
    if objectives.are_several:
        raise ConfigError(
            "--goal: a share of random objects is only defined for a single objective; name a hypervolume"
        )
    sign = objectives.signs[0]
    goals = []
    for sample in world.sample:
        values = [sign * objectives.optimised(v)[0] for v in sample if v is not None]
        goals.append(sign * float(np.quantile(values, 1 - share)))
    percent = f"{share:.3%}".replace(".000", "")
    return goals, f"the best {percent} of random objects, {name} {significant(np.median(goals))} {unit}".rstrip()


def _variants(
    parts: CampaignParts, settings: PlanSettings, world: World
) -> list[tuple[str, Kind, CampaignParts, Variant]]:
    """Return the ways to lead the campaign, the config's own first."""
    config = parts.config
    rounds, earlier = config.rounds, world.earlier
    batch = rounds.batch_size
    initial = rounds.initial if not world.is_conditioned or config.initial_data else 0
    if earlier and not any(i.answer.outcome.values is not None for i in earlier):
        initial = rounds.initial or batch
    main = Variant(batch, initial, earlier)
    found: list[tuple[str, Kind, CampaignParts, Variant]] = [("as configured", "config", parts, main)]
    if not settings.has_variants:
        return found
    sizes = settings.batches or (max(batch // 2, 1), 2 * batch)
    for size in dict.fromkeys(s for s in sizes if s != batch):
        found.append((f"batches of {size}", "batch", parts, replace(main, batch_size=size)))
    if parts.fidelities.are_several:
        only = _changed(config, acquisition={"kind": "log_ei"}, surrogate={"kind": "gp"})
        found.append(("measuring at the target alone", "fidelity", prepare(only), main))
    if earlier:
        without = replace(main, earlier=(), initial=rounds.initial or 16)
        found.append(("without the earlier data", "data", parts, without))
    elif len(world.pool) > 2 * _N_IMAGINED:
        found.append((f"with {_N_IMAGINED} earlier measurements of random objects", "data", parts, main))
    return found


def _imagined(world: World, parts: CampaignParts, number: int) -> tuple[Import, ...]:
    """Return measurements of random objects on an imagined oracle, as earlier data."""
    rng = np.random.default_rng(derive_seed(parts.config.seed, "plan", number, "imagined"))
    names = [world.pool[i] for i in rng.permutation(len(world.pool))[:_N_IMAGINED].tolist()]
    answers = world.truths[number].measure(names, len(parts.fidelities) - 1)
    now = datetime.now(UTC)
    return tuple(
        Import(name, Answer(0, imagined_outcome(values), "plan", now, now), parts.fidelities.target)
        for name, values in zip(names, answers, strict=True)
    )


def _shortcuts(parts: CampaignParts, world: World) -> list[str]:
    """Return how the simulation is cheaper than the campaign."""
    n = counted(len(world.pool), "object")
    listed = parts.environment.objects
    if world.is_closed:
        notes = [f"The campaign chooses from the {n} of the table."]
    elif listed is not None:
        whole = "all of the list" if len(world.pool) >= len(listed) else f"drawn once from the list of {len(listed):,}"
        notes = [f"The campaign chooses from {n}, {whole}."]
    elif parts.environment.random_policy:
        notes = [f"In place of a trained sampler, candidates are {n} of the space, drawn once."]
    else:
        notes = [
            f"In place of a trained sampler, candidates are {n} of the space, drawn once, and in each round crossings "
            "and mutations of the best so far."
        ]
    if parts.config.rounds.remeasure:
        notes.append("Nothing is measured twice (rounds.remeasure is left out).")
    notes.append("Every round waits for all of its answers; the rounds go on until the calls are spent.")
    return notes
