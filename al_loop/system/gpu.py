"""How busy a GPU is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_GB = 1e9


class GpuWatch:
    """Samples a GPU while it lasts, from a thread of its own; on a machine without CUDA it does nothing.

    ``with GpuWatch("cuda") as watch: ...``, then ``watch.utilisation``. One watch is for one use.

    Args:
        device: a torch device; anything but CUDA is not watched, and torch is then not imported.
        interval_s: between two samples, in seconds.
    """

    def __init__(self, device: str | torch.device, interval_s: float = 1.0) -> None:
        if not interval_s > 0:
            raise ValueError(f"interval_s: {interval_s} must be above 0")
        self._device, self._interval_s = str(device), interval_s
        self._shares: list[float] = []
        self._peak_bytes: int | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def utilisation(self) -> float | None:
        """Mean share of the time in which the GPU was busy, 0 to 1, with whatever process; None: unknown.

        NVML tells it, through the package nvidia-ml-py: without that it stays unknown.
        """
        shares = list(self._shares)
        return sum(shares) / len(shares) if shares else None

    @property
    def memory_gb(self) -> float | None:
        """Most memory that tensors of this process held at once, in GB (1e9 bytes); None: unknown."""
        return None if self._peak_bytes is None else self._peak_bytes / _GB

    def metrics(self) -> dict[str, float]:
        """What is known so far, by the names that sinks know it by."""
        found = {"gpu_utilisation": self.utilisation, "gpu_memory_gb": self.memory_gb}
        return {name: value for name, value in found.items() if value is not None}

    def __enter__(self) -> GpuWatch:
        if self._device.partition(":")[0] == "cuda":
            import torch

            if torch.cuda.is_available():
                self._cuda: Any = torch.cuda
                self._highest_before = self._ask(self._cuda.max_memory_allocated)
                self._see_memory()
                self._thread = threading.Thread(target=self._work, name="GPU watch", daemon=True)
                self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._thread is None:
            return
        self._over.set()
        self._thread.join()
        self._thread = None
        highest = self._ask(self._cuda.max_memory_allocated)
        if highest is not None and (self._highest_before is None or highest > self._highest_before):
            self._peak_bytes = int(highest)  # reached while it lasted: exact, also between two samples

    def _work(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._over.wait(self._interval_s)  # a sample tells of the time before it
            share = self._ask(self._cuda.utilization)
            if share is not None:
                self._shares.append(share / 100)
            self._see_memory()

    def _see_memory(self) -> None:
        held = self._ask(self._cuda.memory_allocated)
        if held is not None:
            self._peak_bytes = max(int(held), self._peak_bytes or 0)

    def _ask(self, question: Callable[[Any], float]) -> float | None:
        try:
            return question(self._device)
        except Exception:  # NVML fails in many ways (no package, no permission, a part of a GPU): it is then unknown
            return None
