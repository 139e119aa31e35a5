"""Kernels on rows that list identifiers and their counts, such as those of the features ``circular``."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from al_loop.errors import ConfigError
from al_loop.features.molecules.similarity import Counts, SharedCounts, shared_in_groups, tanimoto
from al_loop.surrogates.kernels.elementary import Kernel, Rows

#: tables of the rows that kernels were last compared with, as long as these rows exist
_tables: WeakIdKeyDictionary = WeakIdKeyDictionary()
#: with fewer rows, a table takes no time to build
_LEAST_ROWS = 32


def _counts(rows: Rows) -> Counts:
    ids, counts = rows.values.long().unflatten(-1, (2, -1)).unbind(-2)
    return Counts(ids, counts)


def _table(rows: Rows, is_minimum: bool) -> SharedCounts:
    """Return the table of reference rows, from the last time if they are the same tensor."""
    values = rows.values
    if len(values) < _LEAST_ROWS:
        return SharedCounts(_counts(rows), is_minimum)
    version, tables = _tables.get(values, (None, {}))
    if version != values._version:
        tables = {}
        _tables[values] = (values._version, tables)
    if is_minimum not in tables:
        tables[is_minimum] = SharedCounts(_counts(rows).trimmed(), is_minimum)
    table: SharedCounts = tables[is_minimum]
    return table


@dataclass(frozen=True)
class OnCounts(Kernel):
    """The kernel ``tanimoto`` or ``minmax`` on counts that are listed with their identifiers.

    Args:
        is_minimum: whether counts are compared by their minimum (``minmax``), rather than by their product.
    """

    is_minimum: bool

    def cross(self, rows1: Rows, rows2: Rows) -> Tensor:
        is_minimum = self.is_minimum
        a, b = _counts(rows1), _counts(rows2)
        if rows1.values.dim() == rows2.values.dim() == 2:
            shared = _table(rows2, is_minimum)(a)
        else:
            shared = shared_in_groups(a, b, is_minimum)
        total_a, total_b = ((c.counts if is_minimum else c.counts.square()).sum(-1) for c in (a, b))
        return tanimoto(shared, total_a, total_b)

    def trained(self, X: Tensor) -> Kernel:
        half = X.shape[-1] // 2
        counts = X[..., half:]
        if X.shape[-1] % 2 or not bool(((X >= 0) & (X.round() == X)).all()) or not bool((counts.sum(-1) > 0).all()):
            raise ConfigError(
                "surrogate.kernel: sparse_tanimoto and sparse_minmax require rows of identifiers and counts, and these "
                "rows are others; use features circular, limit it to such columns, or use tanimoto"
            )
        return self

    def of_dot(self, dot: Tensor, squared1: Tensor, squared2: Tensor) -> Tensor:
        """Raise a TypeError: the kernel is not a function of dot products.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"{type(self).__name__} is not a function of the rows' dot products; call cross")


#: kernels by their names in ``surrogate.kernel`` and ``Features.kernel``
SPARSE_KERNELS = {"sparse_tanimoto": OnCounts(is_minimum=False), "sparse_minmax": OnCounts(is_minimum=True)}
