"""``al-loop check``: validate a config, build every part and call the oracle once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from al_loop.cli.common import ConfigArgument, OverridesArgument, VerboseOption, exit_codes, print_fields
from al_loop.errors import ConfigError

if TYPE_CHECKING:
    from al_loop.campaign.preparation import CampaignParts
    from al_loop.config import CampaignConfig
    from al_loop.oracles.base import Oracle

_MAX_DRAWS = 50  # batches of 128 random objects, the limit for a first batch of 16


def check(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    no_oracle: Annotated[bool, typer.Option("--no-oracle", help="Do not call the oracle.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Validate a config, build every part, and call the oracle once without recording the answer."""
    with exit_codes(verbose=verbose):
        from al_loop.campaign.preparation import prepare
        from al_loop.config import load_config

        settings = load_config(config, overrides or ())
        parts = prepare(settings)
        oracle, objectives = parts.oracle, parts.oracle_objectives
        oracle.check()
        campaign_objectives = parts.objectives
        sample, fields = _describe_parts(parts)
        levels = parts.fidelities
        optimised = [objectives[i] for i in campaign_objectives.indices]
        goals = [f"{o.goal} {o.name}{f' ({o.unit})' if o.unit else ''}" for o in optimised]
        fields["oracle"] = f"{_part_name(settings, 'oracle')}: {', '.join(goals)}"
        if levels.are_several:
            fields["fidelities"] = ", ".join(f"{name} (cost {cost:g})" for name, cost in levels.prices.items())
        others = [o.name for o in objectives if o not in optimised]
        if others:
            fields["oracle"] += f"; {', '.join(others)} recorded as well"
        calls = settings.rounds.initial + settings.rounds.count * settings.rounds.batch_size
        calls = min(calls, settings.budget.calls or calls)
        if settings.earlier_data:
            fields["initial data"] = _describe_earlier_data(parts)
        fields["sample"] = sample
        if no_oracle or oracle.is_external:
            cost = _call_cost(settings, oracle)
        else:
            fields["its value"], cost = _dry_call(settings, sample, oracle, campaign_objectives.indices)
        fields["projected"] = f"{calls} calls x cost {cost:g} = {calls * cost:g}"
        print_fields({"config": f"{config} is valid", **fields})


def _describe_parts(parts: CampaignParts) -> tuple[str, dict[str, str]]:
    """Build every part, and return a random object that meets the constraints, with a description of each part."""
    settings, environment = parts.config, parts.environment
    policy = parts.build_policy() if parts.has_sampler else None
    features = parts.features
    _ = parts.acquisition, parts.selector, parts.surrogate
    accepted, n_drawn = _acceptable_objects(parts)
    X = features(accepted[:1])
    fields = {
        "environment": f"{_part_name(settings, 'environment')}: {environment.object_type}s, "
        + (
            f"{len(environment.objects or ())}, all of which are scored in every round"
            if policy is None
            else f"{environment.n_actions} actions, at most {environment.max_steps} steps"
        ),
        "policy": "not needed"
        if policy is None
        else f"{type(policy).__name__}: {sum(p.numel() for p in policy.parameters()):,} parameters",
        "features": f"{_part_name(settings, 'features') or getattr(features, 'kind', '')}: {X.shape[-1]} dimensions, "
        f"{features.kernel} kernel",
    }
    fields |= {section: _part_name(settings, section) for section in ("surrogate", "acquisition", "selector")}
    names = ", ".join(c.kind or c.target or "" for c in settings.constraints)
    if names:
        fields["constraints"] = f"{names}: met by {len(accepted)} of {n_drawn} random objects"
    return accepted[0], fields


def _describe_earlier_data(parts: CampaignParts) -> str:
    from al_loop.campaign.earlier_data import read_earlier_data, summary_of

    data = read_earlier_data(parts, parts.config.earlier_data)
    return "; ".join((summary_of(data), *data.notes))


def _acceptable_objects(parts: CampaignParts) -> tuple[list[str], int]:
    """Return random objects that meet the constraints, and the number of objects drawn to find them.

    Raises:
        ConfigError: no random object meets the constraints.
    """
    import torch

    from al_loop.gflownet.rollout import rollout
    from al_loop.seeding import derive_seed

    generator = torch.Generator().manual_seed(derive_seed(parts.config.seed, "check"))
    n_drawn = 0
    for _ in range(_MAX_DRAWS):
        objects = parts.environment.decode(rollout(parts.environment, None, 128, generator=generator).terminal)
        n_drawn += len(objects)
        if accepted := parts.constraints.acceptable(objects):
            return accepted, n_drawn
    raise ConfigError(f"constraints: none of {n_drawn} random objects meets them; widen their bounds")


def _part_name(settings: CampaignConfig, section: str) -> str:
    part = getattr(settings, section)
    return "" if part is None else part.kind or part.target or ""


def _call_cost(settings: CampaignConfig, oracle: Oracle) -> float:
    """Return the cost of one call at the target fidelity."""
    costs = {f.name: f.cost for f in oracle.fidelities}
    return settings.evaluation.cost * costs.get(oracle.fidelity, 1.0)


def _dry_call(settings: CampaignConfig, sample: str, oracle: Oracle, rows: Sequence[int]) -> tuple[str, float]:
    """Call the oracle in a worker process, as in a campaign, and return the answer as text with its cost."""
    import tempfile

    from al_loop.actors.local import LocalExecutor
    from al_loop.campaign.executor import CallTimeout, MemoryExceeded, WorkerLost
    from al_loop.cli.terminal import with_unit
    from al_loop.errors import CampaignError
    from al_loop.oracles.base import Call

    with tempfile.TemporaryDirectory(prefix="al-loop-check-") as logs, ExitStack() as stack:
        executor = LocalExecutor(settings, Path(logs))
        stack.callback(executor.close)
        worker = executor.oracle_worker(0)
        stack.callback(worker.close)
        started = time.monotonic()
        try:
            (outcome,) = worker.call([sample], settings.evaluation.timeout_s, Call())
        except CallTimeout:
            limit = settings.evaluation.timeout_s
            raise CampaignError(f"oracle: no answer for {sample} within evaluation.timeout_s = {limit:g} s") from None
        except MemoryExceeded as error:
            raise CampaignError(f"oracle: for {sample}, {error}") from None
        except WorkerLost:
            log = Path(logs, "oracle-0.log")
            lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
            last = f"; its last output: {lines[-1]}" if lines else ""
            raise CampaignError(f"oracle: its process died on {sample}{last}") from None
        seconds = time.monotonic() - started
    if outcome.values is None:
        assert outcome.failure is not None
        raise CampaignError(f"oracle: failed on {sample}: {outcome.failure.kind}: {outcome.failure.reason}")
    cost = _call_cost(settings, oracle) if outcome.cost is None else outcome.cost
    values = ", ".join(with_unit(outcome.values[i], oracle.objectives[i].unit) for i in rows)
    return f"{values}, after {seconds:.1f} s including the start of the worker", cost
