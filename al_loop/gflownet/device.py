"""Torch devices by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def find_device(name: str) -> torch.device:
    """Return the torch device with a name.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:1``, ...

    Raises:
        ValueError: the device is not available.
    """
    try:
        device = torch.device(name)
        if device.type == "meta":  # tensors without numbers
            raise RuntimeError("it cannot compute")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"device: {name!r} is not available ({reason}); 'cpu' always is") from None
    return device


@contextmanager
def tf32_products(device: torch.device, is_on: bool) -> Iterator[None]:
    """Multiply float32 matrices on a GPU in TF32: with 10 bits of the fraction, and sums in float32.

    Args:
        device: the device that computes; on a CPU, nothing changes.
        is_on: whether to do so.
    """
    if device.type != "cuda" or not is_on:
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
