"""``al-loop pretrain``: train a config's sampler on a file of objects."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from al_loop.cli.common import ConfigArgument, VerboseOption, exit_codes, stop_on_signals
from al_loop.errors import ConfigError, counted

if TYPE_CHECKING:
    from al_loop.config import CampaignConfig

#: the command's own keys in KEY=VALUE form: parser, description of the expected value, and check of the value
_OWN_KEYS: dict[str, tuple[Callable[[str], Any], str, Callable[[Any], bool]]] = {
    "data": (str, "a file", bool),
    "limit": (int, "a whole number of at least 1", lambda value: value >= 1),
    "steps": (int, "a whole number of at least 1", lambda value: value >= 1),
    "batch_size": (int, "a whole number of at least 1", lambda value: value >= 1),
    "lr": (float, "a number above 0", lambda value: 0 < value < math.inf),
    "decay": (float, "a share between 0 and 1", lambda value: 0 <= value <= 1),
    "validation": (float, "a share of at least 0 and below 1", lambda value: 0 <= value < 1),
}


def pretrain(
    config: ConfigArgument,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="data=FILE [KEY=VALUE]...",
            help="The data: a text file with one object per line (or .xz, .gz), or the first column of a .smi file. "
            "Further keys: steps=1000, batch_size=64, lr=0.001, decay=0 (the last share of the steps, in which lr "
            "falls to 0), validation=0.1 (the held-out share, at most 5000 objects), limit=N (a random sample of N "
            "objects), and changes to the config.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("prior.pt"),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Train a config's sampler on a file of objects, as a starting point for campaigns."""
    message = "interrupted: no prior was written"
    with exit_codes(verbose=verbose, when_interrupted=message), stop_on_signals():
        from al_loop.config import load_config
        from al_loop.storage.files import require_writable

        options, config_overrides = _split_overrides(overrides or ())
        if "data" not in options:
            raise ConfigError("data: missing; add data=FILE, a text file with one object per line")
        settings = load_config(config, config_overrides)
        require_writable(output, force=force, what="the prior ", inputs=(config, options["data"]))
        _pretrain(settings, output, **options)


def _split_overrides(overrides: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Divide KEY=VALUE arguments into the command's own keys and the changes to the config."""
    from difflib import get_close_matches

    from al_loop.config import CampaignConfig

    options: dict[str, Any] = {}
    rest = []
    for override in overrides:
        name, equals, text = override.partition("=")
        if name not in _OWN_KEYS or not equals:
            near = get_close_matches(name, _OWN_KEYS, n=1)
            if near and name not in CampaignConfig.model_fields:
                raise ConfigError(f"{name}: unknown key (did you mean {near[0]!r}?); from {override!r}")
            rest.append(override)
            continue
        parse, expected, is_valid = _OWN_KEYS[name]
        try:
            options[name] = parse(text)
        except ValueError:
            options[name] = None
        if options[name] is None or not is_valid(options[name]):
            raise ConfigError(f"{name}: {text!r} is not {expected} (from {override!r} on the command line)")
    return options, rest


def _pretrain(settings: CampaignConfig, output: Path, data: str, limit: int | None = None, **options: Any) -> None:
    from al_loop.campaign.prior_training import train_prior
    from al_loop.cli.terminal import progress_bar
    from al_loop.gflownet.pretraining import PretrainingSettings

    result = train_prior(
        settings, data, output, PretrainingSettings(**options), limit=limit, bar=progress_bar, report=typer.echo
    )
    held_out = f", {result.validation_nll:.3f} nats per object on {result.n_validation} held-out objects"
    typer.echo(
        f"written: {output}: trained on {counted(result.n_train, 'object')} for {counted(result.step, 'step')}"
        f"{held_out if result.n_validation else ''}. To start from it, add to the config:"
    )
    typer.echo(f"sampler: {{prior: {json.dumps(str(output)) if ' ' in str(output) else output}}}")
