"""A cache of rows by name, in one compact table."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_BYTES = 256_000_000
_GROWTH = 1.3


class RowCache:
    """Rows by name, of any (compact) number type; it is emptied once it is full.

    Args:
        capacity: largest number of rows, or as many as fit into 256 MB if these are more.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._index: dict[str, int] = {}
        self._table: Tensor | None = None

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, name: str) -> bool:
        return name in self._index

    def __reduce__(self) -> tuple[type[RowCache], tuple[int]]:
        return RowCache, (self.capacity,)  # the rows do not travel to other processes

    @property
    def dtype(self) -> torch.dtype | None:
        """The number type of the rows; None while there are none."""
        return None if self._table is None else self._table.dtype

    def missing(self, names: Sequence[str]) -> list[str]:
        """Return the distinct names that have no row here."""
        return [name for name in dict.fromkeys(names) if name not in self._index]

    def add(self, names: Sequence[str], rows: Tensor) -> None:
        """Add the rows of distinct names that have none here; of more than fit, only the first."""
        capacity = max(self.capacity, _BYTES // max(rows[:1].nbytes, 1))
        if len(self) + len(names) > capacity:
            self.clear()
            names, rows = names[:capacity], rows[:capacity]
        begin, end = len(self), len(self) + len(names)
        table = rows.new_empty(0, *rows.shape[1:]) if self._table is None else self._table
        dtype = torch.promote_types(table.dtype, rows.dtype)
        if len(table) < end or table.dtype != dtype:
            size = end if not begin else min(max(end, int(len(table) * _GROWTH)), capacity)
            larger = rows.new_empty(size, *rows.shape[1:], dtype=dtype)
            larger[:begin] = table[:begin]
            table = larger
        table[begin:end] = rows
        self._table = table
        self._index.update(zip(names, range(begin, end), strict=True))

    def rows(self, names: Sequence[str]) -> Tensor:
        """Return the rows of at least one name; all of them must be here."""
        assert self._table is not None
        return self._table[torch.tensor([self._index[name] for name in names])]

    def clear(self) -> None:
        """Remove all rows."""
        self._index.clear()
        self._table = None
