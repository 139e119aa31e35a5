"""Processes that train the same weights, each on a part of every batch (data-parallel training)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Literal

import torch
from torch import Tensor
from torch._C._distributed_c10d import TCPStore
from torch.distributed import ProcessGroup, ProcessGroupGloo

from al_loop.gflownet.objectives.base import Terms

#: the library that adds up tensors: gloo for any processes, NCCL for processes with a GPU each
Backend = Literal["gloo", "nccl"]


class Team:
    """One of several processes that train the same weights.

    Each process computes the terms of its own trajectories. All then compute the loss of the whole batch from the terms
    of all, and add up their gradients, so that the sum is the gradient of one process with the whole batch, for every
    objective, also where trajectories are compared with each other.

    Args:
        rank: the number of this process, from 0.
        size: number of processes.
        group: the connection between them.
        device: the device on which it adds up tensors.
    """

    def __init__(self, rank: int, size: int, group: ProcessGroup, device: torch.device) -> None:
        self.rank, self.size = rank, size
        self._group, self._device = group, device

    @staticmethod
    def connect(
        rank: int, size: int, address: tuple[str, int], backend: Backend, device: torch.device, host: str = ""
    ) -> Team:
        """Join a team, and wait for all its processes.

        Args:
            rank: the number of this process, from 0.
            size: number of processes.
            address: host and port of the store of rank 0.
            backend: the library that adds up tensors.
            device: the device of this process's weights.
            host: the address of this process's network interface; empty: that of its host name.
        """
        store = TCPStore(*address, is_master=False)
        return Team._join(rank, size, store, backend, device, host)

    @staticmethod
    def _join(rank: int, size: int, store: Any, backend: Backend, device: torch.device, host: str) -> Team:
        group: Any
        if backend == "nccl":
            from torch.distributed import ProcessGroupNCCL

            torch.cuda.set_device(device.index or 0)
            group = ProcessGroupNCCL(store, rank, size, ProcessGroupNCCL.Options())
            return Team(rank, size, group, device)
        options = ProcessGroupGloo._Options()  # type: ignore[attr-defined]
        options._devices = [ProcessGroupGloo.create_device(hostname=host)]
        group = ProcessGroupGloo(store, rank, size, options)
        return Team(rank, size, group, torch.device("cpu"))

    def rows(self, n: int, rank: int | None = None) -> Tensor:
        """Return the indices of the trajectories of a process among n.

        Args:
            n: number of trajectories in the batch.
            rank: the process; None: this one.
        """
        return torch.arange(self.rank if rank is None else rank, n, self.size)

    def join(self, terms: Terms, n: int) -> Terms:
        """Return the terms of all n trajectories, through which gradients reach those of this process.

        Args:
            terms: the terms of this process's trajectories.
            n: number of trajectories in the batch.
        """
        own = {field.name: vars(terms)[field.name] for field in fields(terms)}
        own = {name: value for name, value in own.items() if isinstance(value, Tensor)}
        rows = self.rows(n).to(terms.log_pf.device)
        number = torch.float64 if any(value.dtype == torch.float64 for value in own.values()) else torch.float32
        flat = torch.cat([value.detach().reshape(-1, len(rows)).to(number) for value in own.values()])
        total = flat.new_zeros(len(flat), n).index_copy_(1, rows, flat)
        self._add_up(total)
        joined: dict[str, Tensor] = {}
        parts = total.split([value.numel() // len(rows) for value in own.values()])
        for (name, value), part in zip(own.items(), parts, strict=True):
            everything = part.reshape(*value.shape[:-1], n).to(value.dtype)
            joined[name] = everything.index_copy(-1, rows, value) if value.is_floating_point() else everything
        return Terms(**joined, drawn=None if terms.drawn is None else self.join(terms.drawn, n))

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace the gradients of parameters by their sums over all processes.

        Args:
            parameters: the same parameters in each process.
        """
        every = list(parameters)
        if not every:
            return
        # a parameter that no process used keeps no gradient, as in one process
        is_used = torch.tensor([p.grad is not None for p in every], dtype=torch.float32)
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in every]
        flat = torch.cat([is_used.to(grads[0]), *(grad.flatten() for grad in grads)])
        self._add_up(flat)
        total = flat[len(every) :].split([p.numel() for p in every])
        for p, used, grad in zip(every, flat[: len(every)].tolist(), total, strict=True):
            p.grad = grad.view_as(p) if used else None

    def _add_up(self, values: Tensor) -> None:
        """Replace values by their sum over all processes, in place."""
        moved = values.to(self._device)
        self._group.allreduce([moved]).wait()
        if moved is not values:
            values.copy_(moved)


class TeamStore:
    """The meeting point of a team, in the process of rank 0.

    Args:
        host: the address at which the other processes reach this one.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._store = TCPStore(host, 0, is_master=True, wait_for_workers=False)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self._host, self._store.port

    def join(self, size: int, backend: Backend, device: torch.device) -> Team:
        """Join the team as rank 0, and wait for all its processes.

        Args:
            size: number of processes.
            backend: the library that adds up tensors.
            device: the device of this process's weights.
        """
        return Team._join(0, size, self._store, backend, device, self._host)
