"""Constants of an environment on the devices that use them."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

import torch

_Movable = TypeVar("_Movable", bound="Movable")


class Movable(Protocol):
    """A tensor, or an object of tensors."""

    def to(self, device: torch.device, /) -> Any:
        """Return the same values on another device."""


class PerDevice(Generic[_Movable]):
    """A constant that is copied to each device once, since every copy makes a GPU wait.

    Args:
        value: the constant, on the CPU.
    """

    def __init__(self, value: _Movable) -> None:
        self._by_device: dict[torch.device, _Movable] = {torch.device("cpu"): value}

    def on(self, device: torch.device) -> _Movable:
        """Return the constant on a device."""
        value = self._by_device.get(device)
        if value is None:
            value = self._by_device[device] = self._by_device[torch.device("cpu")].to(device)
        return value

    def __getstate__(self) -> dict[str, Any]:
        cpu = torch.device("cpu")
        return {"_by_device": {cpu: self._by_device[cpu]}}  # another process has other devices
