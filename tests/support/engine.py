"""Substitutes for a GPU in tests of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_WAITING = {"aten::_local_scalar_dense", "aten::nonzero", "aten::unique_dim", "aten::_unique2", "aten::masked_select"}


class EagerCapture:
    """A recording that works like a CUDA graph: it runs the work first, and gives no outputs until replayed."""

    def __init__(self) -> None:
        self.n_recorded = self.n_replayed = 0

    def __call__(
        self, work: Callable[[], tuple[Tensor, ...]], warm_ups: int
    ) -> tuple[Callable[[], None], tuple[Tensor, ...]]:
        self.n_recorded += 1
        for _ in range(warm_ups):
            work()
        outputs = tuple(torch.full_like(x, 77) for x in work())

        def replay() -> None:
            self.n_replayed += 1
            for own, new in zip(outputs, work(), strict=True):
                own.copy_(new)

        return replay, outputs


class _NoWaiting(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().partition(".")[0]
        if name in _WAITING:
            raise AssertionError(f"{name} makes a GPU wait")
        is_index = name in ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")
        if is_index and any(x is not None and x.dtype in (torch.bool, torch.uint8) for x in args[1]):
            raise AssertionError(f"{name} by a mask makes a GPU wait")
        return func(*args, **(kwargs or {}))


@contextmanager
def no_waiting() -> Iterator[None]:
    """Fail at operations whose results a GPU would have to send back, and at constants that are copied to it."""

    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("torch.tensor copies to the GPU")

    make = torch.tensor
    torch.tensor = forbidden
    try:
        with _NoWaiting():
            yield
    finally:
        torch.tensor = make
