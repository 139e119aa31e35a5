"""Recording of a function's kernels, once for each shape of its inputs, and their replay without Python.

The recording itself is an argument, so that a CPU can test everything around the few lines that need a GPU.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from al_loop.gflownet.execution.compiled import first_words

_log = logging.getLogger(__name__)
MOST_FAILURES = 2  # the first may be that of a compilation in the middle of a recording
#: a function without arguments, and how often to run it first -> a function that runs it again and replaces its outputs
#: in place, and these outputs
Capture = Callable[[Callable[[], tuple[Tensor, ...]], int], tuple[Callable[[], None], tuple[Tensor, ...]]]


class CudaCapture:
    """Recording as a CUDA graph. The graphs of one instance share their memory, and must not run at the same time."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(
        self, work: Callable[[], tuple[Tensor, ...]], warm_ups: int
    ) -> tuple[Callable[[], None], tuple[Tensor, ...]]:
        """Run some work a few times, then record it; return its replay, and the outputs that a replay fills."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(warm_ups):
                work()
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool):
                outputs = work()
        except Exception:
            self._pool = torch.cuda.graph_pool_handle()  # the other one is left in the middle of a recording
            raise
        return graph.replay, outputs


@dataclass(frozen=True)
class _Recording:
    inputs: tuple[Tensor | None, ...]
    replay: Callable[[], None]
    outputs: tuple[Tensor, ...]

    def run(self, given: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """Replace the inputs, with one copy for all of the same type, replay, and return the outputs."""
        pairs: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
        for own, new in zip(self.inputs, given, strict=True):
            if own is not None and new is not None:
                owns, news = pairs.setdefault(own.dtype, ([], []))
                owns.append(own)
                news.append(new)
        for owns, news in pairs.values():
            torch._foreach_copy_(owns, news)
        self.replay()
        return self.outputs


class Recorded:
    """A function of tensors that is recorded at the first call with each shape, and replayed from then on.

    If that fails twice, the function is called as it is.

    Its outputs are overwritten by the next call with inputs of the same shapes.

    Args:
        function: a function of tensors, some of them possibly None, that returns a tuple of tensors.
        capture: the recording.
        preserve: a context at whose end everything that the function changes has its values from the beginning, since a
            recording runs the function.
        warm_ups: how often the function runs before it is recorded. A compiled one runs as it is, then is compiled,
            then chooses its kernels.
    """

    def __init__(
        self,
        function: Callable[..., tuple[Tensor, ...]],
        capture: Capture,
        preserve: Callable[[], AbstractContextManager[None]] = nullcontext,
        warm_ups: int = 3,
    ) -> None:
        self._function, self._capture, self._preserve, self._warm_ups = function, capture, preserve, warm_ups
        self._recordings: dict[object, _Recording] = {}
        self._failures: Counter[object] = Counter()

    def __len__(self) -> int:
        return len(self._recordings)

    @property
    def n_failures(self) -> int:
        """The number of recordings that failed."""
        return self._failures.total()

    def __call__(self, *inputs: Tensor | None) -> tuple[Tensor, ...]:
        key = tuple(None if x is None else (tuple(x.shape), x.dtype) for x in inputs)
        recording = self._recordings.get(key)
        if recording is None and self._failures[key] < MOST_FAILURES:
            recording = self._record(inputs)
            if recording is None:
                self._failures[key] += 1
            else:
                self._recordings[key] = recording
        return self._function(*inputs) if recording is None else recording.run(inputs)

    def _record(self, inputs: tuple[Tensor | None, ...]) -> _Recording | None:
        """Record the function for inputs of these shapes; None if it cannot be recorded."""
        own = tuple(None if x is None else x.clone() for x in inputs)
        try:
            with self._preserve():
                replay, outputs = self._capture(lambda: self._function(*own), self._warm_ups)
        except RuntimeError as error:  # such as a policy of the user's that waits for the GPU
            _log.warning("kernels are launched one by one, since they cannot be recorded: %s", first_words(error))
            return None
        return _Recording(own, replay, outputs)
