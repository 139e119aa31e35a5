"""Whether the shapes of tensors may depend on their values.

On a CPU, finished trajectories are dropped, which saves work. On a GPU, their number would have to be read back, and
compiled or captured kernels require the same shapes each time; there, all rows take part, and some are ignored.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class _Mode(threading.local):
    is_fixed = False


_mode = _Mode()


def packs(device: torch.device) -> bool:
    """Return whether to drop finished rows on a device, never in what is compiled."""
    return device.type == "cpu" and not _mode.is_fixed and not torch.compiler.is_compiling()


@contextmanager
def fixed_shapes() -> Iterator[None]:
    """Compute in this thread with fixed shapes on every device, as on a GPU."""
    before = _mode.is_fixed
    _mode.is_fixed = True
    try:
        yield
    finally:
        _mode.is_fixed = before
