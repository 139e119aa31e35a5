"""Utilisation and memory of a GPU, sampled through NVML."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_GB = 1e9


class GpuWatch:
    """A sampler of a GPU in its own thread during a ``with`` block; it does nothing on a machine without CUDA.

    ``with GpuWatch("cuda") as watch: ...``, then ``watch.utilisation``. A watch can be used once.

    Args:
        device: a torch device; a device other than CUDA is not sampled, and torch is then not imported.
        interval_s: time between two samples, in seconds.

    Raises:
        ValueError: the interval is not positive.
    """

    def __init__(self, device: str | torch.device, interval_s: float = 1.0) -> None:
        if not interval_s > 0:
            raise ValueError(f"interval_s must be above 0, got {interval_s}")
        self._device, self._interval_s = str(device), interval_s
        self._shares: list[float] = []
        self._peak_bytes: int | None = None
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self._cuda: Any = None
        self._peak_before: float | None = None

    @property
    def utilisation(self) -> float | None:
        """Mean share of the time in which the GPU was busy with any process, from 0 to 1; None if unknown.

        It is reported by NVML and requires the package nvidia-ml-py.
        """
        shares = list(self._shares)
        return sum(shares) / len(shares) if shares else None

    @property
    def memory_gb(self) -> float | None:
        """Peak memory of this process's tensors in GB (1e9 bytes); None if unknown."""
        return None if self._peak_bytes is None else self._peak_bytes / _GB

    def metrics(self) -> dict[str, float]:
        """Return the values measured so far, by the names that sinks use."""
        values = {"gpu_utilisation": self.utilisation, "gpu_memory_gb": self.memory_gb}
        return {name: value for name, value in values.items() if value is not None}

    def __enter__(self) -> GpuWatch:
        if self._device.partition(":")[0] == "cuda":
            import torch

            if torch.cuda.is_available():
                self._cuda = torch.cuda
                self._peak_before = self._query(self._cuda.max_memory_allocated)
                self._sample_memory()
                self._thread = threading.Thread(target=self._work, name="GPU watch", daemon=True)
                self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._thread is None:
            return
        self._is_over.set()
        self._thread.join()
        self._thread = None
        peak = self._query(self._cuda.max_memory_allocated)
        if peak is not None and (self._peak_before is None or peak > self._peak_before):
            self._peak_bytes = int(peak)  # reached within the block: exact, even between two samples

    def _work(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._is_over.wait(self._interval_s)  # a sample describes the time before it
            share = self._query(self._cuda.utilization)
            if share is not None:
                self._shares.append(share / 100)
            self._sample_memory()

    def _sample_memory(self) -> None:
        allocated = self._query(self._cuda.memory_allocated)
        if allocated is not None:
            self._peak_bytes = max(int(allocated), self._peak_bytes or 0)

    def _query(self, function: Callable[[Any], float]) -> float | None:
        try:
            return function(self._device)
        except Exception:  # NVML fails in many ways (no package, no permission, a part of a GPU): the value is unknown
            return None
