"""``al-loop plan``: a campaign that is simulated before its first call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from al_loop.cli.common import ConfigArgument, OverridesArgument, RunDirOption, VerboseOption, exit_codes
from al_loop.errors import ConfigError
from al_loop.outgoing import written_out


def plan(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    goal: Annotated[
        str,
        typer.Option(
            help="The value to reach, in the oracle's unit (with several objectives: the hypervolume); or a share "
            "such as 1%: as good as the best 1 % of random objects.",
            show_default=False,
        ),
    ] = "",
    data: Annotated[
        list[str] | None,
        typer.Option(help="Earlier measurements: a table or a run; may be repeated.", show_default=False),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(
            help="A measured table that is the oracle in every simulation, in place of drawn functions.",
            show_default=False,
        ),
    ] = None,
    calls: Annotated[str, typer.Option(help="Numbers of calls after which the chance is asked for.")] = "50,100,200",
    simulations: Annotated[int, typer.Option(min=2, help="Imagined oracles.")] = 48,
    batches: Annotated[
        str | None,
        typer.Option(help="Batch sizes to compare; default: half and twice the config's.", show_default=False),
    ] = None,
    pool: Annotated[int, typer.Option(min=2, help="Objects of the space that are candidates.")] = 1500,
    mean: Annotated[float, typer.Option(help="Without data: the mean of random objects.")] = 0.0,
    spread: Annotated[float, typer.Option(help="Without data: their standard deviation.")] = 1.0,
    limit: Annotated[
        float | None, typer.Option(help="The best value that is possible, such as 1 for a share.", show_default=False)
    ] = None,
    hours_per_call: Annotated[float | None, typer.Option(help="Hours that a call takes.", show_default=False)] = None,
    only_config: Annotated[
        bool, typer.Option("--only-config", help="Do not compare batch sizes, fidelities and initial data.")
    ] = False,
    run_dir: RunDirOption = None,
    no_save: Annotated[bool, typer.Option("--no-save", help="Do not write plan.json beside the run.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Simulate a campaign before its first call: the chance to reach a goal, and what serves best. Calls no oracle."""
    with exit_codes(verbose=verbose, needs_output=True):
        from al_loop.cli.terminal.progress import progress_bar
        from al_loop.config import load_config
        from al_loop.planning import plan as make

        if not goal:
            raise ConfigError("--goal: missing; name the value to reach, or a share of random objects such as 1%")
        settings = load_config(config, overrides or ())
        with ExitStack() as stack:
            steps: list[Callable[[], None]] = []
            made = make(
                settings,
                goal=goal if goal.strip().endswith("%") else _number("--goal", goal),
                data=data or (),
                table=table,
                on_start=lambda n: steps.append(stack.enter_context(progress_bar("simulating", n))),
                on_step=lambda: steps[0](),
                calls=_numbers("--calls", calls),
                simulations=simulations,
                batches=None if batches is None else _numbers("--batches", batches),
                pool=pool,
                mean=mean,
                spread=spread,
                limit=limit,
                hours_per_call=hours_per_call,
                has_variants=not only_config,
            )
        folder = run_dir or Path("runs") / settings.name
        typer.secho(written_out(f"{made.name}: {made.simulations} simulated campaigns"), bold=True)
        for line in made.lines():
            typer.echo(written_out(line))
        typer.secho("What is assumed", bold=True)
        for line in (*made.assumptions, *made.shortcuts):
            typer.echo(written_out(line))
        if not no_save:
            typer.echo(written_out(f"written: {made.save(folder)}; reports of {folder} will refer to it"))


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"{option}: expected whole numbers with commas between them, got {text!r}") from None


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{option}: expected a number, or a share such as 1%, got {text!r}") from None
