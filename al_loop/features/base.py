"""What features are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import islice
from typing import ClassVar

import torch
from torch import Tensor

from al_loop.features.row_layout import Layout


class Features(ABC):
    """Turns objects into vectors; objects that were seen before come from a cache (bounded by ``cache_size``)."""

    #: the kernel that is natural on these vectors, as ``surrogate.kernel`` names it
    kernel: ClassVar[str]
    #: what it can describe: "molecule" (SMILES), "sequence", or None for anything
    object_type: ClassVar[str | None] = None

    def __init__(self, cache_size: int = 100_000) -> None:
        self._cache: dict[str, Tensor] = {}
        self._cache_size = cache_size

    def __call__(self, objects: Sequence[str]) -> Tensor:
        """Features of the objects: n x d, float64."""
        new = [o for o in dict.fromkeys(objects) if o not in self._cache]
        rows = dict(zip(new, self.compute(new), strict=True)) if new else {}
        found = [rows[o] if o in rows else self._cache[o] for o in objects]
        if len(self._cache) + len(rows) > self._cache_size:
            self._cache.clear()
        self._cache.update(islice(rows.items(), self._cache_size))
        return torch.stack(found).double() if found else torch.empty(0, self.d, dtype=torch.float64)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_cache": {}}  # the cache does not travel to other processes

    @property
    def layout(self) -> Layout | None:
        """Return how a row is structured, for encoders that read more in it than a vector; None: it is a vector."""
        return None

    @property
    @abstractmethod
    def d(self) -> int:
        """The length of a feature vector."""

    @abstractmethod
    def compute(self, objects: Sequence[str]) -> Tensor:
        """Features of objects that are not cached: n x d, of any (compact) number type."""

    @abstractmethod
    def similarity(self, X1: Tensor, X2: Tensor) -> Tensor:
        """Similarity in [0, 1] of feature rows: n1 x d, n2 x d -> n1 x n2."""
