"""``al-loop run``: start or resume a campaign in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from al_loop.cli.common import (
    AcceptChangeOption,
    AddressOption,
    ConfigArgument,
    OverridesArgument,
    QuietOption,
    RunDirOption,
    VerboseOption,
    exit_codes,
    resume_message,
    stop_on_signals,
)
from al_loop.errors import CampaignError, counted

if TYPE_CHECKING:
    from al_loop.analysis import Run
    from al_loop.analysis.status import RunStatus
    from al_loop.cli.terminal import CampaignResult, TerminalReporter
    from al_loop.config import CampaignConfig

_N_BEST = 5
_QUOTED = 60  # characters of a reason that an error quotes at least
_N_TRADE_OFFS = 20


def run(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    run_dir: RunDirOption = None,
    address: AddressOption = "local",
    accept_change: AcceptChangeOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Start a campaign, or resume it where it stopped."""
    with exit_codes(verbose=verbose, when_interrupted=resume_message()), stop_on_signals():
        from al_loop.cli.terminal import make_reporter
        from al_loop.config import load_config

        settings = load_config(config, overrides or ())
        folder = run_dir or Path("runs") / settings.name
        with make_reporter(quiet=quiet, verbose=verbose) as reporter:
            if run_dir is None and (note := run_dir_note(config, settings.name)):
                reporter.note(note)
            run_campaign(settings, folder, address, reporter, accept_change)


def run_dir_note(config: Path, name: str) -> str:
    """Return what to say if the run directory is another one than expected, or an empty text.

    Args:
        config: the config file.
        name: the campaign's name, after which its run directory is called.
    """
    folder = Path("runs") / name
    beside = config.parent / folder
    if not folder.exists() and beside.exists() and beside.resolve() != folder.resolve():
        return f"a new run starts in {folder}; to go on with the one beside the config: al-loop resume {beside}"
    if config.stem != name and not folder.exists():
        return f"the run directory is {folder}, after the campaign's name, not after {config.name}"
    return ""


def run_campaign(
    settings: CampaignConfig,
    folder: Path,
    address: str,
    reporter: TerminalReporter,
    accept_change: str | None = None,
) -> None:
    """Run a campaign until it ends, and print how it went.

    Args:
        settings: its config.
        folder: its run directory.
        address: where it runs: local, auto, or the address of a cluster.
        reporter: shows the progress.
        accept_change: why values of a changed oracle may be used beside earlier ones.
    """
    from al_loop.actors.executors import executor_at
    from al_loop.analysis import open_run
    from al_loop.campaign.campaign import Campaign, ledger_url
    from al_loop.campaign.recorded_defaults import as_begun
    from al_loop.cli.terminal import CampaignOverview, with_unit

    started = time.monotonic()
    settings = as_begun(settings, ledger_url(settings, folder), folder)
    n_calls = settings.rounds.initial + settings.rounds.count * settings.rounds.batch_size
    n_calls = min(n_calls, settings.budget.calls or n_calls)
    with ExitStack() as stack:
        executor = stack.enter_context(executor_at(settings, address, reporter.note))
        campaign = stack.enter_context(Campaign(settings, folder, executor, reporter, accept_change))
        record = stack.enter_context(open_run(ledger_url(settings, folder)))
        objectives = list(record.optimised.values())
        n_answers = record.status().answered
        reporter.overview = CampaignOverview(
            settings.name, objectives, settings.rounds.count + 1, n_calls, n_answers, str(folder), record.created
        )
        if campaign.is_finished:
            campaign.run()  # writes the last report, if the process was killed before it
            status = record.status()
            best = status.no_best or f"best {with_unit(status.best_value, status.unit)}"
            if status.n_front:
                best = f"{counted(status.n_front, 'object')} on the front"
            typer.echo(
                f"{settings.name} is finished: {counted(status.closed_rounds, 'round')}, "
                f"{counted(status.answered, 'answer')}; {best}. "
                f"See: al-loop status {folder}. For more rounds: rounds.count={settings.rounds.count + 5}"
            )
            return
        reporter.begin(reporter.overview)
        with _pointing_to_details(record, folder):
            campaign.run()
        reporter.end(result_of(record, record.status()), time.monotonic() - started)


@contextmanager
def _pointing_to_details(record: Run, folder: Path) -> Iterator[None]:
    """Add to an error that quotes a failure of the oracle where its traceback and output are."""
    try:
        yield
    except CampaignError as error:
        quoted = ""
        with suppress(Exception):  # the ledger may be what is broken
            reasons = record.failures.dropna(subset=["log"])["reason"].unique()
            if any(reason[:_QUOTED] in str(error) for reason in reasons):
                quoted = f"al-loop status -v {folder}"
            elif str(error).startswith(("the oracle", "the first")) and any((folder / "logs").iterdir()):
                quoted = str(folder / "logs")
        if not quoted:
            raise
        raise type(error)(f"{error}; for its traceback and output: {quoted}") from error


def result_of(record: Run, now: RunStatus) -> CampaignResult:
    """Return what a run has brought, as its tables define the best.

    Args:
        record: the run.
        now: its status.
    """
    from al_loop.cli.terminal import CampaignResult

    best = record.best_objects(_N_TRADE_OFFS if now.n_front else _N_BEST)
    labels = record.labels([name for name, _ in best])
    best = [(f"{name} ({labels[name]})" if name in labels else name, values) for name, values in best]
    return CampaignResult(now.answered, best, now.n_front, now.hypervolume, now.no_best)
