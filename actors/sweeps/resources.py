"""The CPUs and GPUs that a campaign of a sweep takes, and their distribution on this machine."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from al_loop.config import CampaignConfig

_WAIT_S = 0.5
_TOLERANCE = 1e-9  # sums of fractions are not exact: 4 - 1.2 - 1.1 - 1.1 + 1.2 + 1.1 + 1.1 < 4


def needs_of(config: CampaignConfig, largest: Mapping[str, float]) -> dict[str, float]:
    """Return the CPUs and GPUs that a campaign takes, never more than one machine has, so that none waits forever.

    Args:
        config: The campaign's configuration.
        largest: The largest number of CPUs and GPUs (keys ``CPU`` and ``GPU``) that one machine has.
    """
    learner = config.resources.learner
    cpus = learner.replicas + config.evaluation.workers * config.resources.oracle.num_cpus
    gpus = learner.replicas * (learner.num_gpus or float(config.sampler.device.startswith("cuda")))
    needs = {"CPU": min(max(cpus, 1.0), largest["CPU"]), "GPU": min(gpus, largest["GPU"])}
    return {name: amount for name, amount in needs.items() if amount}


@dataclass(frozen=True)
class Share:
    """The part of this machine that one campaign has.

    Attributes:
        cpus: The number of CPUs.
        gpus: The amount of each GPU, by its name in ``CUDA_VISIBLE_DEVICES``.
    """

    cpus: float
    gpus: Mapping[str, float]


class Machine:
    """The CPUs and GPUs of this machine, which campaigns take and give back.

    Args:
        cpus: The number of CPUs.
        gpus: The names of the GPUs, as in ``CUDA_VISIBLE_DEVICES``.
    """

    def __init__(self, cpus: float, gpus: tuple[str, ...] = ()) -> None:
        self.largest = {"CPU": cpus, "GPU": float(len(gpus))}
        self._free_cpus = cpus
        self._free_gpus = dict.fromkeys(gpus, 1.0)
        self._changed = threading.Condition()

    @classmethod
    def here(cls, *, has_gpus: bool) -> Machine:
        """Return this machine.

        Args:
            has_gpus: Whether to look for GPUs, for which torch is loaded.
        """
        gpus: tuple[str, ...] = ()
        if has_gpus:
            import torch

            visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(torch.cuda.device_count()))))
            gpus = tuple(filter(None, visible.split(",")))[: torch.cuda.device_count()]
        # macOS has no affinity
        n_cpus = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
        return cls(float(n_cpus), gpus)

    def take(self, needs: Mapping[str, float], is_stopping: threading.Event) -> Share | None:
        """Wait until there is room for a campaign, and take its share.

        Args:
            needs: The CPUs and GPUs that it takes, as from ``needs_of``.
            is_stopping: Ends the wait.

        Returns:
            The share, or None where the wait was ended.
        """
        with self._changed:
            while not is_stopping.is_set():
                gpus = self._find_gpus(needs.get("GPU", 0.0))
                if gpus is not None and self._free_cpus >= needs["CPU"] - _TOLERANCE:
                    self._free_cpus -= needs["CPU"]
                    for name, amount in gpus.items():
                        self._free_gpus[name] -= amount
                    return Share(needs["CPU"], gpus)
                self._changed.wait(_WAIT_S)
        return None

    def give_back(self, share: Share) -> None:
        """Return a share that was taken.

        Args:
            share: The share.
        """
        with self._changed:
            self._free_cpus += share.cpus
            for name, amount in share.gpus.items():
                self._free_gpus[name] += amount
            self._changed.notify_all()

    def _find_gpus(self, amount: float) -> dict[str, float] | None:
        """Return GPUs with room for an amount: a part of one, or several whole ones, as Ray counts them."""
        if not amount:
            return {}
        each, n = (amount, 1) if amount < 1 else (1.0, math.ceil(amount))
        fitting = [name for name, free in self._free_gpus.items() if free >= each - _TOLERANCE]
        return dict.fromkeys(fitting[:n], each) if len(fitting) >= n else None
