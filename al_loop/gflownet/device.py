"""Torch devices by name."""

from __future__ import annotations

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
