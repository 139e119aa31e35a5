"""Reading the saved state of a sampler's training, without what a campaign could not go on from."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor


def read_state(content: bytes, device: torch.device | str, weights: tuple[str, ...]) -> dict[str, Any]:
    """Return a state that ``torch.save`` wrote.

    Args:
        content: the file's content.
        device: where the tensors go.
        weights: the entries that have the weights, which must be finite.

    Raises:
        Exception: it is damaged, or a weight is not finite.
    """
    state: dict[str, Any] = torch.load(io.BytesIO(content), weights_only=True, map_location=device)
    for name in weights:
        if not all(bool(tensor.isfinite().all()) for tensor in _tensors(state.get(name))):
            raise ValueError(f"some weights of its {name} are not finite")
    return state


def check_entries(state: object, names: Iterable[str], origin: str) -> None:
    """Raise an error unless a state has all entries that are loaded.

    Args:
        state: the state.
        names: the names of the entries.
        origin: what returns such states, for the message.

    Raises:
        ValueError: it is no mapping, or lacks an entry.
    """
    if not isinstance(state, Mapping):
        raise ValueError(f"state: expected what {origin} returns, got {state!r:.80}")
    missing = [name for name in names if name not in state]
    if missing:
        raise ValueError(f"state: expected what {origin} returns, but it has no entry {missing[0]!r}")


def _tensors(value: object) -> Iterator[Tensor]:
    """Yield the floating point tensors in nested mappings and lists."""
    if isinstance(value, Tensor) and value.is_floating_point():
        yield value
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from _tensors(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _tensors(entry)
