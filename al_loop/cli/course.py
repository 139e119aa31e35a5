"""``al-loop resume`` and ``branch``: go on with a run by its recorded config, or take over its first rounds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from al_loop.cli.common import (
    AcceptChangeOption,
    AddressOption,
    OverridesArgument,
    QuietOption,
    RunArgument,
    VerboseOption,
    exit_codes,
    resume_message,
    stop_on_signals,
)
from al_loop.errors import ConfigError, counted


def resume(
    run: RunArgument,
    overrides: OverridesArgument = None,
    address: AddressOption = "local",
    accept_change: AcceptChangeOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Go on with a run by the config that it recorded; KEY=VALUE changes its course from the next round on."""
    with exit_codes(verbose=verbose, when_interrupted=resume_message()), stop_on_signals():
        from al_loop.campaign.recorded import config_of_run
        from al_loop.cli.run import run_campaign
        from al_loop.cli.terminal import make_reporter

        folder = _folder_of(run)
        settings = config_of_run(_newest_config(run), folder, overrides or ())
        with make_reporter(quiet=quiet, verbose=verbose) as reporter:
            run_campaign(settings, folder, address, reporter, accept_change)


def branch(
    run: RunArgument,
    new_dir: Annotated[Path, typer.Argument(help="The run directory of the new campaign.", show_default=False)],
    overrides: OverridesArgument = None,
    from_round: Annotated[
        int | None,
        typer.Option(help="The first round that the branch decides by itself; default: the next one."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Its config; default: that of the run.", show_default=False)
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Make a new run that begins with the first rounds of another, whose answers cost it nothing."""
    with exit_codes(verbose=verbose):
        from al_loop.campaign.branching import BranchPoint, config_before
        from al_loop.campaign.branching import branch as branch_off
        from al_loop.campaign.recorded import config_of_run
        from al_loop.config import load_config
        from al_loop.ledger import Ledger
        from al_loop.storage.locate import find_ledger

        folder = _folder_of(run)
        with Ledger(find_ledger(run), read_only=True) as ledger:
            number = len(ledger.rounds()) if from_round is None else from_round
            before = config_before(ledger, number)
            if config is not None:
                settings = load_config(config, overrides or ())
            else:
                settings = config_of_run({**before, "checkpoints": None}, folder, overrides or ())
                if not any(text.startswith("ledger=") for text in overrides or ()):
                    settings = settings.model_copy(update={"ledger": None})
            result = branch_off(BranchPoint(ledger, folder, number), settings, new_dir)
        typer.echo(
            f"{new_dir}: takes over {counted(result.rounds, 'round')} with {counted(result.answers, 'answer')} of "
            f"{run}, which do not count against its budget, and decides round {number} and later ones by itself"
        )
        if not result.has_checkpoint:
            typer.echo(f"the sampler's state after round {number - 1} is no longer there, so its training starts anew")
        typer.echo(f"To go on: al-loop resume {new_dir}")


def _folder_of(run: str) -> Path:
    from al_loop.storage.locate import find_ledger, run_folder

    find_ledger(run)  # says what is there if there is no such run
    folder = run_folder(run)
    if folder is None:
        raise ConfigError(f"{run}: give the run directory, which has what the ledger has not: checkpoints and folders")
    return folder


def _newest_config(run: str) -> dict[str, Any]:
    from al_loop.campaign.course import recorded_config
    from al_loop.ledger import Ledger
    from al_loop.storage.locate import find_ledger

    with Ledger(find_ledger(run), read_only=True) as ledger:
        content = recorded_config(ledger)
    if content is None:
        raise ConfigError(f"{run}: the campaign has not begun; start it with al-loop run")
    return content
