"""Base class of features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from al_loop.errors import ConfigError, summary
from al_loop.features.molecules.graphs import MolecularGraphs
from al_loop.features.row_cache import RowCache
from al_loop.features.row_layout import Layout


def check_rows(rows: Tensor, n: int, d: int) -> Tensor:
    """Return rows that are n x d finite numbers.

    Args:
        rows: what a user's code returned.
        n: the expected number of rows.
        d: their expected length.

    Raises:
        ValueError: they are something else; the message has the expected and the actual shape.
    """
    if not isinstance(rows, Tensor) or not rows.ndim:
        raise ValueError(f"compute returned a {type(rows).__name__}, expected a tensor of {n} x {d}")
    if len(rows) != n:
        raise ValueError(f"compute returned {len(rows)} rows for {n} objects, expected one for each")
    if rows.shape != (n, d):
        raise ValueError(f"compute returned a tensor of shape {tuple(rows.shape)}, expected {(n, d)}")
    if rows.is_floating_point() and not bool(rows.isfinite().all()):
        raise ValueError("compute returned NaN or infinity, expected finite numbers")
    return rows


def describable(features: Callable[[Sequence[str]], Tensor], objects: Sequence[str]) -> list[str]:
    """Return the objects that have features, see ``Features.describable``; all of them for any other function.

    Args:
        features: objects -> n x d features.
        objects: the objects.
    """
    return features.describable(objects) if isinstance(features, Features) else list(objects)


def refusals(features: Callable[[Sequence[str]], Tensor]) -> Mapping[str, str]:
    """Return the reason for each object that was found to have no features."""
    return features.refused if isinstance(features, Features) else {}


class Features(ABC):
    """Turns objects into vectors, with a cache of recent objects.

    Args:
        cache_size: largest number of cached objects, or as many as fit into 256 MB if these are more.
    """

    #: the natural kernel on these vectors, by its name in ``surrogate.kernel``
    kernel: ClassVar[str]
    #: the objects that it describes: "molecule" (SMILES), "sequence", or None for any
    object_type: ClassVar[str | None] = None

    def __init__(self, cache_size: int = 100_000) -> None:
        self._cache = RowCache(cache_size)
        #: the reason for each object that was found to have no features
        self.refused: dict[str, str] = {}

    def __call__(self, objects: Sequence[str]) -> Tensor:
        """Return the features of n objects: n x d, float64.

        Raises:
            ValueError: an object cannot be described, or ``compute`` does not return finite numbers of this shape.
        """
        new = self._cache.missing(objects)
        if not new:
            return self._cache.rows(objects).double() if objects else torch.empty(0, self.d, dtype=torch.float64)
        before = [o for o in dict.fromkeys(objects) if o in self._cache]
        rows = self._cache.rows(before) if before else None
        computed = self._add(new)
        if all(o in self._cache for o in objects):
            return self._cache.rows(objects).double()
        place = {o: row for row, o in enumerate([*before, *new])}
        table = computed if rows is None else torch.cat([rows, computed])
        return table[torch.tensor([place[o] for o in objects])].double()

    def _add(self, new: Sequence[str]) -> Tensor:
        """Compute the features of objects, cache as many as fit, and return the rows."""
        rows = check_rows(self.compute(new), len(new), self.d)
        self._cache.add(new, rows)
        return rows

    def remember(self, objects: Sequence[str]) -> None:
        """Compute the features of those of some objects that are not cached.

        Raises:
            ValueError: an object cannot be described, or ``compute`` does not return finite numbers.
        """
        if new := self._cache.missing(objects):
            self._add(new)

    def of_graphs(self, graphs: MolecularGraphs) -> Tensor | None:
        """Return the features of n molecular graphs, on their device; None (the default) if this is not supported.

        The rows are those of the molecules' SMILES, in any number type.

        Args:
            graphs: n molecules.
        """
        return None

    def describable(self, objects: Sequence[str]) -> list[str]:
        """Return the objects that have features, in their order; the reasons for the others are in ``refused``.

        Raises:
            ConfigError: no object can have features, such as without a file that they need.
        """
        objects = [o for o in objects if o not in self.refused]
        try:
            self.remember(objects)
        except ConfigError:  # such as a file that cannot be read: it concerns no single object
            raise
        except Exception:  # third-party code raises anything
            for name in dict.fromkeys(objects):
                try:
                    self.remember([name])
                except ConfigError:
                    raise
                except Exception as error:
                    self.refused[name] = summary(error)
        return [o for o in objects if o not in self.refused]

    def knows(self, name: str) -> bool:
        """Return whether the features of an object are cached."""
        return name in self._cache

    def export_rows(self, objects: Sequence[str]) -> Any:
        """Compute the features of distinct objects for ``import_rows`` in another process, and cache nothing."""
        return check_rows(self.compute(objects), len(objects), self.d).numpy() if objects else None

    def import_rows(self, objects: Sequence[str], rows: Any) -> None:
        """Cache features that ``export_rows`` has computed for the same objects."""
        places = [place for place, name in enumerate(objects) if name not in self._cache]
        if places:
            self._cache.add([objects[place] for place in places], torch.tensor(rows)[places])

    def refit(self, objects: Sequence[str], values: Sequence[float], seed: int) -> None:  # noqa: B027
        """Adapt the features to the objects measured so far, before the models of a round are fitted.

        By default, nothing depends on them. The result must follow from the arguments alone, so that a campaign that
        resumes has the same features.

        Args:
            objects: the objects that have values.
            values: the values of the first objective, larger is better.
            seed: source of all randomness.
        """

    def forget(self) -> None:
        """Empty the cache, after the features have changed."""
        self._cache.clear()
        self.refused.clear()

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__)  # subclasses leave out what does not travel to other processes

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
