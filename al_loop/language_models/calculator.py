"""A calculator for integers by a parser: +, -, x or *, and brackets; and how a language model uses it.

Text that a model wrote is never evaluated as code.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from al_loop.language_models.tokenizers import Tokenizer

_TOKEN = re.compile(r"\s*(?:([0-9]+)|([-+*x×()]))")
_MAX_LENGTH = 1000
_MAX_DIGITS = 100
_MAX_DEPTH = 50  # of brackets: the value of a text must not depend on how much of Python's stack is left
_QUESTION = re.compile(r"([-+*x×() \t0-9]*?)( ?)=\Z")
_REMEMBERED = 100_000


def calculate(text: str) -> int | None:
    """Return the value of an expression of integers, or None if the text is not one.

    Args:
        text: such as ``"3 + 4 x (2 - 5)"``; x, × and * multiply, and bind more strongly than + and -.
    """
    if len(text) > _MAX_LENGTH:
        return None
    tokens: list[str] = []
    place = depth = 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or len(match.group().strip()) > _MAX_DIGITS:
            return None
        tokens.append("*" if match.group().strip() in "x×*" else match.group().strip())
        depth += {"(": 1, ")": -1}.get(tokens[-1], 0)
        if depth > _MAX_DEPTH:
            return None
        place = match.end()
    try:
        value = _Parser(tokens).whole()
    except ValueError:
        return None
    return value if abs(value) < 10**_MAX_DIGITS else None


class Calculator:
    """Writes the value after each "=" of a text that follows an expression of integers, as a tool of the model.

    Args:
        tokenizer: the tokens of the model.
        allowed: the tokens that may occur; a value that needs others is left to the model.
    """

    def __init__(self, tokenizer: Tokenizer, allowed: Collection[int]) -> None:
        self._tokenizer, self._allowed = tokenizer, frozenset(allowed)
        self._known: dict[tuple[tuple[int, ...], tuple[int, ...]], int | None] = {}

    def next_token(self, prompt: Sequence[int], text: Sequence[int]) -> int | None:
        """Return the token that the calculator writes next, or None if the model writes.

        Args:
            prompt: token ids of the prompt, which may contain the beginning of the expression.
            text: token ids of the continuation so far.
        """
        key = (tuple(prompt), tuple(text))
        if key not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = self._find(*key)
        return self._known[key]

    def _find(self, prompt: tuple[int, ...], text: tuple[int, ...]) -> int | None:
        for place in range(len(text) - 1, -1, -1):
            if not self._tokenizer.decode(text[place : place + 1]).endswith("="):
                continue
            value = self._value(self._tokenizer.decode([*prompt, *text[: place + 1]]))
            written = text[place + 1 :]
            if value is None or len(written) >= len(value) or list(written) != value[: len(written)]:
                return None
            return value[len(written)]
        return None

    def _value(self, text: str) -> list[int] | None:
        """Return the tokens of the value of the expression at the end of a text, before its last "="."""
        match = _QUESTION.search(text)
        value = None if match is None else calculate(match.group(1).lstrip("+*x× \t"))
        if match is None or value is None:
            return None
        try:
            tokens = self._tokenizer.encode(f"{match.group(2)}{value}")
        except ValueError:
            return None
        return tokens if self._allowed.issuperset(tokens) else None


class _Parser:
    """A parser by recursive descent; each method reads one level of precedence."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens, self._place = [*tokens, ""], 0

    def _take(self) -> str:
        token = self._tokens[self._place]
        self._place += 1
        return token

    def _next(self) -> str:
        return self._tokens[self._place]

    def whole(self) -> int:
        value = self._sum()
        if self._next():
            raise ValueError("text is left")
        return value

    def _sum(self) -> int:
        value = self._product()
        while self._next() in ("+", "-"):
            value = value + self._product() if self._take() == "+" else value - self._product()
        return value

    def _product(self) -> int:
        value = self._factor()
        while self._next() == "*":
            self._take()
            value *= self._factor()
        return value

    def _factor(self) -> int:
        sign, token = 1, self._take()
        while token == "-":
            sign, token = -sign, self._take()
        if token != "(":
            return sign * int(token)
        value = self._sum()
        if self._take() != ")":
            raise ValueError("a bracket is open")
        return sign * value
