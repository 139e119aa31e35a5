"""``al-loop check``: validate a config, run every part and call the oracle once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from al_loop.cli.common import ConfigArgument, OverridesArgument, VerboseOption, exit_codes
from al_loop.cli.layout import print_fields
from al_loop.errors import AlLoopError, CampaignError, ConfigError, counted
from al_loop.system.tracebacks import error_details, error_place, shorten

if TYPE_CHECKING:
    from al_loop.campaign.executor import SamplerTraining
    from al_loop.campaign.preparation import CampaignParts
    from al_loop.config import CampaignConfig
    from al_loop.oracles.base import Oracle

_BATCH_SIZE = 16  # of a training step; the campaign's own takes seconds for large molecules
_MAX_OUTPUT = 4_000  # characters of the oracle's output


def check(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    no_oracle: Annotated[bool, typer.Option("--no-oracle", help="Do not call the oracle.")] = False,
    covers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Only say which share of the objects in a file the space holds, and why it does not hold the others.",
            show_default=False,
        ),
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Validate a config, run every part once on made-up answers, and call the oracle once without recording it."""
    with exit_codes(verbose=verbose, needs_output=True), _users_traceback():
        from al_loop.campaign.preparation import prepare
        from al_loop.config import load_config
        from al_loop.modelling.objective_names import check_objective_names

        settings = load_config(config, overrides or ())
        if covers is not None:
            _print_coverage(settings, covers)
            return
        settings, notes = _on_a_device_of_this_machine(settings)
        parts = prepare(settings)
        oracle, objectives = parts.oracle, parts.oracle_objectives
        check_objective_names(objectives, oracle.fidelities)
        oracle.check()
        campaign_objectives = parts.objectives
        _ = parts.energies, parts.first_source
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
        if settings.seeds:
            fields["seeds"] = "; ".join(parts.seeds.notes)
        if settings.initial_data:
            fields["initial data"] = _describe_earlier_data(parts)
        fields["sample"] = sample
        if no_oracle or oracle.is_external:
            cost = _call_cost(settings, oracle)
        else:
            fields["its value"], cost = _dry_call(settings, sample, oracle, campaign_objectives.indices)
        fields["projected"] = f"{counted(calls, 'call')} x cost {cost:g} = {calls * cost:g}"
        print_fields({"config": f"{config} is valid", **fields, **notes})


def _print_coverage(settings: CampaignConfig, file: Path) -> None:
    """Print what the space holds, and which of the objects in a file."""
    from al_loop.campaign.building import build_environment
    from al_loop.campaign.coverage import MOST, coverage
    from al_loop.cli.terminal import progress_bar
    from al_loop.config.space_defaults import former_blocks_note
    from al_loop.datafiles.object_lists import read_objects

    objects, environment = read_objects(file), build_environment(settings)
    note = former_blocks_note(settings)
    for line in [*([note] if note else []), *environment.about()]:
        typer.echo(line)
    with progress_bar("encoding", min(len(objects), MOST)) as advance:
        found = coverage(environment, objects, settings.seed, advance)
    typer.echo(f"{file}:")
    for line in found.lines():
        typer.echo(f"  {line}")


@contextmanager
def _users_traceback() -> Iterator[None]:
    """Print the traceback of an error in a user's own part before the error itself."""
    try:
        yield
    except AlLoopError as error:
        if error.__cause__ is not None and "file" in (details := error_details(error.__cause__)):
            typer.echo(details["traceback"])
        for traceback in getattr(error, "__notes__", ()):  # of a constructor, which runs in another process
            typer.echo(traceback)
        raise


def _on_a_device_of_this_machine(settings: CampaignConfig) -> tuple[CampaignConfig, dict[str, str]]:
    """Return the config with a device that is here, and a note if only the cluster has the configured one.

    Raises:
        ConfigError: this machine lacks the device, and no role of a cluster asks for a GPU.
    """
    from al_loop.campaign.preparation import prepare

    try:
        prepare(settings).check_device()
    except ConfigError as error:
        roles = settings.resources
        if not any(role.num_gpus for role in (roles.sampler, roles.learner, roles.surrogate)):
            raise
        on_cpu = settings.model_copy(update={"sampler": settings.sampler.model_copy(update={"device": "cpu"})})
        return on_cpu, {"device": f"{error}; checked on the CPU, since resources asks a cluster for GPUs"}
    return settings, {}


def _describe_parts(parts: CampaignParts) -> tuple[str, dict[str, str]]:
    """Run every part, and return a random object that meets the constraints, with a description of each part."""
    from al_loop.campaign.rehearsal import Rehearsal, objects_to_rehearse
    from al_loop.config.space_defaults import former_blocks_note

    settings, environment = parts.config, parts.environment
    policy = parts.build_policy() if parts.has_sampler else None
    features = parts.features
    _ = parts.acquisition, parts.selector, parts.surrogate
    accepted, how_met = objects_to_rehearse(parts)
    rehearsal = Rehearsal(parts, accepted)
    X = rehearsal.features()
    models = rehearsal.fit()
    if policy is not None and settings.sampler.kind != "ppo":  # which would start Ray
        with ExitStack() as stack:
            rehearsal.train(stack.enter_context(_training_of_one_step(settings)), models)
    rehearsal.select(models)
    fields = {
        "environment": f"{_part_name(settings, 'environment')}: {environment.object_type}s, "
        + (
            f"{len(environment.objects or ())}, all of which are scored in every round"
            + (f"; {environment.source}" if environment.source else "")
            if policy is None
            else f"{environment.n_actions} actions, at most {environment.max_steps} steps"
        ),
        "policy": "not needed"
        if policy is None
        else f"{type(policy).__name__}: {sum(p.numel() for p in policy.parameters()):,} parameters"
        + (f", from the prior {settings.sampler.prior}" if settings.sampler.prior else ""),
        "features": f"{_part_name(settings, 'features') or getattr(features, 'kind', '')}: {X.shape[-1]} dimensions, "
        f"{features.kernel} kernel{rehearsal.note}",
    }
    fields |= {section: _part_name(settings, section) for section in ("surrogate", "acquisition", "selector")}
    if note := former_blocks_note(settings):
        fields["vocabulary"] = note
    if about := environment.about():
        fields["space"] = "; ".join(about)
    names = ", ".join(c.kind or c.target or "" for c in settings.constraints)
    if names:
        fields["constraints"] = f"{names}: {how_met}"
    return accepted[0], fields


def _describe_earlier_data(parts: CampaignParts) -> str:
    from al_loop.campaign.earlier_data import read_earlier_data, summary_of
    from al_loop.config.initial_data import earlier_data_items

    data = read_earlier_data(parts, earlier_data_items(parts.config.initial_data))
    return "; ".join((summary_of(data), *data.notes))


def _training_of_one_step(settings: CampaignConfig) -> SamplerTraining:
    from al_loop.actors.local import LocalExecutor

    size = max(settings.sampler.shares, min(settings.sampler.batch_size, _BATCH_SIZE))
    one_step = settings.sampler.model_copy(update={"steps": 1, "staleness": 0, "batch_size": size})
    return LocalExecutor(settings.model_copy(update={"sampler": one_step}), Path()).training()


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
    from al_loop.campaign.executor import CallEnded, outcome_of_ended_call
    from al_loop.cli.terminal import with_unit
    from al_loop.oracles.base import Call

    timeout_s = settings.evaluation.timeout_s
    with tempfile.TemporaryDirectory(prefix="al-loop-check-") as logs, ExitStack() as stack:
        executor = LocalExecutor(settings, Path(logs))
        stack.callback(executor.close)
        worker = executor.oracle_worker(0)
        stack.callback(worker.close)
        started = time.monotonic()
        try:
            (outcome,) = worker.call([sample], timeout_s, Call())
        except CallEnded as ended:
            outcome = outcome_of_ended_call(ended, timeout_s)
        seconds = time.monotonic() - started
        printed = Path(logs, "oracle-0.log")
        output = printed.read_text(errors="replace").strip() if printed.is_file() else ""
    if outcome.values is None:
        assert outcome.failure is not None
        if output:
            typer.echo(shorten(output, _MAX_OUTPUT))
        place = error_place(outcome.info)
        reason = outcome.failure.reason.removesuffix("; see logs/oracle-0.log")
        raise CampaignError(f"oracle: failed on {sample}: {outcome.failure.kind}: {reason}{place and f' ({place})'}")
    cost = _call_cost(settings, oracle) if outcome.cost is None else outcome.cost
    values = ", ".join(with_unit(outcome.values[i], oracle.objectives[i].unit) for i in rows)
    return f"{values}, after {seconds:.1f} s including the start of the worker", cost
