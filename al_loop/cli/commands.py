"""The command line. torch, ray and botorch are imported by the commands that need them, when they need them.

Exit codes: 0 done; 1 the campaign cannot go on, or a bug; 2 the input is wrong; 130 interrupted (Ctrl-C), 143 ended by
SIGTERM, both after a clean stop. Whatever ends a campaign, the same command goes on with it.
"""

from __future__ import annotations

import json
import math
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from al_loop import __version__
from al_loop.errors import AlLoopError, ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from al_loop.analysis import Run
    from al_loop.cli.terminal import TerminalReporter
    from al_loop.config import CampaignConfig
    from al_loop.ledger import Ledger
    from al_loop.oracles.base import Oracle

EXIT_FAILURE, EXIT_INPUT, EXIT_INTERRUPTED, EXIT_TERMINATED = 1, 2, 130, 143
_N_BEST = 5
_N_LOG_LINES = 10
_CHECK_DRAWS = 50  # batches of 128 random objects, as many as a first batch of 16 would get

app = typer.Typer(
    help="Active learning for expensive oracles: GFlowNet samplers, a BoTorch surrogate, a durable ledger.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_Config = Annotated[Path, typer.Argument(help="The campaign's YAML file.", show_default=False)]
_Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Changes to the config, e.g. rounds.count=8.", show_default=False),
]
_RunArgument = Annotated[str, typer.Argument(help="A run directory, a ledger file or a database URL.", metavar="RUN")]
_JobArgument = Annotated[
    str, typer.Argument(help="A campaign's name, for its newest job, or a job's id.", metavar="CAMPAIGN_OR_JOB")
]
_RunDir = Annotated[Path | None, typer.Option(help="Where the run is kept; left out: runs/<name>.", show_default=False)]
_Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="More detail, and tracebacks.")]


class Terminated(KeyboardInterrupt):
    """SIGTERM, which stops a campaign as cleanly as Ctrl-C does."""


def main() -> None:
    """The console script ``al-loop``."""
    try:
        app(prog_name="al-loop")
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None


@contextmanager
def _exit_codes(*, verbose: bool = False, when_interrupted: str = "interrupted") -> Iterator[None]:
    """Turns whatever a command raises into one clear line and an exit code."""
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except AlLoopError as error:
        if verbose:
            traceback.print_exc()
        for line in str(error).splitlines():
            _complain(line)
        raise typer.Exit(EXIT_INPUT if isinstance(error, ConfigError) else EXIT_FAILURE) from None
    except Terminated:
        typer.echo(when_interrupted.replace("interrupted", "ended by SIGTERM", 1), err=True)
        raise typer.Exit(EXIT_TERMINATED) from None
    except KeyboardInterrupt:
        typer.echo(when_interrupted, err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:  # `al-loop list | head`
        raise typer.Exit(EXIT_FAILURE) from None
    except Exception as error:
        traceback.print_exc()
        _complain(
            f"{type(error).__name__}: this is a bug in al-loop, or in a part of your own that stands in the traceback "
            "above; please report it with the traceback. What was measured is safe in the ledger"
        )
        raise typer.Exit(EXIT_FAILURE) from None


def _complain(message: str) -> None:
    typer.secho("error:", fg=typer.colors.RED, bold=True, err=True, nl=False)
    typer.echo(f" {message}", err=True)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"al-loop {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


# ---- running -----------------------------------------------------------------------------------------------------


def _goes_on() -> str:
    """What an interrupted campaign, or sweep of campaigns, has to say."""
    again = shlex.join(["al-loop", *sys.argv[1:]])
    return f"interrupted: every answer that had arrived is safe; the same command goes on from there: {again}"


@app.command()
def run(
    config: _Config,
    overrides: _Overrides = None,
    run_dir: _RunDir = None,
    address: Annotated[
        str, typer.Option(help="local: this machine, without Ray; auto: start or join Ray; HOST:6379: that cluster.")
    ] = "local",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="A line a round.")] = False,
    verbose: _Verbose = False,
) -> None:
    """Starts a campaign, or goes on where it stopped."""
    with _exit_codes(verbose=verbose, when_interrupted=_goes_on()), _sigterm_as_exception():
        from al_loop.cli.terminal import make_reporter
        from al_loop.config import load_config

        settings = load_config(config, overrides or ())
        folder = run_dir or Path("runs") / settings.name
        with make_reporter(quiet=quiet, verbose=verbose) as reporter:
            _run(settings, folder, address, reporter)


def _run(settings: CampaignConfig, folder: Path, address: str, reporter: TerminalReporter) -> None:
    from al_loop.analysis import open_run
    from al_loop.campaign.campaign import Campaign, ledger_url
    from al_loop.cli.terminal import CampaignFacts

    started = time.monotonic()
    planned = settings.rounds.initial + settings.rounds.count * settings.rounds.batch_size
    planned = min(planned, settings.budget.calls or planned)
    with ExitStack() as stack:
        executor = None
        if address != "local":
            from al_loop.actors.cluster.executor import RayExecutor

            executor = RayExecutor(settings, address, reporter.note)
            stack.callback(executor.close)
        campaign = stack.enter_context(Campaign(settings, folder, executor, reporter))
        past = stack.enter_context(open_run(ledger_url(settings, folder)))
        objectives = list(past.optimised.values())
        if campaign.is_finished:
            campaign.run()  # writes the last report, should a kill have come before it
            status = past.status()
            best = "" if status.best_value is None else f"; best {_with_unit(status.best_value, status.unit)}"
            typer.echo(
                f"{settings.name} is finished: {status.closed_rounds} rounds, {status.answered} answers{best}. "
                f"See: al-loop status {folder}. For more rounds: rounds.count={settings.rounds.count + 5}"
            )
            return
        done = past.status().answered
        reporter.begin(CampaignFacts(settings.name, objectives, settings.rounds.count + 1, planned, done, str(folder)))
        campaign.run()
        reporter.end(past.status().answered, _best(past), time.monotonic() - started)


def _best(run: Run) -> list[tuple[str, tuple[float, ...]]]:
    """The best objects with their values; of several objectives those of best trade-offs."""
    columns = list(run.optimised)
    table = run.best(_N_BEST) if len(columns) == 1 else run.front()
    values = table[columns].to_numpy(dtype=float).tolist()
    return [(str(name), tuple(row)) for name, row in zip(table["object"], values, strict=True)]


@contextmanager
def _sigterm_as_exception() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread: whoever embeds this handles its own signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@app.command()
def submit(
    config: _Config,
    address: Annotated[str, typer.Option(help="The cluster's job server, http://HEAD:8265.", show_default=False)],
    overrides: _Overrides = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where the run is kept, as the cluster's head sees it: storage that outlives the head, unless the "
            "ledger is on PostgreSQL. Left out: runs/<name> below this folder.",
            show_default=False,
        ),
    ] = None,
    requirements: Annotated[
        Path | None,
        typer.Option(help="A pip requirements file that is installed on the cluster first.", show_default=False),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(
            help="A container image with al-loop, in which everything runs (by podman on the nodes); then only the "
            "config travels, and the ledger is a database.",
            show_default=False,
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A variable of the environment here to hand on.", show_default=False),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show its log; exit as it exits.")] = False,
    verbose: _Verbose = False,
) -> None:
    """Runs a campaign as a job of a Ray cluster; submitted again, it goes on."""
    stopped = "interrupted: the job itself goes on, if it was submitted; the same command shows its log"
    with _exit_codes(verbose=verbose, when_interrupted=stopped):
        from al_loop.actors.jobs.runtime_env import JobEnvironment
        from al_loop.actors.jobs.submit import Cluster
        from al_loop.config import load_config

        settings = load_config(config, overrides or ())
        environment = JobEnvironment(requirements, image, tuple(env or ()))
        folder = (run_dir or Path("runs") / settings.name).absolute()
        cluster = Cluster(address)
        job = cluster.submit(config, settings, overrides or (), folder, environment)
        for name in job.left_behind:
            typer.echo(f"note: {name} is too large to travel with the job", err=True)
        if job.is_new:
            typer.echo(f"submitted {job.id}; the run is kept in {folder} on the cluster")
        else:
            typer.echo(f"{settings.name} is running already, as the job {job.id}; no second one is started")
        if follow:
            raise typer.Exit(cluster.follow(job.id, lambda text: typer.echo(text, nl=False)))
        at = f"{settings.name} --address {address}"
        typer.echo(f"to watch it: al-loop logs {at} --follow; to end it: al-loop stop {at}")


@app.command()
def logs(
    job: _JobArgument,
    address: Annotated[str, typer.Option(help="The cluster's job server, http://HEAD:8265.", show_default=False)],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on showing it until the job ends; exit as it exits.")
    ] = False,
    verbose: _Verbose = False,
) -> None:
    """Shows what a job of a cluster has printed."""
    with _exit_codes(verbose=verbose, when_interrupted="interrupted: the job itself goes on"):
        from al_loop.actors.jobs.submit import Cluster

        cluster = Cluster(address)
        found = cluster.find(job)
        if follow:
            raise typer.Exit(cluster.follow(found.id, lambda text: typer.echo(text, nl=False)))
        printed = cluster.log(found.id)
        typer.echo(printed, nl=False)
        if not printed:
            typer.echo(f"{found.id} has printed nothing; it is {found.status}: {found.message}", err=True)


@app.command()
def stop(
    run: Annotated[
        str,
        typer.Argument(
            help="The directory of a run or a sweep here; with --address a campaign's name or a job's id.",
            metavar="RUN",
        ),
    ],
    address: Annotated[
        str | None, typer.Option(help="The job server of a cluster, http://HEAD:8265.", show_default=False)
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait until it has ended.")] = False,
    verbose: _Verbose = False,
) -> None:
    """Ends a running campaign or sweep cleanly, here or on a cluster."""
    stopped = "interrupted: it was told to stop, if it was found, and ends by itself"
    with _exit_codes(verbose=verbose, when_interrupted=stopped):
        if address is not None:
            _stop_job(run, address, wait=not no_wait)
            return
        from al_loop.actors.jobs.stop import stop_here

        pid = stop_here(Path(run), wait=not no_wait)
        if pid is None:
            typer.echo(f"nothing runs in {run}")
        else:
            state = "is stopping" if no_wait else "has stopped"
            typer.echo(f"{run} (pid {pid}) {state}; the same command goes on with it")


def _stop_job(name: str, address: str, *, wait: bool) -> None:
    from al_loop.actors.jobs.submit import Cluster

    cluster = Cluster(address)
    job = cluster.find(name)
    if job.has_ended:
        typer.echo(f"{job.campaign} (job {job.id}) has ended already: {job.status}")
        return
    job = cluster.stop(job.id, wait=wait)
    state = f"has ended: {job.status}" if job.has_ended else "is stopping"
    typer.echo(f"{job.campaign} (job {job.id}) {state}; the same al-loop submit goes on with it")


@app.command()
def sweep(
    config: _Config,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=[V1,V2,...] [KEY=VALUE]...",
            help="A list is swept over, e.g. seed=[0,1,2] reward.beta=[4,12]; anything else holds for all. "
            "For a setting that is itself a list, give a list of lists.",
            show_default=False,
        ),
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(help="Where all the runs are kept; left out: runs/<name>-sweep.", show_default=False),
    ] = None,
    address: Annotated[
        str, typer.Option(help="local: this machine, without Ray; auto: start or join Ray; ray://...: that cluster.")
    ] = "local",
    concurrent: Annotated[
        int | None, typer.Option(min=1, help="Campaigns at once; left out: as many as there is room for.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Seeds for each setting, from the config's own up.")] = 1,
    verbose: _Verbose = False,
) -> None:
    """Runs a campaign for every combination of seeds and settings; started again, it goes on."""
    with _exit_codes(verbose=verbose, when_interrupted=_goes_on()), _sigterm_as_exception():
        from al_loop.actors.sweeps.plan import plan
        from al_loop.actors.sweeps.run import sweep as run_sweep
        from al_loop.cli.terminal.sweep import line_of_event, show_sweep

        combinations = plan(config, overrides or (), samples)
        folder = run_dir or Path("runs") / f"{combinations[0].config.name}-sweep"
        result = run_sweep(
            combinations,
            folder,
            address=address,
            concurrent=concurrent,
            on_event=lambda name, event: typer.echo(line_of_event(name, event)),
        )
        show_sweep(result)
        typer.echo(f"written: {folder / 'sweep.csv'}. To look further: al_loop.open_run(RUN), or")
        typer.echo(f"  al-loop status {shlex.quote(str(folder / combinations[0].name))}")
        if result.n_failed:
            raise typer.Exit(EXIT_FAILURE)


# ---- learning from data ------------------------------------------------------------------------------------------

#: what ``pretrain`` itself is told in key=value form: how each is read, what is expected, what is allowed
_OF_PRETRAIN: dict[str, tuple[Callable[[str], Any], str, Callable[[Any], bool]]] = {
    "data": (str, "a file", bool),
    "limit": (int, "a whole number from 1 up", lambda value: value >= 1),
    "steps": (int, "a whole number from 1 up", lambda value: value >= 1),
    "batch_size": (int, "a whole number from 1 up", lambda value: value >= 1),
    "lr": (float, "a number above 0", lambda value: 0 < value < math.inf),
    "validation": (float, "a share from 0 to below 1", lambda value: 0 <= value < 1),
}


@app.command()
def pretrain(
    config: _Config,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="data=FILE [KEY=VALUE]...",
            help="The data: a text file with an object a line, also .xz or .gz, or the first column of a .smi file. "
            "Further: steps=1000, batch_size=64, lr=0.001, validation=0.1 (the share held out), limit=N (that many "
            "objects, picked at random), and changes to the config.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("prior.pt"),
    verbose: _Verbose = False,
) -> None:
    """Trains a config's sampler on a file of objects, for campaigns to start from."""
    stopped = "interrupted: no prior was written"
    with _exit_codes(verbose=verbose, when_interrupted=stopped), _sigterm_as_exception():
        from al_loop.config import load_config

        own, rest = _split_overrides(overrides or ())
        if "data" not in own:
            raise ConfigError("data: missing; add data=FILE, a text file with an object a line")
        settings = load_config(config, rest)
        if not output.absolute().parent.is_dir():
            raise ConfigError(f"cannot write the prior {output}: its folder is not there; choose another with -o")
        _pretrain(settings, output, **own)


def _split_overrides(overrides: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """What ``pretrain`` is told itself, and the changes to the config."""
    from difflib import get_close_matches

    from al_loop.config import CampaignConfig

    own: dict[str, Any] = {}
    rest = []
    for override in overrides:
        name, equals, text = override.partition("=")
        if name not in _OF_PRETRAIN or not equals:
            near = get_close_matches(name, _OF_PRETRAIN, n=1)
            if near and name not in CampaignConfig.model_fields:
                raise ConfigError(f"{name}: unknown key (did you mean {near[0]!r}?); from {override!r}")
            rest.append(override)
            continue
        read, expected, is_right = _OF_PRETRAIN[name]
        try:
            own[name] = read(text)
        except ValueError:
            own[name] = None
        if own[name] is None or not is_right(own[name]):
            raise ConfigError(f"{name}: {text!r} is not {expected} (from {override!r} on the command line)")
    return own, rest


def _pretrain(settings: CampaignConfig, output: Path, data: str, limit: int | None = None, **options: Any) -> None:
    from al_loop.campaign.prior_training import train_prior
    from al_loop.gflownet.pretraining import PretrainingSettings

    result = train_prior(
        settings, data, output, PretrainingSettings(**options), limit=limit, bar=_bar, report=typer.echo
    )
    held_out = f", {result.validation_nll:.3f} nats for each of {result.n_validation} held out"
    typer.echo(
        f"written: {output}: trained on {result.n_train} objects for {result.step} steps"
        f"{held_out if result.n_validation else ''}. To start from it, in the config:"
    )
    typer.echo(f"sampler: {{prior: {json.dumps(str(output)) if ' ' in str(output) else output}}}")


@contextmanager
def _bar(name: str, total: int) -> Iterator[Callable[..., None]]:
    """A progress bar on a terminal, nothing elsewhere; gives what is called after each step."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Progress(
        *columns, TextColumn("{task.fields[detail]}"), console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(name, total=total, detail="")
        yield lambda detail="": progress.update(task, advance=1, detail=detail)


# ---- asking people -----------------------------------------------------------------------------------------------


@app.command()
def ask(
    run: _RunArgument,
    n: Annotated[
        int | None, typer.Option("--number", "-n", min=1, help="Objects at the most; left out: all that wait.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The table to write; left out: shown here.", show_default=False),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="What was asked for before and has no result yet.")] = False,
    verbose: _Verbose = False,
) -> None:
    """Writes a table of objects that wait to be measured, to be filled in and handed back with tell."""
    with _exit_codes(verbose=verbose):
        from al_loop.analysis.locate import find_ledger
        from al_loop.ledger import Ledger
        from al_loop.people.ask import ask as ask_people
        from al_loop.people.ask import candidates_to_ask, write_table
        from al_loop.people.campaign_of_ledger import object_notation

        if output is not None and output.exists():
            raise ConfigError(f"{output} is there already, perhaps with results in it; choose another name")
        with Ledger(find_ledger(run)) as ledger:
            unseen = _unseen(ledger)
            found = [c for c in candidates_to_ask(ledger, again=again) if c.round != unseen]
            if not again and unseen is None and len(found) < (n or 1):
                _propose(run, ledger)
                unseen = _unseen(ledger)
                found = [c for c in candidates_to_ask(ledger) if c.round != unseen]
            if not again and not found and unseen is not None:
                raise ConfigError(f"round {unseen} waits to be looked at before it goes out: al-loop review {run}")
            found = found[:n]
            if not found:
                typer.echo(_why_nothing_waits(ledger, again), err=True)
                raise typer.Exit(EXIT_FAILURE)
            column = object_notation(ledger).column
            if output is not None:
                write_table(output, "")  # before it is recorded that somebody has it
            text = ask_people(ledger, found, column, again=again)
            shown = ledger.name if "://" in run else run  # without a password
        if output is None:
            typer.echo(text, nl=False)
            return
        write_table(output, text)
        wanted = f", {n} were asked for" if n is not None and len(found) < n else ""
        typer.echo(
            f"written: {output}: {len(found)} objects{wanted}. Filled in, hand it back: al-loop tell {shown} {output}"
        )


def _unseen(ledger: Ledger) -> int | None:
    """The last round, where a person is to look at its batch before it goes out."""
    from al_loop.people.campaign_of_ledger import campaign_config

    last = ledger.last_round()
    is_seen = last is None or not campaign_config(ledger).rounds.review or ledger.has_gone_out(last)
    return None if is_seen else last


def _why_nothing_waits(ledger: Ledger, again: bool) -> str:
    from al_loop.people.campaign_of_ledger import campaign_config

    out, share = len(ledger.in_flight()), campaign_config(ledger).rounds.close_share
    if again:
        return "nothing: all that was asked for has its result"
    if not out:
        return "nothing waits to be measured: the campaign has asked for all that it was to ask for"
    return (
        f"nothing waits to be asked for; {out} are being measured (--again shows them), and the next batch is decided "
        f"on when {share:.0%} of the last have a result"
    )


def _propose(run: str, ledger: Ledger) -> None:
    """Lets a campaign that waits for people, and whose process does not run, decide on its next batch."""
    from al_loop.analysis.locate import run_folder
    from al_loop.campaign.building import build_oracle
    from al_loop.people.campaign_of_ledger import add_part_folders, campaign_config

    settings, folder = campaign_config(ledger), run_folder(run)
    if folder is None or not add_part_folders(folder):
        return
    if not build_oracle(settings).is_external:
        return
    from al_loop.campaign.campaign import Campaign, RunDirectory

    with suppress(ConfigError):
        RunDirectory(folder).close()
        with Campaign(settings.model_copy(update={"ledger": ledger.url}), folder) as campaign:
            campaign.advance()


@app.command()
def tell(
    run: _RunArgument,
    file: Annotated[Path, typer.Argument(help="The table, with results filled in.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Commit without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be committed.")] = False,
    partial: Annotated[bool, typer.Option("--partial", help="Commit the rows without problems.")] = False,
    extra: Annotated[bool, typer.Option("--extra", help="Take in objects that were never proposed, too.")] = False,
    replicates: Annotated[bool, typer.Option("--replicates", help="Average several values of one object.")] = False,
    correct: Annotated[
        str | None,
        typer.Option(help="Why results that differ from the ledger's are to take their place.", show_default=False),
    ] = None,
    verbose: _Verbose = False,
) -> None:
    """Takes in measured results, after showing what they are taken for."""
    with _exit_codes(verbose=verbose):
        from al_loop.analysis.locate import find_ledger
        from al_loop.ledger import Ledger
        from al_loop.people.campaign_of_ledger import object_notation
        from al_loop.people.preview import preview
        from al_loop.people.tell import ImportOptions, commit_results, parse_results

        accept = ImportOptions(extra, correct, replicates)
        with Ledger(find_ledger(run)) as ledger:
            told = parse_results(ledger, file, accept, object_notation(ledger).canonical)
            for heading, lines in preview(told, ledger):
                typer.secho(heading, bold=True)
                for line in lines:
                    typer.echo(f"  {line}")
            if told.problems and not partial:
                raise ConfigError(
                    f"{file}: nothing was committed; put the problems right, or commit the other rows: --partial"
                )
            if not told.n_new:
                typer.echo("nothing new to commit")
                return
            if dry_run:
                typer.echo(f"{told.n_new} results would be committed")
                return
            if not yes:
                if not sys.stdin.isatty():
                    raise ConfigError("nobody is there to confirm this; add --yes (or --dry-run, to look only)")
                typer.confirm(
                    f"Commit these {told.n_new} results (what is committed is never overwritten)?", abort=True
                )
            commit_results(ledger, told, file, accept)
            left = len(ledger.pending())
        typer.echo(f"committed: {told.n_new} results; {left} candidates are pending")


# ---- looking -----------------------------------------------------------------------------------------------------


@app.command()
def review(
    run: _RunArgument,
    veto: Annotated[list[str] | None, typer.Option(help="An object (or its id) that is not to be measured.")] = None,
    pin: Annotated[list[str] | None, typer.Option(help="An object that is to be measured, too.")] = None,
    replace: Annotated[
        tuple[str, str] | None, typer.Option(help="An object (or its id), and the one to measure in its place.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="A CSV of many decisions: object,action,reason,new.", show_default=False)
    ] = None,
    approve: Annotated[bool, typer.Option("--approve", help="Lets the batch go out.")] = False,
    reason: Annotated[str, typer.Option(help="Why; a veto, pin or replacement needs it.")] = "",
    by: Annotated[str | None, typer.Option(help="Who decides; left out: who is logged in.", show_default=False)] = None,
    verbose: _Verbose = False,
) -> None:
    """Shows the batch that waits to go out (rounds.review), and takes in what a person decides of it."""
    with _exit_codes(verbose=verbose):
        from al_loop.cli.terminal import show_batch
        from al_loop.people.campaign_of_ledger import current_user
        from al_loop.people.review import open_review, waiting_batch

        with open_review(run) as decided:
            for which in veto or ():
                decided.veto(which, reason)
            for name in pin or ():
                decided.pin(name, reason)
            if replace is not None:
                decided.replace(*replace, reason)
            if file is not None:
                decided.read(file)
            n_vetoed, n_pinned = len(decided.vetoes), len(decided.pins)
            if n_vetoed or n_pinned or approve:
                decided.commit(current_user() if by is None else by, approve=approve, reason=reason)
            waiting = waiting_batch(decided.ledger)
            if not approve:
                show_batch(waiting, decided.number)
        if n_vetoed or n_pinned:
            typer.echo(f"recorded: {n_vetoed} vetoed, {n_pinned} pinned")
        typer.echo(
            f"round {decided.number}: {len(waiting)} objects go out"
            if approve
            else f"to let them go out: al-loop review {run} --approve"
        )


@app.command()
def status(
    run: Annotated[
        str,
        typer.Argument(
            help="A run directory, a ledger file or a database URL; with --address a campaign's name or a job's id.",
            metavar="RUN",
        ),
    ],
    address: Annotated[
        str | None, typer.Option(help="The job server of a cluster, http://HEAD:8265.", show_default=False)
    ] = None,
    verbose: _Verbose = False,
) -> None:
    """Where a run stands, and its best objects; with --address, where its job on a cluster stands."""
    with _exit_codes(verbose=verbose):
        if address is not None:
            _job_status(run, address)
            return
        from al_loop.analysis import open_run
        from al_loop.cli.terminal import number

        with open_run(run) as opened:
            now, best, objectives = opened.status(), _best(opened), list(opened.optimised.values())
            alarms = opened.alarms
            failures = opened.evaluations[["failure", "reason"]].dropna()
        planned = "" if now.planned_rounds is None else f" of {now.planned_rounds}"
        goals = [f"{o.goal} {o.name}{f' ({o.unit})' if o.unit else ''}" for o in objectives]
        last = "none yet" if now.last_answer is None else f"{now.last_answer.astimezone():%Y-%m-%d %H:%M:%S}"
        in_flight = f", {now.in_flight} asked already" if now.in_flight else ""
        _facts(
            {
                "campaign": f"{now.name}, {now.state}",
                **({"reason": now.reason} if now.reason else {}),
                "goal": ", ".join(goals),
                "rounds": f"{now.closed_rounds}{planned} closed",
                "answers": f"{now.answered} of {now.proposed} proposed ({now.failed} failed)",
                "pending": f"{now.pending}{in_flight}",
                "oracle calls": f"{now.calls}, cost {now.cost:.6g}",
                **_failures(failures),
                **(
                    {}
                    if alarms.empty
                    else {"last alarm": "round {}: {}".format(*alarms.iloc[-1][["round", "message"]])}
                ),
                "last answer": last,
                "starts": f"{now.sessions}, the first {now.created.astimezone():%Y-%m-%d %H:%M:%S}",
            }
        )
        if best:
            typer.secho("\nbest" if len(goals) == 1 else "\nbest trade-offs", bold=True)
            for name, values in best:
                typer.echo("".join(f"{number(value):>11}" for value in values) + f"  {name}")


def _job_status(name: str, address: str) -> None:
    from al_loop.actors.jobs.submit import Cluster

    cluster = Cluster(address)
    job = cluster.find(name)
    facts = {"job": job.id, "campaign": job.campaign, "status": job.status}
    if job.exit_code:
        facts["status"] += f", with the exit code {job.exit_code}"
    if job.started is not None:
        facts["since"] = f"{job.started.astimezone():%Y-%m-%d %H:%M:%S}"
    if job.ended is not None:
        facts["ended"] = f"{job.ended.astimezone():%Y-%m-%d %H:%M:%S}"
    _facts({**facts, "run": f"{job.run_dir} on the cluster", **({"message": job.message} if job.message else {})})
    last = cluster.log(job.id).splitlines()[-_N_LOG_LINES:]
    if last:
        typer.secho("\nlast lines of its log", bold=True)
        typer.echo("\n".join(last))


def _failures(failures: pd.DataFrame) -> dict[str, str]:
    """How many failures there are of each kind, and what they mostly say."""
    if failures.empty:
        return {}
    kinds = ", ".join(f"{n} {kind}" for kind, n in failures["failure"].value_counts().items())
    most = failures["reason"].value_counts()
    return {"failures": f"{kinds}; {most.iloc[0]} of them: {str(most.index[0])[:160]}"}


@app.command()
def export(
    run: _RunArgument,
    format: Annotated[
        Literal["csv", "parquet"] | None, typer.Option(help="Left out: as the file's name says, else csv.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Left out: <name>.<format> here.", show_default=False)
    ] = None,
    table: Annotated[
        Literal["evaluations", "candidates", "decisions"],
        typer.Option(help="Every answer, every proposed object, or what was decided of batches, and why."),
    ] = "evaluations",
    verbose: _Verbose = False,
) -> None:
    """Writes every answer of a run (or another of its tables) to a CSV or Parquet file."""
    with _exit_codes(verbose=verbose):
        from al_loop.analysis import export as export_run
        from al_loop.analysis import open_run

        chosen = format or ("parquet" if output is not None and output.suffix == ".parquet" else "csv")
        with open_run(run) as opened:
            stem = opened.name if table == "evaluations" else f"{opened.name}_{table}"
            path = export_run(opened, chosen, output or Path(f"{stem}.{chosen}"), table)
        typer.echo(f"written: {path}")


@app.command(name="list")
def list_parts() -> None:
    """Every part that a config can name, a line each."""
    with _exit_codes():
        from al_loop.config import plugins as parts

        found = {section: parts.available(section) for section in parts.ROOMS}
        width = max(len(part.kind) for section in found.values() for part in section)
        for i, (section, infos) in enumerate(found.items()):
            heading = "property (in constraints)" if section == "property" else section
            typer.secho(f"{'' if i == 0 else chr(10)}{heading}", bold=True)
            for info in infos:
                typer.echo(f"  {info.kind:<{width}}  {info.summary}")
        typer.echo('\nYour own: target: "package.module:Class" in place of kind.')


@app.command()
def schema() -> None:
    """Prints the JSON schema of a config, for editors."""
    with _exit_codes():
        from al_loop.config import json_schema

        typer.echo(json.dumps(json_schema(), indent=2))


def _facts(facts: dict[str, str]) -> None:
    width = max(map(len, facts))
    for name, text in facts.items():
        typer.secho(f"{name:<{width}}  ", bold=True, nl=False)
        typer.echo(text)


# ---- checking ----------------------------------------------------------------------------------------------------


@app.command()
def check(
    config: _Config,
    overrides: _Overrides = None,
    no_oracle: Annotated[bool, typer.Option("--no-oracle", help="Do not call the oracle.")] = False,
    verbose: _Verbose = False,
) -> None:
    """Validates a config, builds every part, and makes one call of the oracle that is not recorded."""
    with _exit_codes(verbose=verbose):
        from al_loop.campaign.building import build_oracle, fidelities_of
        from al_loop.config import load_config
        from al_loop.modelling.objectives import campaign_objectives, oracle_objectives

        settings = load_config(config, overrides or ())
        oracle = build_oracle(settings)
        oracle.check()
        wanted, objectives = campaign_objectives(settings, oracle), oracle_objectives(settings, oracle)
        sample, facts = _build_parts(settings)
        levels = fidelities_of(settings, oracle)
        chosen = [objectives[i] for i in wanted.indices]
        goals = [f"{o.goal} {o.name}{f' ({o.unit})' if o.unit else ''}" for o in chosen]
        facts["oracle"] = f"{_named(settings, 'oracle')}: {', '.join(goals)}"
        if levels:
            facts["fidelities"] = ", ".join(f"{f.name} (cost {f.cost * settings.evaluation.cost:g})" for f in levels)
        others = [o.name for o in objectives if o not in chosen]
        if others:
            facts["oracle"] += f"; {', '.join(others)} recorded too"
        calls = settings.rounds.initial + settings.rounds.count * settings.rounds.batch_size
        calls = min(calls, settings.budget.calls or calls)
        facts["sample"] = sample
        if no_oracle or oracle.is_external:
            cost = _price(settings, oracle)
        else:
            facts["its value"], cost = _dry_call(settings, sample, oracle, wanted.indices)
        facts["projected"] = f"{calls} calls x cost {cost:g} = {calls * cost:g}"
        _facts({"config": f"{config} is valid", **facts})


def _build_parts(settings: CampaignConfig) -> tuple[str, dict[str, str]]:
    """A random acceptable object, and what there is to say of each part."""
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
    for _ in range(_CHECK_DRAWS):
        drawn = environment.decode(rollout(environment, None, 128, generator=generator).terminal)
        n_drawn += len(drawn)
        violation = constraints.violation(drawn).tolist()
        accepted += [name for name, v in zip(drawn, violation, strict=True) if v == 0]
        if accepted:
            break
    if not accepted:
        raise ConfigError(f"constraints: none of {n_drawn} random objects meets them; make their bounds wider")
    X = features(accepted[:1])
    facts = {
        "environment": f"{_named(settings, 'environment')}: {environment.object_type}s, "
        + (
            f"{len(environment.objects or ())}, each of which is looked at in every round"
            if is_list
            else f"{environment.n_actions} actions, at most {environment.max_steps} steps"
        ),
        "policy": "none is needed"
        if is_list
        else f"{type(policy).__name__}: {sum(p.numel() for p in policy.parameters()):,} parameters",
        "features": f"{_named(settings, 'features') or getattr(features, 'kind', '')}: {X.shape[-1]} dimensions, "
        f"{features.kernel} kernel",
    }
    facts |= {section: _named(settings, section) for section in ("surrogate", "acquisition", "selector")}
    named = ", ".join(c.kind or c.target or "" for c in settings.constraints)
    if named:
        facts["constraints"] = f"{named}: met by {len(accepted)} of {n_drawn} random objects"
    return accepted[0], facts


def _named(settings: CampaignConfig, section: str) -> str:
    part = getattr(settings, section)
    return "" if part is None else part.kind or part.target or ""


def _price(settings: CampaignConfig, oracle: Oracle) -> float:
    """Of a call at the oracle's own fidelity."""
    costs = {f.name: f.cost for f in oracle.fidelities}
    return settings.evaluation.cost * costs.get(oracle.fidelity, 1.0)


def _dry_call(settings: CampaignConfig, sample: str, oracle: Oracle, wanted: Sequence[int]) -> tuple[str, float]:
    """The oracle's answer, from a worker process as in a campaign, and what it cost."""
    import tempfile

    from al_loop.actors.local import LocalExecutor
    from al_loop.campaign.executor import CallTimeout, MemoryExceeded, WorkerLost
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
            raise CampaignError(f"oracle: on {sample} {error}") from None
        except WorkerLost:
            printed = Path(logs, "oracle-0.log")
            lines = printed.read_text(errors="replace").strip().splitlines() if printed.is_file() else []
            last = f"; the last that it printed: {lines[-1]}" if lines else ""
            raise CampaignError(f"oracle: its process died on {sample}{last}") from None
        seconds = time.monotonic() - started
    if outcome.values is None:
        assert outcome.failure is not None
        raise CampaignError(f"oracle: it failed on {sample}: {outcome.failure.kind}: {outcome.failure.reason}")
    cost = _price(settings, oracle) if outcome.cost is None else outcome.cost
    shown = ", ".join(_with_unit(outcome.values[i], oracle.objectives[i].unit) for i in wanted)
    return f"{shown}, after {seconds:.1f} s with the worker's start", cost


def _with_unit(value: float, unit: str) -> str:
    from al_loop.cli.terminal import number

    return f"{number(value)} {unit}".rstrip()


if __name__ == "__main__":
    main()
