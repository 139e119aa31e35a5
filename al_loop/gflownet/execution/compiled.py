"""Compilation by ``torch.compile``, and the time that it takes."""

from __future__ import annotations

import logging
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_log = logging.getLogger(__name__)
#: versions of one function, of different policies and settings, in one process
_MAX_VERSIONS = 256


class CompileTime:
    """Seconds spent on compilation in this process. Kernels are cached on disk, so that later processes take less."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.count = 0

    def add(self, name: str, seconds: float) -> None:
        """Add the compilation of a function."""
        self.seconds += seconds
        self.count += 1
        _log.info("compiled %s in %.1f s", name, seconds)


compile_time = CompileTime()


def compiled(
    function: Callable[..., Any], backend: str = "inductor", dynamic: bool | None = True
) -> Callable[..., Any]:
    """Compile a function of tensors.

    The first call runs the function as it is, so that constants reach their device before anything is compiled. So do
    all calls after a compilation has failed, such as that of an environment of the user's; a warning says why.

    Args:
        function: the function.
        backend: the backend of ``torch.compile``.
        dynamic: whether the first compilation is for any number of rows; None: it is for those at hand, and the second
            for any, which takes longer and gives the fastest kernels for batches that are mostly of one size.
    """
    import torch
    import torch._dynamo  # takes a second, and only compiled trainings need it
    from torch._dynamo.utils import counters

    config: Any = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, _MAX_VERSIONS)
    config.accumulated_recompile_limit = max(config.accumulated_recompile_limit, 4 * _MAX_VERSIONS)
    fast: Callable[..., Any] = torch.compile(function, backend=backend, dynamic=dynamic, fullgraph=True)
    name = getattr(function, "__qualname__", "function")
    ready: list[Callable[..., Any]] = [function]

    def call(*inputs: Any) -> Any:
        run = ready[-1]
        if len(ready) == 1:
            ready.append(fast)
        if run is function:
            return run(*inputs)
        graphs, began = counters["stats"]["unique_graphs"], time.perf_counter()
        try:
            result = run(*inputs)
        except torch._dynamo.exc.TorchDynamoException as error:
            if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
                raise  # a recording is no place to compile: it is made again
            _log.warning("%s runs as it is, since it cannot be compiled: %s", name, first_words(error))
            ready.append(function)
            return function(*inputs)
        if counters["stats"]["unique_graphs"] != graphs:
            compile_time.add(name, time.perf_counter() - began)
        return result

    return call


@contextmanager
def whole_reductions() -> Iterator[None]:
    """Compile a reduction over few values as one, which what follows can be part of, and not as separate operations.

    The choice of one of a few actions and the step that it makes are then one kernel.
    """
    import torch._inductor.config as config  # takes a second, and only compiled trainings need it

    with config.patch(unroll_reductions_threshold=1):
        yield


def first_words(error: Exception) -> str:
    """Return the beginning of an error's message on one line."""
    return textwrap.shorten(" ".join(str(error).split()), 300, placeholder=" ...")
