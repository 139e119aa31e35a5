"""A calculator for integers by a parser: +, -, x or *, and brackets.

Text that a model wrote is never evaluated as code.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\s*(?:([0-9]+)|([-+*x×()]))")
_MAX_LENGTH = 1000
_MAX_DIGITS = 100


def calculate(text: str) -> int | None:
    """Return the value of an expression of integers, or None if the text is not one.

    Args:
        text: such as ``"3 + 4 x (2 - 5)"``; x, × and * multiply, and bind more strongly than + and -.
    """
    if len(text) > _MAX_LENGTH:
        return None
    tokens: list[str] = []
    place = 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or len(match.group().strip()) > _MAX_DIGITS:
            return None
        tokens.append("*" if match.group().strip() in "x×*" else match.group().strip())
        place = match.end()
    try:
        value = _Parser(tokens).whole()
    except (ValueError, RecursionError):
        return None
    return value if abs(value) < 10**_MAX_DIGITS else None


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
        token = self._take()
        if token == "-":
            return -self._factor()
        if token == "(":
            value = self._sum()
            if self._take() != ")":
                raise ValueError("a bracket is open")
            return value
        return int(token)
