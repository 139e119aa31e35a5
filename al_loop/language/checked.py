"""The reward of any function of a text, which is called once for each text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from al_loop.environments.tokens import Tokens
from al_loop.errors import ConfigError
from al_loop.language.rewards import LARGEST, REMEMBERED, Continuation, Falling, LanguageReward
from al_loop.language.user_functions import code_digest, name_of, takes_prompt
from al_loop.system.tracebacks import describe_with_place


class Checked(LanguageReward):
    """Any function of the text.

    Args:
        function: text -> log-reward, or text and prompt -> log-reward; None, -inf or NaN: the text is not valid. It is
            called once for each text, and its second parameter is the prompt if it has no default, or this name.
        invalid: the log-reward of texts that are not valid, finite.
        temperature: divisor of the log-reward.
        likelihood: weight of log p(text | prompt) of the frozen model, which is added.

    Raises:
        ConfigError: ``invalid`` or ``likelihood`` is not finite or too large, or the function cannot be called with a
            text.
    """

    def __init__(
        self,
        function: Callable[..., float | None],
        invalid: float = -12.0,
        temperature: float | Falling = 1.0,
        likelihood: float = 0.0,
    ) -> None:
        super().__init__(temperature)
        for name, value in (("invalid", invalid), ("likelihood", likelihood)):
            if not isinstance(value, int | float) or not abs(value) <= LARGEST:
                raise ConfigError(f"{name}: must be finite, and at most {LARGEST:g} in size, got {value!r:.80}")
        _check_function(function)
        self._function, self._invalid, self._weight = function, invalid, likelihood
        self._takes_prompt = takes_prompt(function)
        self._likelihood = Continuation() if likelihood else None
        #: prompt (empty if it is not taken) and text -> value of the function
        self._paid: dict[tuple[str, str], float] = {}

    def _shared_parts(self) -> list[Any]:
        return [self._function]

    def for_environment(self, environment: Tokens) -> LanguageReward:
        other = super().for_environment(environment)
        assert isinstance(other, Checked)
        other._paid = self._paid
        return other

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_paid": {}}

    def state_of_values(self) -> dict[str, Any]:
        return {**super().state_of_values(), "paid": [[*key, value] for key, value in self._paid.items()]}

    def load_values(self, state: dict[str, Any]) -> None:
        super().load_values(state)
        self._paid = {(prompt, text): value for prompt, text, value in state["paid"]}

    def identity(self) -> dict[str, Any]:
        name = name_of(self._function)
        return {**super().identity(), "function": name, "invalid": self._invalid, "likelihood": self._weight}

    def code(self) -> str:
        return code_digest(self._function)

    def bind(self, environment: Tokens) -> None:
        super().bind(environment)
        if self._likelihood is not None:
            self._likelihood.bind(environment)

    def values(self, prompts: Sequence[tuple[int, ...]], texts: Sequence[tuple[int, ...]]) -> Sequence[float]:
        tokenizer = self.environment.language_model.tokenizer
        asked = [tokenizer.decode_prompt(prompt) if self._takes_prompt else "" for prompt in prompts]
        if len(self._paid) > REMEMBERED:
            self._paid.clear()
        rewards = [self._paid_value(prompt, tokenizer.decode(text)) for prompt, text in zip(asked, texts, strict=True)]
        if self._likelihood is None:
            return rewards
        added = self._likelihood.values(prompts, texts)
        return [reward + self._weight * log_p for reward, log_p in zip(rewards, added, strict=True)]

    def _paid_value(self, prompt: str, text: str) -> float:
        """Return the log-reward of a text by the function, which is called once for it.

        Raises:
            ConfigError: the function fails, or returns what is no log-reward.
        """
        if (prompt, text) not in self._paid:
            try:
                value = self._function(text, prompt) if self._takes_prompt else self._function(text)
            except Exception as error:  # whatever a user's function raises
                raise ConfigError(
                    f"reward: {name_of(self._function)} fails on {text!r:.80}: {describe_with_place(error)}"
                ) from error
            self._paid[prompt, text] = self._log_reward(value, text)
        return self._paid[prompt, text]

    def _log_reward(self, value: Any, text: str) -> float:
        """Return the log-reward that a function's value stands for.

        Raises:
            ConfigError: the value is no number, +inf, or too large.
        """
        if value is None:
            return self._invalid
        try:
            number = float(value) if not isinstance(value, str | bytes) else None
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is None or (number != -math.inf and abs(number) > LARGEST):
            raise ConfigError(
                f"reward: the log-reward of {text!r:.80} is {value!r:.80}; it must be finite, or None, and at most "
                f"{LARGEST:g} in size"
            )
        return number if number > -math.inf else self._invalid


def _check_function(function: object) -> None:
    """Check that a reward is a function.

    Raises:
        ConfigError: it is not.
    """
    if isinstance(function, type) and issubclass(function, LanguageReward):
        raise ConfigError(f"reward: expected {function.__name__}(...), got the class itself")
    if not callable(function) or isinstance(function, LanguageReward):
        raise ConfigError(f"reward: expected a function of a text, got {function!r:.80}")
