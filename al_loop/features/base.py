"""Base class of features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import islice
from typing import ClassVar

import torch
from torch import Tensor

from al_loop.features.row_layout import Layout


class Features(ABC):
    """Turns objects into vectors, with a cache of recent objects.

    Args:
        cache_size: largest number of cached objects.
    """

    #: the natural kernel on these vectors, by its name in ``surrogate.kernel``
    kernel: ClassVar[str]
    #: the objects that it describes: "molecule" (SMILES), "sequence", or None for any
    object_type: ClassVar[str | None] = None

    def __init__(self, cache_size: int = 100_000) -> None:
        self._cache: dict[str, Tensor] = {}
        self._cache_size = cache_size

    def __call__(self, objects: Sequence[str]) -> Tensor:
        """Return the features of n objects: n x d, float64."""
        new = [o for o in dict.fromkeys(objects) if o not in self._cache]
        computed = self.compute(new) if new else ()
        if len(computed) != len(new):
            raise ValueError(f"compute returned {len(computed)} rows for {len(new)} objects, expected one for each")
        rows = dict(zip(new, computed, strict=True))
        features = [rows[o] if o in rows else self._cache[o] for o in objects]
        if len(self._cache) + len(rows) > self._cache_size:
            self._cache.clear()
        self._cache.update(islice(rows.items(), self._cache_size))
        return torch.stack(features).double() if features else torch.empty(0, self.d, dtype=torch.float64)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_cache": {}}  # the cache does not travel to other processes

    @property
    def layout(self) -> Layout | None:
        """Return how a row is structured, for encoders that read more in it than a vector; None: it is a vector."""
        return None

    @property
    @abstractmethod
    def d(self) -> int:
        """Return the length of a feature vector."""

    @abstractmethod
    def compute(self, objects: Sequence[str]) -> Tensor:
        """Return the features of n objects that are not cached: n x d, of any (compact) number type."""

    @abstractmethod
    def similarity(self, X1: Tensor, X2: Tensor) -> Tensor:
        """Return the similarity in [0, 1] of feature rows.

        Args:
            X1: n1 x d.
            X2: n2 x d.

        Returns:
            n1 x n2 similarities.
        """
