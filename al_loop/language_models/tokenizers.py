"""Tokenizers, which turn texts into token ids and back."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence


class Tokenizer(ABC):
    """The tokens of a language model."""

    #: number of tokens
    size: int
    #: the token that ends a text
    end: int
    #: ids that stand for no text, such as the start of a text or padding; ``end`` may be one of them
    special: frozenset[int] = frozenset()

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text that follows another one, without any special token.

        Raises:
            ValueError: a part of the text has no token.
        """

    @abstractmethod
    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens that follow others; special tokens have none."""

    def encode_prompt(self, text: str) -> list[int]:
        """Return the tokens that the model reads for a prompt, special tokens included.

        Raises:
            ValueError: a part of the text has no token, or there is no token at all.
        """
        return self.encode(text)

    def decode_prompt(self, tokens: Sequence[int]) -> str:
        """Return the text of a prompt's tokens."""
        return self.decode(tokens)

    def token(self, text: str) -> int:
        """Return the token that has exactly a text.

        Raises:
            ValueError: the text is not a single token.
        """
        tokens = self.encode(text)
        if len(tokens) != 1:
            raise ValueError(f"{text!r} is {len(tokens)} tokens of this model, expected a single one")
        return tokens[0]

    def __deepcopy__(self, _: object) -> Tokenizer:
        return self  # it never changes


class ListedTokens(Tokenizer):
    """A tokenizer for a list of tokens: the longest token that fits comes first.

    Args:
        tokens: the text of every token.
        start: text of the token that stands before every prompt; None: there is none.
        end: text of the token that ends a text.
        special: texts of the other tokens that stand for no text.
        separator: the text between two tokens, such as a space between words.
        ends_prompts: whether ``end`` also follows a prompt.

    Raises:
        ValueError: the tokens are not distinct, or a special one is not among them.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        *,
        end: str,
        start: str | None = None,
        special: Sequence[str] = (),
        separator: str = "",
        ends_prompts: bool = False,
    ) -> None:
        self._index = {token: i for i, token in enumerate(tokens)}
        if len(self._index) < len(tokens):
            raise ValueError("tokens: expected distinct texts")
        named = [end, *special, *([] if start is None else [start])]
        if missing := [name for name in named if name not in self._index]:
            raise ValueError(f"tokens: {missing[0]!r} is not among them")
        self.tokens, self.separator = list(tokens), separator
        self.start_text, self.end_text, self.special_texts = start, end, list(special)
        self.ends_prompts = ends_prompts
        self.size, self.end = len(tokens), self._index[end]
        self._start = [] if start is None else [self._index[start]]
        self.special = frozenset(self._index[name] for name in named)
        longest_first = sorted((t for t in tokens if self._index[t] not in self.special and t), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def settings(self) -> dict[str, object]:
        """Return the arguments that build this tokenizer again."""
        return {
            "tokens": self.tokens,
            "start": self.start_text,
            "end": self.end_text,
            "special": self.special_texts,
            "separator": self.separator,
            "ends_prompts": self.ends_prompts,
        }

    def encode(self, text: str) -> list[int]:
        tokens: list[int] = []
        place = 0
        while place < len(text):
            if self.separator and tokens and text.startswith(self.separator, place):
                place += len(self.separator)
            match = self._pattern.match(text, place)
            if match is None:
                raise ValueError(f"{text!r} has no token at {text[place : place + 10]!r}")
            tokens.append(self._index[match.group()])
            place = match.end()
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        return self.separator.join(self.tokens[token] for token in tokens if token not in self.special)

    def encode_prompt(self, text: str) -> list[int]:
        tokens = [*self._start, *self.encode(text), *([self.end] if self.ends_prompts else [])]
        if not tokens:
            raise ValueError("a prompt is empty, and the model has no token that stands before a text")
        return tokens
