"""Training of a config's sampler on data, for campaigns to start from."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import torch

from al_loop.campaign.building import build_environment, build_policy, training_settings
from al_loop.config import CampaignConfig
from al_loop.datafiles.object_lists import read_objects
from al_loop.errors import ConfigError
from al_loop.gflownet.device import find_device
from al_loop.gflownet.pretraining import (
    PretrainingResult,
    PretrainingSettings,
    encode_objects,
    pretrain,
)
from al_loop.gflownet.priors import environment_metadata, save_prior
from al_loop.seeding import derive_seed

#: opens a progress bar (name, number of steps); its value is called after each step, with a detail to show
ProgressBar = Callable[[str, int], AbstractContextManager[Callable[..., None]]]


@contextmanager
def _no_bar(name: str, total: int) -> Iterator[Callable[..., None]]:
    yield lambda detail="": None


def train_prior(
    config: CampaignConfig,
    data: str | Path,
    output: str | Path,
    settings: PretrainingSettings | None = None,
    *,
    limit: int | None = None,
    bar: ProgressBar = _no_bar,
    report: Callable[[str], None] = lambda line: None,
) -> PretrainingResult:
    """Train the sampler of a campaign's config on a file of objects, and write it as a prior.

    Args:
        config: of the campaign; its seed is the source of all randomness.
        data: a file of objects, see ``read_objects``.
        output: the prior to write.
        settings: None: the defaults.
        limit: number of objects to pick at random; None: all.
        bar: shows progress.
        report: receives lines of text about the data and the validation.

    Raises:
        ConfigError: the data, the config or the output cannot be used, or the loss is not finite.
    """
    settings = settings or PretrainingSettings()
    torch.set_num_threads(config.resources.threads)
    environment, training = build_environment(config), training_settings(config)
    try:
        device = find_device(training.device)
    except ValueError as error:
        raise ConfigError(f"sampler.{error}") from None
    seed = derive_seed(config.seed, "prior")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(config.seed, "weights"))
        policy = build_policy(config, environment, training).to(device)
    objects = read_objects(data)
    if limit is not None and limit < len(objects):
        objects = random.Random(seed).sample(objects, limit)
    with bar("encoding", len(objects)) as advance:
        encoded = encode_objects(environment, objects, advance)
    report(f"{len(encoded.states)} of {len(objects)} objects are in the space of the environment")
    if encoded.n_skipped:
        report(f"skipped, because they are not: {encoded.n_skipped}; the first: {encoded.reason}")
    with bar("training", settings.steps) as advance:
        result = pretrain(
            environment,
            encoded,
            policy,
            settings,
            seed=seed,
            conditioning=training.conditioning,
            on_step=lambda step, loss: advance(f"loss {loss:.2f}"),
            on_validation=lambda step, nll: report(
                f"step {step} of {settings.steps}: validation {nll:.3f} nats per object"
            ),
        )
    metadata = {
        "data": Path(data).name,
        "n_train": result.n_train,
        "n_validation": result.n_validation,
        "n_skipped": result.n_skipped,
        "validation_nll": result.validation_nll,
        "steps": result.step,
        "seed": config.seed,
    }
    save_prior(output, policy, {**environment_metadata(environment), **metadata})
    return result
