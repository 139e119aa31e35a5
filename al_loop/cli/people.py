"""``al-loop ask``, ``tell`` and ``review``: measurements and decisions by people."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from al_loop.cli.common import EXIT_FAILURE, RunArgument, VerboseOption, exit_codes
from al_loop.errors import ConfigError, counted
from al_loop.outgoing import written_out

if TYPE_CHECKING:
    from al_loop.ledger import Ledger


def ask(
    run: RunArgument,
    n: Annotated[
        int | None, typer.Option("--number", "-n", min=1, help="Maximum number of objects; default: all pending ones.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The table to write: .csv, .tsv or .xlsx; default: CSV on standard output.",
            show_default=False,
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="List objects that were handed out before and have no result yet.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace an existing file; also hand out what al-loop run measures by a program."),
    ] = False,
    verbose: VerboseOption = False,
) -> None:
    """Write a table of objects to measure, to fill in and return with tell."""
    with exit_codes(verbose=verbose, needs_output=True):
        from al_loop.datafiles.table_formats import format_of
        from al_loop.ledger import Ledger
        from al_loop.people.ask import (
            candidates_to_ask,
            hand_out,
            reason_for_none,
            require_people,
            table_to_fill_in,
            unreviewed_round,
            write_table,
        )
        from al_loop.people.campaign_of_ledger import add_part_folders, object_notation
        from al_loop.storage.files import require_free
        from al_loop.storage.locate import find_ledger, run_folder

        output = None if str(output) == "-" else output
        if output is not None:
            format_of(output, None, ("csv", "tsv", "xlsx"))
            require_free(output, force=force)
        with Ledger(find_ledger(run)) as ledger:
            add_part_folders(run_folder(run))
            if not force:
                require_people(ledger)
            unreviewed = unreviewed_round(ledger)
            candidates = [c for c in candidates_to_ask(ledger, again=again) if c.round != unreviewed]
            if not again and unreviewed is None and len(candidates) < (n or 1):
                _propose(run, ledger)
                unreviewed = unreviewed_round(ledger)
                candidates = [c for c in candidates_to_ask(ledger) if c.round != unreviewed]
            if not again and not candidates and unreviewed is not None:
                raise ConfigError(f"round {unreviewed} must be reviewed before it is released: al-loop review {run}")
            reserved = output if candidates else None
            if reserved is not None:
                write_table(reserved, "", force=force)  # before the ledger records that it was handed out
            candidates = candidates[:n] if again else hand_out(ledger, candidates, n)
            if not candidates:
                if reserved is not None:  # somebody else was quicker
                    reserved.unlink(missing_ok=True)
                typer.echo(reason_for_none(ledger, again=again), err=True)
                raise typer.Exit(EXIT_FAILURE)
            text = table_to_fill_in(ledger, candidates, object_notation(ledger).column)
            name = ledger.name if "://" in run else run  # without a password
        if output is None:
            typer.echo(text, nl=False)
            return
        write_table(output, text, force=True)  # the file is its own by now
        requested = f" ({n} requested)" if n is not None and len(candidates) < n else ""
        typer.echo(
            f"written: {output}: {counted(len(candidates), 'object')}{requested}. "
            f"To import the results: al-loop tell {name} {output}"
        )


def _are(n: int, noun: str) -> str:
    """Return a number of things as a subject: "1 object is", "2 objects are"."""
    return f"{counted(n, noun)} {'is' if n == 1 else 'are'}"


def _propose(run: str, ledger: Ledger) -> None:
    """Let the campaign choose its next batch, if its oracle is people and its process is not running."""
    from al_loop.campaign.preparation import prepare
    from al_loop.campaign.recorded import config_of_run
    from al_loop.people.campaign_of_ledger import add_part_folders
    from al_loop.storage.locate import run_folder

    folder, sessions = run_folder(run), ledger.sessions()
    if folder is None or not add_part_folders(folder) or not sessions:
        return
    settings = config_of_run(sessions[-1].config, folder)
    if not prepare(settings).oracle.is_external:
        return
    from al_loop.campaign.campaign import Campaign
    from al_loop.storage.run_directory import RunDirectory

    with suppress(ConfigError):
        RunDirectory(folder).close()
        is_local = (folder / "ledger.db").is_file()
        with Campaign(settings.model_copy(update={"ledger": None if is_local else ledger.url}), folder) as campaign:
            campaign.advance()


def tell(
    run: RunArgument,
    file: Annotated[Path, typer.Argument(help="The table with the results.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Commit without confirmation.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only preview what would be committed.")] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Commit the valid rows even if others have problems.")
    ] = False,
    extra: Annotated[bool, typer.Option("--extra", help="Also accept objects that were never proposed.")] = False,
    replicates: Annotated[
        bool, typer.Option("--replicates", help="Average several values of the same object.")
    ] = False,
    correct: Annotated[
        str | None,
        typer.Option(
            metavar="REASON",
            help="Replace results in the ledger that differ from the table's, for this reason.",
            show_default=False,
        ),
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Import measured results, after a preview."""
    with exit_codes(verbose=verbose):
        from al_loop.ledger import Ledger
        from al_loop.people.campaign_of_ledger import object_notation
        from al_loop.people.preview import preview
        from al_loop.people.tell import ImportOptions, commit_results, parse_results
        from al_loop.storage.locate import find_ledger

        options = ImportOptions(extra, correct, replicates)
        with Ledger(find_ledger(run)) as ledger:
            results = parse_results(ledger, file, options, object_notation(ledger).canonical)
            for heading, lines in preview(results, ledger):
                typer.secho(heading, bold=True)
                for line in lines:
                    typer.echo(f"  {written_out(line)}")
            if results.problems and not partial:
                raise ConfigError(
                    f"{file}: nothing was committed; fix the rows above, or pass --partial to commit the valid ones"
                )
            if not results.n_new:
                typer.echo("nothing new to commit")
                return
            if dry_run:
                typer.echo(f"{counted(results.n_new, 'result')} would be committed")
                return
            if not yes:
                if not sys.stdin.isatty():
                    raise ConfigError(
                        "cannot ask for confirmation without a terminal; pass --yes, or --dry-run to preview"
                    )
                typer.confirm(
                    f"Commit {counted(results.n_new, 'result')} (committed results are never overwritten)?", abort=True
                )
            commit_results(ledger, results, file, options)
            n_pending = len(ledger.pending())
        typer.echo(f"committed: {counted(results.n_new, 'result')}; {_are(n_pending, 'candidate')} pending")


def review(
    run: RunArgument,
    veto: Annotated[list[str] | None, typer.Option(help="An object (or its id) that must not be measured.")] = None,
    pin: Annotated[list[str] | None, typer.Option(help="A further object to measure.")] = None,
    replace: Annotated[
        tuple[str, str] | None, typer.Option(help="An object (or its id) and the one to measure instead.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="A CSV file with many decisions: object,action,reason,new.", show_default=False),
    ] = None,
    approve: Annotated[bool, typer.Option("--approve", help="Release the batch.")] = False,
    reason: Annotated[str, typer.Option(help="The reason; required for a veto, pin or replacement.")] = "",
    by: Annotated[
        str | None, typer.Option(help="The person who decides; default: the current user.", show_default=False)
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Show the batch that waits for review (see rounds.review), and record decisions about it."""
    with exit_codes(verbose=verbose):
        from al_loop.cli.terminal import show_batch
        from al_loop.people.predicted import predictions_by_objective
        from al_loop.people.review import open_review, waiting_batch
        from al_loop.system.users import current_user

        with open_review(run) as decisions:
            for candidate in veto or ():
                decisions.veto(candidate, reason)
            for name in pin or ():
                decisions.pin(name, reason)
            if replace is not None:
                decisions.replace(*replace, reason)
            if file is not None:
                decisions.read(file)
            n_vetoed, n_pinned = len(decisions.vetoes), len(decisions.pins)
            if n_vetoed or n_pinned or approve:
                decisions.commit(current_user() if by is None else by, approve=approve, reason=reason)
            waiting = waiting_batch(decisions.ledger)
            if not approve:
                show_batch(waiting, decisions.number, predictions_by_objective(decisions.ledger, waiting))
        if n_vetoed or n_pinned:
            typer.echo(f"recorded: {n_vetoed} vetoed, {n_pinned} pinned")
        typer.echo(
            f"round {decisions.number}: {_are(len(waiting), 'object')} released"
            if approve
            else f"to release them: al-loop review {run} --approve"
        )
