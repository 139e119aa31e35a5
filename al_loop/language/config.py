"""The config of ``al-loop tune-language``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from al_loop.config.frozen import Frozen
from al_loop.config.language_rewards import LANGUAGE_REWARDS
from al_loop.config.locations import KeyPath
from al_loop.config.plugins import Part, load_target
from al_loop.config.resources import Resources
from al_loop.config.task_files import load_task
from al_loop.datafiles.object_lists import read_texts
from al_loop.datafiles.text_files import read_content
from al_loop.errors import ConfigError
from al_loop.language.checked import Checked
from al_loop.language.rewards import Continuation, Falling, Gap, Infill, LanguageReward
from al_loop.language.settings import TuneSettings
from al_loop.system.path_texts import PathOrName, PathText


class RewardConfig(Frozen):
    """The log-reward of a continuation."""

    kind: Annotated[
        Literal["continuation", "infill", "chain", "checked"],
        Field(description=" ".join(f"{kind}: {text}" for kind, text in LANGUAGE_REWARDS.items())),
    ] = "continuation"
    temperature: Annotated[
        float | Falling, Field(description="divisor of the log-reward, or {start, end, steps}, which falls linearly")
    ] = 1.0
    examples: Annotated[
        PathText | None,
        Field(
            description="for infill and chain: a file of JSON lines, {before, after, prompt} or {question, answer}, "
            "which has the prompts"
        ),
    ] = None
    target: Annotated[
        str | None, Field(description="for checked: MODULE:FUNCTION of a text (and its prompt) -> log-reward or None")
    ] = None
    invalid: Annotated[float, Field(description="for checked: the log-reward of texts that are not valid")] = -12.0
    likelihood: Annotated[float, Field(description="for checked: weight of the model's own log-likelihood")] = 0.0

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> RewardConfig:
        if (self.examples is None) == (self.kind in ("infill", "chain")):
            raise ValueError(f"examples: kind {self.kind} {'requires a' if self.examples is None else 'has no'} file")
        if (self.target is None) == (self.kind == "checked"):
            raise ValueError(f"target: kind {self.kind} {'requires a' if self.target is None else 'has no'} function")
        return self


class LanguageConfig(Frozen):
    """A language model to tune, and how."""

    name: Annotated[str, Field(description="the name of the tuning, for sinks")] = "language"
    seed: Annotated[int, Field(ge=0, description="the same seed gives the same sampler")] = 0
    model: Annotated[PathOrName, Field(description="smollm2, annalog, a GGUF file, a folder, or an id of Hugging Face")]
    prompts: Annotated[
        PathText | list[str], Field(description="a file with one prompt per line, or a list; not for infill and chain")
    ] = []  # noqa: RUF012  pydantic copies it
    held_out: Annotated[
        PathText | list[str], Field(description="prompts of the reports; if omitted, those of the training")
    ] = []  # noqa: RUF012  pydantic copies it
    reward: Annotated[RewardConfig, Field(description="the log-reward of a continuation")] = RewardConfig()
    seeds: Annotated[
        PathText | None, Field(description="texts that the buffer starts with: one per line, or JSON lines")
    ] = None
    tune: Annotated[TuneSettings, Field(description="settings of the training")] = TuneSettings()
    resources: Annotated[Resources, Field(description="threads, and the samplers' actors on Ray")] = Resources()
    sinks: tuple[Part, ...] = Field((), description="services that receive metrics while it runs: mlflow, wandb, ...")


def parts_of(config: LanguageConfig) -> Iterator[tuple[str, Part, KeyPath]]:
    """Yield the section, the part and the key path of each part of a config."""
    for i, sink in enumerate(config.sinks):
        yield "sink", sink, ("sinks", i)


def load_language_config(path: str | Path, overrides: Sequence[str] = ()) -> LanguageConfig:
    """Read and validate the config of a tuning.

    Args:
        path: the YAML file.
        overrides: items of the form ``tune.steps=20``, with the value in YAML.

    Raises:
        ConfigError: the config is invalid; one line per error.
    """
    return load_task(path, overrides, LanguageConfig, parts_of)


def texts_of(prompts: str | list[str]) -> list[str]:
    """Return prompts that are a list, or in a file.

    Raises:
        ConfigError: the file cannot be read.
    """
    return read_texts(prompts) if isinstance(prompts, str) else list(prompts)


def build_reward(config: LanguageConfig) -> tuple[LanguageReward, list[str]]:
    """Return the reward of a config, and the prompts.

    Raises:
        ConfigError: a file or a function cannot be read, or there are no prompts.
    """
    section = config.reward
    prompts = texts_of(config.prompts)
    if section.examples is not None:
        if prompts:
            raise ConfigError(f"prompts: those of reward {section.kind} are in its examples; remove them")
        infill = Infill(_gaps(section), section.temperature)
        return infill, infill.prompts
    if not prompts:
        raise ConfigError("prompts: expected a file or a list, with at least one prompt")
    if section.target is not None:
        try:
            function = load_target(section.target)
        except ConfigError as error:
            raise ConfigError(f"target: {error}") from None
        return Checked(function, section.invalid, section.temperature, section.likelihood), prompts
    return Continuation(section.temperature), prompts


def _gaps(section: RewardConfig) -> list[Gap]:
    """Return the examples of a reward.

    Raises:
        ConfigError: the file cannot be read, or a line is not an example.
    """
    assert section.examples is not None
    names = ("question", "answer") if section.kind == "chain" else ("before", "after")
    gaps = []
    for number, line in enumerate(read_content(Path(section.examples)).lines(), start=1):
        if not line.strip():
            continue
        entry = _entry(line)
        texts = [entry.get(name) for name in names]
        prompt = entry.get("prompt", "")
        if not all(isinstance(text, str) for text in [*texts, prompt]):
            expected = ", ".join(f'"{name}": "..."' for name in names)
            raise ConfigError(f"{section.examples}, line {number}: expected {{{expected}}}")
        gaps.append(Gap(str(texts[0]), str(texts[1]), prompt))
    if not gaps:
        raise ConfigError(f"{section.examples} has no example")
    return gaps


def _entry(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
