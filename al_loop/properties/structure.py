"""How likely an RNA word folds as wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from al_loop.config.plugins import load_target
from al_loop.errors import ConfigError
from al_loop.properties.base import Property
from al_loop.system.path_texts import PathText

#: the latents' engine is on a higher floor, and a file says which model it needs
_READER = "al_loop.latent.features:PosteriorFeatures"


class Structure(Property):
    """The mean probability that positions of an RNA word are paired as in a pattern, under a model of structures.

    As a constraint it conditions the samplers' reward on structure: ``{kind: structure, file: rna.pt, pattern:
    "..............", min: 0.6}`` asks for words that stay open to a partner. NaN for a word of another length than the
    pattern's, or outside the model.

    Args:
        file: a file of the latent model ``rna``, written by ``al-loop fit-latent``.
        pattern: for each position ``(`` (paired with one to its right), ``)`` (to its left), ``|`` (with either), ``.``
            (alone) or ``N`` (any).
        lengths: the lengths of the shortest and the longest word, which the campaign takes from its environment.

    Raises:
        ValueError: the pattern has other characters, or no word is as long as it.
    """

    kind = "structure"
    object_type = "sequence"
    scale: ClassVar[float] = 0.2
    span: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __init__(self, file: PathText, pattern: str, lengths: tuple[int, int] | None = None) -> None:
        if not pattern or set(pattern) - set("()|.N") or set(pattern) == {"N"}:
            raise ValueError(f"pattern: expected the characters ( ) | . N, not all of them N, got {pattern!r}")
        if lengths is not None and not lengths[0] <= len(pattern) <= lengths[1]:
            words = f"{lengths[1]}" if lengths[0] == lengths[1] else f"{lengths[0]} to {lengths[1]}"
            raise ValueError(f"pattern: has {len(pattern)} characters, and the words of the environment have {words}")
        self.file, self.pattern = file, pattern
        self._read: list[Any] = []

    def compute(self, objects: Sequence[str]) -> NDArray[np.float64]:
        if not self._read:
            self._read.append(load_target(_READER)(self.file))
        features = self._read[0]
        if features.kind != "rna":
            raise ConfigError(f"structure: {self.file} is a model of kind {features.kind!r}, expected 'rna'")
        length = features.d // 2
        if len(self.pattern) > length:
            raise ConfigError(
                f"structure: the pattern has {len(self.pattern)} characters, and the words of the model of {self.file} "
                f"have at most {length}"
            )
        values = np.full(len(objects), np.nan)
        rows = [i for i, name in enumerate(objects) if len(name) == len(self.pattern) and not set(name) - set("ACGU")]
        if rows:
            opened, closed = np.split(features([objects[i] for i in rows]).numpy(), 2, axis=1)
            wanted = {"(": opened, ")": closed, "|": opened + closed, ".": 1 - opened - closed}
            columns = [wanted[c][:, i] for i, c in enumerate(self.pattern) if c != "N"]
            values[rows] = np.mean(columns, axis=0)
        return values
