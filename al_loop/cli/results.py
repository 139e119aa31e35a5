"""``al-loop status`` and ``export``: the results of a run."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from al_loop.cli.common import RunArgument, VerboseOption, exit_codes
from al_loop.cli.jobs import print_job_status
from al_loop.cli.layout import cut, print_fields, terminal_width
from al_loop.cli.run import result_of
from al_loop.outgoing import one_line, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from al_loop.cli.terminal import CampaignResult
    from al_loop.oracles.base import Objective

_MAX_REASON = 160  # characters


def status(
    run: Annotated[
        str,
        typer.Argument(
            help="A run directory, a ledger file or a database URL; with --address, the name of a campaign or the id "
            "of a job.",
            metavar="RUN",
        ),
    ],
    address: Annotated[
        str | None, typer.Option(help="The job server of a cluster, http://HEAD:8265.", show_default=False)
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Show the progress of a run and its best objects; with --address, the status of its job on a cluster."""
    with exit_codes(verbose=verbose, needs_output=True):
        if address is not None:
            print_job_status(run, address)
            return
        from al_loop.analysis import open_run
        from al_loop.analysis.against_plan import plan_standing
        from al_loop.cli.terminal import format_number
        from al_loop.ledger import columns

        with open_run(run) as record:
            now, objectives = record.status(), list(record.optimised.values())
            result = result_of(record, now)
            alarms = record.alarms
            failures = record.ledger.read(columns.failure_reasons)
            details = record.failures if verbose and failures else None
            standing = plan_standing(record, now)
        planned = "" if now.planned_rounds is None else f" of {now.planned_rounds}"
        goals = [f"{o.goal} {o.name}{f' ({o.unit})' if o.unit else ''}" for o in objectives]
        last = "none yet" if now.last_answer is None else f"{now.last_answer.astimezone():%Y-%m-%d %H:%M:%S}"
        in_flight = f", {now.in_flight} of them in flight" if now.in_flight else ""
        fields = {"campaign": f"{now.name}, {now.state}"}
        if now.reason:
            fields["reason"] = now.reason
        if now.process:
            fields["process"] = now.process
        fields |= {
            "goal": ", ".join(goals),
            **({} if now.hypervolume is None else {"hypervolume": format_number(now.hypervolume)}),
            "rounds": f"{now.closed_rounds}{planned} closed",
            "answers": f"{now.answered} of {now.proposed} proposed ({now.failed} failed)",
            **({"earlier data": f"{now.imported} of the answers were imported"} if now.imported else {}),
            "pending": f"{now.pending}{in_flight}",
            "oracle calls": f"{now.calls}, cost {now.cost:.6g}",
            **_failures(failures),
        }
        if not alarms.empty:
            fields["last alarm"] = "round {}: {}".format(*alarms.iloc[-1][["round", "message"]])
        if standing is not None:
            fields["plan"] = " ".join(standing.sentences)
        if now.changes:
            fields["changes"] = "; ".join(now.changes)
        fields |= {
            "last answer": last,
            "starts": f"{now.sessions}, the first {now.created.astimezone():%Y-%m-%d %H:%M:%S}",
        }
        print_fields(fields)
        _print_best(result, objectives)
        if details is not None:
            _print_failure(details)


def _print_best(result: CampaignResult, objectives: Sequence[Objective]) -> None:
    """Print the best objects with their values, or why there is none."""
    from al_loop.cli.terminal import format_number

    heading = "best" if len(objectives) == 1 else f"best trade-offs ({len(result.best)} of {result.n_front})"
    if not result.best:
        typer.secho("\nbest", bold=True)
        typer.echo(f"  {result.no_best}")
        return
    width = terminal_width()
    typer.secho(f"\n{heading}", bold=True)
    if len(objectives) > 1:
        typer.echo("".join(f"{cut(o.name, 10):>11}" for o in objectives))
    for name, values in result.best:
        cells = "".join(f"{format_number(value):>11}" for value in values) + "  "
        typer.echo(cells + cut(name, None if width is None else max(width - len(cells), 8)))


def _failures(reasons: Sequence[tuple[str, str, int]]) -> dict[str, str]:
    """Return a field with the number of failures of each kind and the most frequent reason; {} if there are none."""
    if not reasons:
        return {}
    kinds: dict[str, int] = {}
    for kind, _, n in reasons:
        kinds[kind] = kinds.get(kind, 0) + n
    texts = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items(), key=lambda item: -item[1]))
    _, reason, n = reasons[0]
    return {"failures": f"{texts}; {n} of them: {cut(one_line(reason), _MAX_REASON)}"}


def _print_failure(failures: pd.DataFrame) -> None:
    """Print the newest failure for the most frequent reason, with the traceback or the last output of the oracle."""
    newest = failures[failures["reason"] == failures["reason"].value_counts().index[0]].iloc[-1]
    typer.secho("\nthe newest failure for this reason", bold=True)
    typer.echo(one_line(f"{newest['object']}: {newest['reason']}"))
    details = [newest[name] for name in ("traceback", "output") if isinstance(newest[name], str)]
    # indented, so that no line of theirs looks like one of ours
    typer.echo(indent("\n".join(printable(text.rstrip("\n")) for text in details), "    "), nl=bool(details))
    if isinstance(newest["log"], str):
        typer.echo(f"all that this worker printed: {newest['log']}")


def export(
    run: RunArgument,
    format: Annotated[
        Literal["csv", "tsv", "jsonl", "xlsx", "parquet", "sdf"] | None,
        typer.Option(help="Default: from the extension of the output file, or csv."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Default: <name>.<format> in the current folder; - for standard output.",
            show_default=False,
        ),
    ] = None,
    table: Annotated[
        Literal["evaluations", "candidates", "decisions", "changes"],
        typer.Option(help="All answers, all proposed objects, all review decisions, or all changes of course."),
    ] = "evaluations",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Write all answers of a run, or another of its tables, to a file: CSV, TSV, JSON lines, Excel, Parquet or SDF."""
    with exit_codes(verbose=verbose, needs_output=True):
        from al_loop.analysis import export as export_run
        from al_loop.analysis import open_run

        with open_run(run) as record:
            stem = record.name if table == "evaluations" else f"{record.name}_{table}"
            path = export_run(record, format, output or Path(f"{stem}.{format or 'csv'}"), table, force=force)
        if str(path) != "-":
            typer.echo(f"written: {path}")
