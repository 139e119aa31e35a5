"""``al-loop pretrain``: train a config's sampler on a file of objects."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from al_loop.cli.common import ConfigArgument, VerboseOption, exit_codes, sigterm_as_exception
from al_loop.errors import ConfigError

if TYPE_CHECKING:
    from al_loop.config import CampaignConfig

#: the command's own keys in KEY=VALUE form: how each is read, the expected form, the accepted values
_OWN_KEYS: dict[str, tuple[Callable[[str], Any], str, Callable[[Any], bool]]] = {
    "data": (str, "a file", bool),
    "limit": (int, "a whole number from 1 up", lambda value: value >= 1),
    "steps": (int, "a whole number from 1 up", lambda value: value >= 1),
    "batch_size": (int, "a whole number from 1 up", lambda value: value >= 1),
    "lr": (float, "a number above 0", lambda value: 0 < value < math.inf),
    "validation": (float, "a share from 0 to below 1", lambda value: 0 <= value < 1),
}


def pretrain(
    config: ConfigArgument,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="data=FILE [KEY=VALUE]...",
            help="The data: a text file with one object per line (or .xz, .gz), or the first column of a .smi file. "
            "Further keys: steps=1000, batch_size=64, lr=0.001, validation=0.1 (the share held out), limit=N (a random "
            "sample of N objects), and changes to the config.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("prior.pt"),
    verbose: VerboseOption = False,
) -> None:
    """Train a config's sampler on a file of objects, as a starting point for campaigns."""
    message = "interrupted: no prior was written"
    with exit_codes(verbose=verbose, when_interrupted=message), sigterm_as_exception():
        from al_loop.config import load_config

        own, config_overrides = _split_overrides(overrides or ())
        if "data" not in own:
            raise ConfigError("data: missing; add data=FILE, a text file with one object per line")
        settings = load_config(config, config_overrides)
        if not output.absolute().parent.is_dir():
            raise ConfigError(f"cannot write the prior {output}: its folder does not exist; choose another with -o")
        _pretrain(settings, output, **own)


def _split_overrides(overrides: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Divide KEY=VALUE arguments into the command's own keys and the changes to the config."""
    from difflib import get_close_matches

    from al_loop.config import CampaignConfig

    own: dict[str, Any] = {}
    rest = []
    for override in overrides:
        name, equals, text = override.partition("=")
        if name not in _OWN_KEYS or not equals:
            near = get_close_matches(name, _OWN_KEYS, n=1)
            if near and name not in CampaignConfig.model_fields:
                raise ConfigError(f"{name}: unknown key (did you mean {near[0]!r}?); from {override!r}")
            rest.append(override)
            continue
        read, expected, is_right = _OWN_KEYS[name]
        try:
            own[name] = read(text)
        except ValueError:
            own[name] = None
        if own[name] is None or not is_right(own[name]):
            raise ConfigError(f"{name}: {text!r} is not {expected} (from {override!r} on the command line)")
    return own, rest


def _pretrain(
    settings: CampaignConfig, output: Path, data: str, limit: int | None = None, steps: int = 1000, **options: Any
) -> None:
    import random

    import torch

    from al_loop.campaign.building import build_environment, build_policy, training_settings
    from al_loop.cli.terminal import progress_bar
    from al_loop.gflownet.learner import find_device
    from al_loop.gflownet.pretraining import encode_objects, pretrain, read_objects, save_prior, vocabulary_of
    from al_loop.seeding import derive_seed

    torch.set_num_threads(settings.resources.threads)
    environment, training = build_environment(settings), training_settings(settings)
    try:
        device = find_device(training.device)
    except ValueError as error:
        raise ConfigError(f"sampler.{error}") from None
    seed = derive_seed(settings.seed, "prior")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(settings.seed, "weights"))
        policy = build_policy(settings, environment, training).to(device)
    objects = read_objects(data)
    if limit is not None and limit < len(objects):
        objects = random.Random(seed).sample(objects, limit)
    with progress_bar("encoding", len(objects)) as advance:
        encoded = encode_objects(environment, objects, advance)
    n_kept, n_skipped = len(encoded.states), encoded.n_skipped
    typer.echo(f"{n_kept} of {len(objects)} objects are in the space of the environment")
    if n_skipped:
        typer.echo(f"{n_skipped} are not and are left out; the first: {encoded.reason}")

    def tell(done: int, nll: float) -> None:
        typer.echo(f"step {done} of {steps}: validation {nll:.3f} nats an object")

    with progress_bar("training", steps) as advance:
        found = pretrain(
            environment,
            encoded,
            policy,
            steps=steps,
            seed=seed,
            on_step=lambda step, loss: advance(f"loss {loss:.2f}"),
            on_validation=tell,
            **options,
        )
    facts = {
        "data": Path(data).name,
        "n_train": found.n_train,
        "n_validation": found.n_validation,
        "n_skipped": found.n_skipped,
        "validation_nll": found.validation_nll,
        "steps": found.step,
        "seed": settings.seed,
    }
    save_prior(output, policy, {**vocabulary_of(environment), **facts})
    held_out = f", {found.validation_nll:.3f} nats for each of {found.n_validation} held out"
    typer.echo(
        f"written: {output}: trained on {found.n_train} objects for {found.step} steps"
        f"{held_out if found.n_validation else ''}. To start from it, in the config:"
    )
    typer.echo(f"sampler: {{prior: {json.dumps(str(output)) if ' ' in str(output) else output}}}")
