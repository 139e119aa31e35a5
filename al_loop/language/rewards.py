"""Rewards of continuations: what a language model says of them.

All are log-rewards divided by a temperature, which may fall while the sampler is tuned. They are evaluated once for
each continuation, and for all prefixes of one in as few passes as possible.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from al_loop.environments.tokens import Tokens
from al_loop.errors import ConfigError
from al_loop.gflownet.unique_rows import row_keys
from al_loop.language.scoring import score_prefixes

#: values of continuations that a reward remembers
REMEMBERED = 200_000
#: largest size of a log-reward: losses square it in single precision
LARGEST = 1e15


@dataclass(frozen=True)
class Falling:
    """A temperature that falls (or rises) linearly.

    Args:
        start: the temperature of the first step, above 0.
        end: the temperature from the last of these steps on, above 0.
        steps: number of steps.
    """

    start: float
    end: float
    steps: int

    def at(self, step: int) -> float:
        """Return the temperature of a step."""
        return self.end + (self.start - self.end) * max(1 - step / max(self.steps, 1), 0.0)


class LanguageReward(nn.Module, ABC):
    """A log-reward of continuations, for ``StateReward``; its temperature travels to samplers.

    Args:
        temperature: divisor of the log-reward.

    Raises:
        ConfigError: the temperature is not a positive and finite number.
    """

    temperature: Tensor
    #: whether it also rewards continuations of prompts outside the training
    has_any_prompt = True

    def __init__(self, temperature: float | Falling = 1.0) -> None:
        super().__init__()
        if not isinstance(temperature, int | float | Falling) or isinstance(temperature, bool):
            raise ConfigError(f"temperature: expected a number or Falling(...), got {temperature!r:.80}")
        self.schedule = Falling(temperature, temperature, 0) if isinstance(temperature, int | float) else temperature
        if not all(isinstance(value, int | float) for value in vars(self.schedule).values()):
            raise ConfigError(f"temperature: expected numbers, got {temperature}")
        if not all(0 < value < math.inf for value in (self.schedule.start, self.schedule.end)):
            raise ConfigError(f"temperature: must be above 0 and finite, got {temperature}")
        if self.schedule.steps < 0:
            raise ConfigError(f"temperature.steps: must be at least 0, got {self.schedule.steps}")
        self.register_buffer("temperature", torch.tensor(float(self.schedule.start)))
        self._environment: list[Tokens] = []
        self._known: dict[int, float] = {}

    @property
    def environment(self) -> Tokens:
        """The space of the continuations."""
        if not self._environment:
            raise ValueError("the reward has no environment yet; call bind first")
        return self._environment[0]

    def bind(self, environment: Tokens) -> None:
        """Set the space of the continuations.

        Raises:
            ConfigError: the reward does not fit its prompts.
        """
        self._environment = [environment]
        self._known = {}

    def for_environment(self, environment: Tokens) -> LanguageReward:
        """Return a copy for another space, which shares the user's code.

        Raises:
            ConfigError: the reward does not fit its prompts.
        """
        other = copy.deepcopy(self, {id(part): part for part in self._shared_parts()})
        other.bind(environment)
        return other

    def _shared_parts(self) -> list[Any]:
        """Return the parts that copies share."""
        return []

    def set_step(self, step: int) -> None:
        """Set the temperature of a step of the training."""
        self.temperature.fill_(self.schedule.at(step))

    @abstractmethod
    def values(self, prompts: Sequence[tuple[int, ...]], texts: Sequence[tuple[int, ...]]) -> Sequence[float]:
        """Return log-rewards at temperature 1.

        Args:
            prompts: token ids of n prompts.
            texts: token ids of their continuations, some of which are prefixes of others.
        """

    def untempered(self, states: Tensor) -> Tensor:
        """Return log-rewards at temperature 1, shape n.

        Args:
            states: terminal states, shape n x state_size.

        Raises:
            ConfigError: one of them is too large, or not finite.
        """
        keys = row_keys(states).tolist()
        rows = {key: row for row, key in enumerate(keys) if key not in self._known}
        if rows:
            size = states.shape[1] - 2 - self.environment.max_tokens
            new = states[list(rows.values())].tolist()
            prompts = [tuple(t for t in row[:size] if t >= 0) for row in new]
            texts = [tuple(row[size : size + row[-2]]) for row in new]
            values = self.values(prompts, texts)
            if len(self._known) + len(rows) > REMEMBERED:
                kept = {key: self._known[key] for key in keys if key in self._known}
                self._known = kept
            self._known.update(zip(rows, values, strict=True))
        return _check_size(torch.tensor([self._known[key] for key in keys], device=states.device), "")

    def forward(self, states: Tensor) -> Tensor:
        """Return log-rewards of terminal states, shape n.

        Raises:
            ConfigError: one of them is too large, or not finite.
        """
        divisor = f", divided by the temperature of {float(self.temperature):g}"
        return _check_size(self.untempered(states) / self.temperature.to(states.device), divisor)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_known": {}}  # what is remembered does not travel

    def state_of_values(self) -> dict[str, Any]:
        """Return the values that are remembered, as plain data for ``load_values``."""
        keys, values = torch.tensor(list(self._known)), torch.tensor(list(self._known.values()), dtype=torch.float64)
        return {"keys": keys.long(), "values": values}

    def load_values(self, state: dict[str, Any]) -> None:
        """Remember the values that ``state_of_values`` returned, of a reward with the same environment."""
        self._known = dict(zip(state["keys"].tolist(), state["values"].tolist(), strict=True))

    def identity(self) -> dict[str, Any]:
        """Return plain values that differ between rewards, by which a checkpoint knows its own."""
        return {"kind": type(self).__name__, **vars(self.schedule)}

    def code(self) -> str:
        """Return a hash of the user's code, after a change of which values are computed anew; empty: there is none."""
        return ""

    def describe(self) -> str:
        """Return a short description for messages."""
        return f"{type(self).__name__} at temperature {self.schedule.end:g}"


def _check_size(log_reward: Tensor, divisor: str) -> Tensor:
    """Return log-rewards, if none is too large.

    Args:
        log_reward: log-rewards, shape n.
        divisor: what they were divided by, in words.

    Raises:
        ConfigError: one is too large, or not finite.
    """
    wrong = log_reward[~(log_reward.abs() <= LARGEST)]
    if len(wrong):
        raise ConfigError(f"reward: a log-reward is {float(wrong[0]):g}{divisor}; expected at most {LARGEST:g} in size")
    return log_reward


def _longest(texts: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> tuple[list[int], list[int]]:
    """Find the texts that are no prefix of another one.

    Args:
        texts: pairs of a prompt and a continuation.

    Returns:
        The indices of these texts, and for each text the place in that list of one that it is a prefix of.
    """
    chosen: list[int] = []
    cover: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
    for i in sorted(range(len(texts)), key=lambda i: -len(texts[i][1])):
        prompt, text = texts[i]
        if (prompt, text) not in cover:
            for end in range(len(text) + 1):
                cover.setdefault((prompt, text[:end]), len(chosen))
            chosen.append(i)
    return chosen, [cover[pair] for pair in texts]


class Continuation(LanguageReward):
    """log p(continuation and its end | prompt) under the frozen model: at temperature T, p to the power of 1/T."""

    def values(self, prompts: Sequence[tuple[int, ...]], texts: Sequence[tuple[int, ...]]) -> Sequence[float]:
        environment = self.environment
        chosen, cover = _longest(list(zip(prompts, texts, strict=True)))
        scores = score_prefixes(
            environment.language_model, [prompts[i] for i in chosen], [texts[i] for i in chosen], environment.end
        )
        total = (scores.log_p + scores.log_end).cpu()
        return [float(total[row, len(text)]) for row, text in zip(cover, texts, strict=True)]


@dataclass(frozen=True)
class Gap:
    """A text with a gap to be filled.

    Args:
        before: the text before the gap.
        after: the text after it.
        prompt: what the sampler reads; empty: ``before``, so that it does not know what follows.
    """

    before: str
    after: str
    prompt: str = ""


def _some(texts: Sequence[str]) -> str:
    """Return the first texts of a list, for a message."""
    return ", ".join(f"{text!r:.40}" for text in texts[:3]) + (", ..." if len(texts) > 3 else "")


class Infill(LanguageReward):
    """log p(filled gap, text after it | text before it) under the frozen model.

    For a chain of reasoning, the text before is the question, and the text after it the known answer: the sampler
    learns to draw what stands between them, p(chain | question, answer), from the question alone.

    Args:
        gaps: one for each prompt, in any order.
        temperature: divisor of the log-reward.

    Raises:
        ConfigError: a gap is not one of texts.
    """

    has_any_prompt = False

    def __init__(self, gaps: Sequence[Gap], temperature: float | Falling = 1.0) -> None:
        super().__init__(temperature)
        for gap in gaps:
            if not isinstance(gap, Gap) or not all(isinstance(text, str) for text in vars(gap).values()):
                raise ConfigError(f"gaps: expected Gap(before, after) of texts, got {gap!r:.80}")
        self.gaps = list(gaps)
        self._sides: dict[tuple[int, ...], tuple[list[int], list[int]]] = {}

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "gaps": [[gap.before, gap.after, gap.prompt] for gap in self.gaps]}

    @property
    def prompts(self) -> list[str]:
        """The prompts of the gaps."""
        return [gap.prompt or gap.before for gap in self.gaps]

    def bind(self, environment: Tokens) -> None:
        super().bind(environment)
        if len(self.gaps) != len(environment.prompts):
            raise ConfigError(
                f"prompts: expected one for each of the {len(self.gaps)} gaps, got {len(environment.prompts)}"
            )
        tokenizer = environment.language_model.tokenizer
        self._sides = {}
        for gap, text in zip(self.gaps, self.prompts, strict=True):
            try:
                prompt = tuple(tokenizer.encode_prompt(text))
                sides = (tokenizer.encode_prompt(gap.before), tokenizer.encode(gap.after))
            except ValueError as error:
                raise ConfigError(f"examples: {error}") from None
            environment.check_room(gap.before, len(sides[0]), len(sides[1]))
            if self._sides.setdefault(prompt, sides) != sides:
                raise ConfigError(f"prompts: two different gaps have the prompt {text!r:.80}")
        rows = [tuple(token for token in row if token >= 0) for row in environment.prompt_tokens.tolist()]
        for row, text in zip(rows, environment.prompts, strict=True):
            if row not in self._sides:
                raise ConfigError(f"prompts: {text!r:.80} is the prompt of no gap; expected {_some(self.prompts)}")
        if missing := [text for text in self.prompts if tuple(tokenizer.encode_prompt(text)) not in rows]:
            raise ConfigError(f"prompts: expected those of all gaps, {_some(missing)} is missing")

    def values(self, prompts: Sequence[tuple[int, ...]], texts: Sequence[tuple[int, ...]]) -> Sequence[float]:
        if missing := [prompt for prompt in prompts if prompt not in self._sides]:
            raise ConfigError(f"a prompt of {len(missing[0])} tokens is that of no gap")
        sides = [self._sides[prompt] for prompt in prompts]
        filled = [[*text, *after] for text, (_, after) in zip(texts, sides, strict=True)]
        model, end = self.environment.language_model, self.environment.end
        log_p = score_prefixes(model, [before for before, _ in sides], filled, end).log_p.cpu()
        return [float(log_p[row, len(whole)]) for row, whole in enumerate(filled)]


class Chain(Infill):
    """log p(chain, answer | question) under the frozen model: the sampler draws reasons for known answers.

    Args:
        examples: pairs of a question, which is the prompt, and its answer.
        temperature: divisor of the log-reward.

    Raises:
        ConfigError: an example is not a pair of texts.
    """

    def __init__(self, examples: Sequence[tuple[str, str]], temperature: float | Falling = 1.0) -> None:
        for pair in examples:
            if not isinstance(pair, list | tuple) or len(pair) != 2:
                raise ConfigError(f"examples: expected pairs of a question and its answer, got {pair!r:.80}")
        super().__init__([Gap(question, answer) for question, answer in examples], temperature)
