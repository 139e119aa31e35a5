"""Plans of roll-outs: how many trajectories take part in each chunk of steps, learned from earlier roll-outs."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import zip_longest

_FEWEST_ROWS = 64  # fewer rows do not make a step on a GPU faster
_REMEMBERED = 32  # roll-outs whose needs a new plan meets
_CHUNK_COST = 2048  # what a chunk costs besides its rows, in rows
_WASTE = 1.5  # a plan that costs so many times what is needed is replaced


class Plan:
    """The plan of roll-outs of n trajectories.

    It changes as rarely as possible, since each plan is recorded anew: it grows when trajectories lack a place, and
    shrinks when it has become wasteful.

    Args:
        n: number of trajectories.
        most_chunks: largest number of chunks.
    """

    def __init__(self, n: int, most_chunks: int) -> None:
        self._n, self._most_chunks = n, most_chunks
        self._history: deque[list[int]] = deque(maxlen=_REMEMBERED)
        #: the number of rows of each chunk
        self.sizes: tuple[int, ...] = (n,)

    def met(self, alive: Sequence[int], sizes: tuple[int, ...] | None = None) -> bool:
        """Return whether a plan met the need of a roll-out; if the present one did not and can, grow.

        Args:
            alive: number of unfinished trajectories after each chunk.
            sizes: the number of rows of each chunk of the roll-out; None: those of the present plan.
        """
        used = sizes or self.sizes
        is_present = used == self.sizes
        short = [i for i, size in enumerate(used[1:]) if alive[i] > size]
        if short:
            if is_present:
                keep = short[0] + 1
                more = self._rows_for(alive[keep - 1])
                self.sizes = (*used[:keep], *(max(more, size) for size in used[keep:]))
            return False
        if alive[-1] and len(used) < self._most_chunks:
            if is_present:
                missing = min(round_up(len(used) + 1), self._most_chunks) - len(used)
                self.sizes = (*used, *[min(used[-1], self._rows_for(alive[-1]))] * missing)
            return False
        self._history.append([count for count in alive if count])
        needed = self._needed()
        if _cost(self.sizes) > _WASTE * _cost(needed):
            self.sizes = needed
        return True

    def _needed(self) -> tuple[int, ...]:
        """Return the smallest plan that meets the needs of recent roll-outs."""
        most = [max(counts) for counts in zip_longest(*self._history, fillvalue=0)]
        n_chunks = min(round_up(len(most) + 1), self._most_chunks)
        most += [0] * (n_chunks - 1 - len(most))
        return (self._n, *(self._rows_for(count) for count in most[: n_chunks - 1]))

    def _rows_for(self, count: int) -> int:
        """Return n divided by a power of two, with a reserve for chance and for a policy that changes."""
        needed = 1.1 * count + 4 * count**0.5
        size = self._n
        while size // 2 >= max(needed, _FEWEST_ROWS):
            size //= 2
        return size


def _cost(sizes: Sequence[int]) -> int:
    return sum(size + _CHUNK_COST for size in sizes)


def round_up(count: int, least: int = 1) -> int:
    """Return a number that is at least ``count`` and a power of two, at least ``least``, or one and a half of one."""
    size = least
    while size < count:
        size = size * 3 // 2 if size & (size - 1) == 0 and size > 1 else max(size * 4 // 3, size + 1)
    return size
