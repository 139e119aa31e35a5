"""The command line application: its commands, in the order of ``al-loop --help``."""

from __future__ import annotations

from typing import Annotated

import typer

from al_loop import __version__
from al_loop.cli import (
    check,
    compare,
    course,
    dashboard,
    draw,
    energy,
    fit_latent,
    imports,
    jobs,
    notebook,
    people,
    plan,
    pretrain,
    reference,
    report,
    results,
    retry,
    run,
    sweep,
    tune_language,
    verify,
    viewer,
    vocabulary,
    watch,
)
from al_loop.cli.common import EXIT_INTERRUPTED
from al_loop.system.output import guard_output, is_pipe_broken, raise_broken_pipes

app = typer.Typer(
    help="Active learning for expensive oracles: GFlowNet samplers, a BoTorch surrogate, a durable ledger.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_requested: bool) -> None:
    if is_requested:
        typer.echo(f"al-loop {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


for _command in (
    plan.plan,
    run.run,
    course.resume,
    course.branch,
    jobs.submit,
    jobs.logs,
    jobs.stop,
    sweep.sweep,
    vocabulary.vocabulary,
    pretrain.pretrain,
    energy.learn_energy,
    energy.score,
    fit_latent.fit_latent,
    tune_language.tune_language,
    draw.draw,
    people.ask,
    people.tell,
    people.review,
    retry.retry,
    results.status,
    results.export,
    report.report,
    notebook.notebook,
    compare.compare,
    dashboard.dashboard,
    watch.watch,
    viewer.viewer,
    verify.verify,
    verify.backup,
):
    app.command()(_command)
app.command(name="import")(imports.import_data)
app.command(name="list")(reference.list_parts)
app.command()(reference.schema)
app.command()(reference.init)
app.command()(check.check)


def main() -> None:
    """Run the console script ``al-loop``."""
    guard_output()
    raise_broken_pipes(True)
    try:
        app(prog_name="al-loop")
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None
    except SystemExit as end:
        if is_pipe_broken() and end.code == 1:  # as click says of `al-loop --help | head`
            raise SystemExit(0) from None
        raise
