"""Matching of a function's answers with its items. Requires neither numpy nor pandas."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Coroutine, Iterable, Iterator, Mapping, Sequence, Set, Sized
from typing import Any, SupportsIndex

from al_loop.errors import counted

#: names of a table's column of items
_ITEM_COLUMNS = ("object", "smiles", "SMILES", "sequence")
#: stands for the answer of an item that a mapping or table lacks
NO_ANSWER = object()


class MismatchError(ValueError):
    """The answers cannot be matched with their items; the message says why."""


class TrackedItems(list[str]):
    """A list that knows which item it handed out last, so that a generator's answer can be matched with it.

    Args:
        items: the items.
    """

    def __init__(self, items: Iterable[str]) -> None:
        super().__init__(items)
        #: index of the item that was handed out last; None before the first
        self.last: int | None = None
        self._is_new = False

    def __iter__(self) -> Iterator[str]:
        for index in range(len(self)):
            yield self._hand_out(index)

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        if isinstance(index, slice):
            return super().__getitem__(index)
        return self._hand_out(range(len(self))[index])

    def __reduce__(self) -> tuple[type[list[str]], tuple[list[str]]]:
        return list, (super().__getitem__(slice(None)),)

    def _hand_out(self, index: int) -> str:
        self.last, self._is_new = index, True
        return super().__getitem__(index)

    def is_turn_of(self, index: int) -> bool:
        """Return whether this item was the last to be handed out, and was so since the previous call."""
        is_turn = self._is_new and self.last == index
        self._is_new = False
        return is_turn


def match(answers: Any, items: Sequence[str], names: Sequence[str]) -> Iterable[Any]:
    """Return the answers in the order of their items; a generator or other iterator is returned as it is.

    Answers match if they are keyed by item (a mapping, or a pandas object whose index or whose column ``object`` or
    ``smiles`` holds the items), or if they are in order and as many as the items.

    Args:
        answers: what a function returned for the items.
        items: the items.
        names: names of the values of each item.

    Returns:
        One answer for each item, NO_ANSWER where a mapping or table has none; or the iterator.

    Raises:
        MismatchError: it is not certain which answer belongs to which item.
    """
    if answers is None:
        raise MismatchError(f"None (is a return or yield missing?), {_expected(items)}")
    if isinstance(answers, Awaitable | AsyncIterable):
        raise MismatchError(f"{asynchronous(answers)}, {_expected(items)}")
    if isinstance(answers, str | bytes | bytearray):
        raise MismatchError(f"text, {answers!r:.80}, {_expected(items)}")
    if isinstance(answers, Mapping):
        return _by_item(dict(answers), items)
    if isinstance(answers, Set):
        raise MismatchError(f"a set, which has no order, {_expected(items)}")
    if hasattr(answers, "iloc"):
        return _from_pandas(answers, items, names)
    if hasattr(answers, "columns"):
        raise MismatchError(f"a {type(answers).__name__}, whose rows are not keyed by object, {_expected(items)}")
    if not isinstance(answers, Iterator):
        shape: Any = getattr(answers, "shape", None)
        n = _length(answers)
        if n is not None and n != len(items):
            raise MismatchError(f"{counted(n, 'answer')}, {_expected(items)}")
        is_array = n is not None and isinstance(shape, tuple) and items
        if is_array and shape[1:] != (len(names),) and not (len(names) == 1 and shape[1:] == ()):
            expected = f"{len(items)} x {len(names)}"
            raise MismatchError(f"an array of shape {' x '.join(map(str, shape))}, expected {expected}")
    matched: Iterable[Any] = answers
    return matched


def asynchronous(answer: object) -> str:
    """Return in words what an async function has returned, and end it; empty for anything else."""
    if isinstance(answer, Coroutine):
        answer.close()  # or Python warns that nobody waited for it
    is_async = isinstance(answer, Awaitable | AsyncIterable)
    return "what only await or async for can use (async functions are not supported)" if is_async else ""


def _length(answers: Any) -> int | None:
    try:
        return len(answers) if isinstance(answers, Sized) else None
    except TypeError:  # an array without dimensions
        return None


def _expected(items: Sequence[str]) -> str:
    n = len(items)
    return f"expected {n} {'answer' if n == 1 else 'answers in order'}, or a mapping from object to answer"


def _by_item(by_item: Mapping[Any, Any], items: Sequence[str]) -> list[Any]:
    if items and not any(item in by_item for item in items):
        keys = ", ".join(f"{key!r:.40}" for key in list(by_item)[:3]) or "no keys"
        raise MismatchError(f"a mapping with {keys}, none of which is an object of this call; {_expected(items)}")
    return [by_item.get(item, NO_ANSWER) for item in items]


def _from_pandas(table: Any, items: Sequence[str], names: Sequence[str]) -> list[Any]:
    """Return the rows of a DataFrame, or the values of a Series."""
    columns = list(getattr(table, "columns", ()))
    keys = list(table.index)
    if columns:
        own = next((name for name in _ITEM_COLUMNS if name in columns and name not in names), None)
        keys = keys if own is None else list(table[own])
        others = [name for name in columns if name != own]
        chosen = names if all(name in others for name in names) else others
        if len(chosen) != len(names) or (chosen is others and len(names) > 1) or len(set(columns)) < len(columns):
            given = f"a {type(table).__name__} with the columns {', '.join(map(str, columns)):.120}"
            raise MismatchError(f"{given}, expected {', '.join(names)}")
        rows = list(zip(*(list(table[name]) for name in chosen), strict=True))
    else:
        rows = list(table)
    if any(isinstance(key, str) for key in keys):
        if len(set(keys)) < len(keys):
            raise MismatchError(f"a {type(table).__name__} with an object in several rows, expected each in one")
        return _by_item(dict(zip(keys, rows, strict=True)), items)
    if keys == list(range(len(items))):
        return rows
    raise MismatchError(
        f"a {type(table).__name__} of {len(keys)} rows whose index is neither the objects nor 0 to {len(items) - 1}, "
        f"{_expected(items)}"
    )
