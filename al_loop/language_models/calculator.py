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
_CHARACTERS = "-+*x×() \t0123456789"  # of an expression
_OPENERS = '=<>[{"“'  # an expression may follow them directly
_PAUSES = ":;,?"  # an expression, also one with a sign, may follow them and a space
_ENDS = ".!)]}\"”'"  # an expression without a sign may follow them and a space
_EQUATION = re.compile(rf"([{re.escape(_CHARACTERS)}]+)= ?(-?[0-9]{{1,{_MAX_DIGITS}}}),\Z")
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
        before = text[:-1]
        value = _value_of_the_end(before)
        if value is None:
            return None
        try:
            tokens = self._tokenizer.encode(f"{' ' if before.endswith(' ') else ''}{value}")
        except ValueError:
            return None
        return tokens if self._allowed.issuperset(tokens) else None


def _value_of_the_end(text: str) -> int | None:
    """Return the value of the longest expression that a text ends with; None if there is none.

    What may be the rest of a longer expression, which the parser cannot read, is none: "1" in "0.5 + 1" or "x + 1".
    """
    start = len(text.rstrip(_CHARACTERS))
    for place in range(start, len(text)):
        if text[place] in "-+(0123456789" and _may_start(text[:place], is_sign=text[place] in "-+"):
            value = calculate(text[place:].removeprefix("+"))
            if value is not None:
                return value
    return None


def _may_start(before: str, *, is_sign: bool) -> bool:
    """Return whether an expression may start after a text.

    Args:
        before: the text.
        is_sign: whether the expression starts with + or -, which connect it with a number or a name before it.
    """
    rest = before.rstrip()
    gap, last = before[len(rest) :], rest[-1:]
    if not rest or last in _OPENERS:
        return True
    if not gap:
        # a comma may group digits, unless it ends an equation
        equation = _EQUATION.search(rest) if last == "," else None
        return equation is not None and calculate(equation[1].lstrip("+*x× \t")) == int(equation[2])
    if last in _PAUSES:
        return not rest[-2:-1].isspace()  # "10 : 5" is a ratio
    if is_sign:
        return False
    if last == ")" and "\n" not in gap:  # "1) 3 + 4", but not "f(1) 3"
        return re.search(r"(?m)^[ \t]*\(?[0-9A-Za-z]+\)\Z", rest) is not None
    if re.search(r"(?:\A|[^A-Za-z])[xX]\Z", rest):  # an operator, or a name that is multiplied
        return False
    return last in _ENDS or last.isalpha() or ("\n" in gap and last.isalnum())


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
