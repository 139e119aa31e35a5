"""The tuning of a config's language model: progress, metrics, checkpoints and the file."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import torch

from al_loop.config.build import build
from al_loop.environments.tokens import Tokens
from al_loop.errors import ConfigError
from al_loop.gflownet.pipeline import SamplerGroup
from al_loop.gflownet.policies.language import LanguagePolicy
from al_loop.gflownet.sampler import Sampler
from al_loop.language.buffer import read_seeds
from al_loop.language.config import LanguageConfig, RewardConfig, build_reward, texts_of
from al_loop.language.convergence import Report
from al_loop.language.settings import TuneSettings
from al_loop.language.tuned import TunedModel
from al_loop.language.tuning import TuneOptions, make_environment, tune

#: opens a progress bar (name, number of steps); its value is called after each step, with a detail to show
ProgressBar = Callable[[str, int], AbstractContextManager[Callable[..., None]]]


def tune_file(
    config: LanguageConfig,
    output: str | Path,
    *,
    bar: ProgressBar,
    report: Callable[[str], None],
    samplers: Callable[[Tokens, TuneSettings], SamplerGroup] | None = None,
) -> TunedModel:
    """Tune the model of a config, and write its adapters. An interrupted tuning resumes from ``output``.checkpoint.

    Args:
        config: the config.
        output: the file to write.
        bar: opens a progress bar.
        report: prints a line.
        samplers: makes samplers, such as actors of a Ray cluster; None: one in this process.

    Raises:
        ConfigError: a file, the model or a setting is refused.
    """
    torch.set_num_threads(config.resources.threads)
    with _naming_keys():
        reward, prompts = build_reward(config)
    checkpoint = Path(output).with_name(f"{Path(output).name}.checkpoint")
    with ExitStack() as stack:
        advance = stack.enter_context(bar("tuning", config.tune.steps))

        def on_step(loss: float) -> None:
            advance(f"loss {loss:.2f}")

        options = TuneOptions(
            held_out=texts_of(config.held_out),
            seeds=[] if config.seeds is None else read_seeds(config.seeds),
            checkpoint=checkpoint,
            sinks=[build("sink", part) for part in config.sinks],
            on_step=on_step,
            on_report=lambda numbers, _: report(describe(numbers, config.tune.steps)),
            on_line=report,
            samplers=samplers,
        )
        with _naming_keys():
            tuned = tune(config.model, prompts, reward, seed=config.seed, settings=config.tune, options=options)
    tuned.save(output)
    checkpoint.unlink(missing_ok=True)
    return tuned


@contextmanager
def _naming_keys() -> Iterator[None]:
    """Put the section of the config before the key of a setting that a ``ConfigError`` begins with.

    Raises:
        ConfigError: that of the body.
    """
    try:
        yield
    except ConfigError as error:
        key = re.match(r"\w+(?=[.:])", str(error))
        sections = {"tune": set(vars(TuneSettings())), "reward": set(RewardConfig.model_fields)}
        section = next((f"{name}." for name, keys in sections.items() if key and key[0] in keys), "")
        raise ConfigError(f"{section}{error}") from error


def make_sampler(config: LanguageConfig, device: str) -> Sampler:
    """Return a sampler with a policy of its own, whose adapters are set later.

    Args:
        config: the config.
        device: where the policy runs.
    """
    _, prompts = build_reward(config)
    environment = make_environment(config.model, prompts, config.tune)
    return Sampler(environment, LanguagePolicy(environment, lora=config.tune.lora).to(device))


def describe(report: Report, steps: int) -> str:
    """Return a report as a line."""
    exact = "" if math.isnan(report.kl) else f", exact KL {report.kl:.4f} nats"
    return (
        f"step {report.step} of {steps}: loss {report.loss:.3f}, effective share {report.effective_share:.0%}, KL at "
        f"least {max(report.kl_bound, 0):.3f} nats{exact}, {report.distinct_share:.0%} of the draws distinct"
    )
