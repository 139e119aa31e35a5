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
    from al_loop.config import CampaignConfig
    from al_loop.oracles.base import Oracle

_MAX_DRAWS = 50  # batches of 128 random objects, as many as a first batch of 16 would get


def check(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    no_oracle: Annotated[bool, typer.Option("--no-oracle", help="Do not call the oracle.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Validate a config, build every part, and call the oracle once without recording the answer."""
    with exit_codes(verbose=verbose):
        from al_loop.campaign.building import build_oracle, fidelities_of
        from al_loop.config import load_config
        from al_loop.modelling.objectives import campaign_objectives, oracle_objectives

        settings = load_config(config, overrides or ())
        oracle = build_oracle(settings)
        oracle.check()
        chosen, objectives = campaign_objectives(settings, oracle), oracle_objectives(settings, oracle)
        sample, fields = _build_parts(settings)
        levels = fidelities_of(settings, oracle)
        optimised = [objectives[i] for i in chosen.indices]
        goals = [f"{o.goal} {o.name}{f' ({o.unit})' if o.unit else ''}" for o in optimised]
        fields["oracle"] = f"{_named(settings, 'oracle')}: {', '.join(goals)}"
        if levels:
            fields["fidelities"] = ", ".join(f"{f.name} (cost {f.cost * settings.evaluation.cost:g})" for f in levels)
        others = [o.name for o in objectives if o not in optimised]
        if others:
            fields["oracle"] += f"; {', '.join(others)} recorded as well"
        calls = settings.rounds.initial + settings.rounds.count * settings.rounds.batch_size
        calls = min(calls, settings.budget.calls or calls)
        fields["sample"] = sample
        if no_oracle or oracle.is_external:
            cost = _call_cost(settings, oracle)
        else:
            fields["its value"], cost = _dry_call(settings, sample, oracle, chosen.indices)
        fields["projected"] = f"{calls} calls x cost {cost:g} = {calls * cost:g}"
        print_fields({"config": f"{config} is valid", **fields})


def _build_parts(settings: CampaignConfig) -> tuple[str, dict[str, str]]:
    """Build every part; return a random object that meets the constraints, and a field about each part."""
    import torch

    from al_loop.campaign.building import (
        build_environment,
        build_features,
        build_policy,
        build_surrogate,
        training_settings,
    )
    from al_loop.config import build
    from al_loop.gflownet.priors import load_prior, read_prior
    from al_loop.gflownet.rollout import rollout
    from al_loop.modelling.constraints import Constraints, PropertyBound
    from al_loop.seeding import derive_seed

    environment = build_environment(settings)
    is_list = environment.objects is not None
    if not is_list:
        policy = build_policy(settings, environment, training_settings(settings))
        prior = read_prior(settings.sampler.prior)
        if prior is not None:
            load_prior(environment, policy, prior)
    features = build_features(settings, environment)
    build("acquisition", settings.acquisition)
    build("selector", settings.selector)
    build_surrogate(settings, features)
    constraints = Constraints(tuple(PropertyBound(build("property", c), c.min, c.max) for c in settings.constraints))
    generator = torch.Generator().manual_seed(derive_seed(settings.seed, "check"))
    n_drawn = 0
    accepted: list[str] = []
    for _ in range(_MAX_DRAWS):
        drawn = environment.decode(rollout(environment, None, 128, generator=generator).terminal)
        n_drawn += len(drawn)
        violation = constraints.violation(drawn).tolist()
        accepted += [name for name, v in zip(drawn, violation, strict=True) if v == 0]
        if accepted:
            break
    if not accepted:
        raise ConfigError(f"constraints: none of {n_drawn} random objects meets them; widen their bounds")
    X = features(accepted[:1])
    fields = {
        "environment": f"{_named(settings, 'environment')}: {environment.object_type}s, "
        + (
            f"{len(environment.objects or ())}, all of which are scored in every round"
            if is_list
            else f"{environment.n_actions} actions, at most {environment.max_steps} steps"
        ),
        "policy": "not needed"
        if is_list
        else f"{type(policy).__name__}: {sum(p.numel() for p in policy.parameters()):,} parameters",
        "features": f"{_named(settings, 'features') or getattr(features, 'kind', '')}: {X.shape[-1]} dimensions, "
        f"{features.kernel} kernel",
    }
    fields |= {section: _named(settings, section) for section in ("surrogate", "acquisition", "selector")}
    names = ", ".join(c.kind or c.target or "" for c in settings.constraints)
    if names:
        fields["constraints"] = f"{names}: met by {len(accepted)} of {n_drawn} random objects"
    return accepted[0], fields


def _named(settings: CampaignConfig, section: str) -> str:
    part = getattr(settings, section)
    return "" if part is None else part.kind or part.target or ""


def _call_cost(settings: CampaignConfig, oracle: Oracle) -> float:
    """Return the cost of one call at the target fidelity."""
    costs = {f.name: f.cost for f in oracle.fidelities}
    return settings.evaluation.cost * costs.get(oracle.fidelity, 1.0)


def _dry_call(settings: CampaignConfig, sample: str, oracle: Oracle, rows: Sequence[int]) -> tuple[str, float]:
    """Call the oracle in a worker process, as a campaign does; return the answer as text, and its cost."""
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
