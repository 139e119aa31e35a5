"""The choice of a way to execute roll-outs and gradient steps."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import torch

from al_loop.errors import not_one_of
from al_loop.gflownet.execution.compiled import compiled
from al_loop.gflownet.execution.graphs import Capture, CudaCapture, Recorded

ExecutionName = Literal["auto", "plain", "compiled", "graphed"]
#: gradient steps from which ``auto`` compiles on a GPU: about a minute of plain steps, which compilation takes, too
_WORTH_COMPILING = 500


@dataclass(frozen=True)
class Execution:
    """A way to execute functions of tensors of fixed shape.

    Args:
        compile: returns a faster function with the same results.
        capture: records kernels; None: they are launched one by one.
    """

    compile: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda function: function
    capture: Capture | None = None

    def record(
        self,
        function: Callable[..., Any],
        preserve: Callable[[], AbstractContextManager[None]] = nullcontext,
        warm_ups: int = 3,
    ) -> Callable[..., Any]:
        """Return a function whose kernels are recorded at the first call with each shape; see ``Recorded``.

        Args:
            function: a function of tensors that returns a tuple of tensors.
            preserve: a context that restores all that the function changes.
            warm_ups: how often the function runs before it is recorded.
        """
        return function if self.capture is None else Recorded(function, self.capture, preserve, warm_ups)


def check_execution(name: str, device: str) -> None:
    """Raise an error if a device cannot execute a training in a way.

    Args:
        name: the name of the way.
        device: a torch device.

    Raises:
        ValueError: there is no such way, or it requires a GPU.
    """
    if name not in get_args(ExecutionName):
        raise ValueError(f"execution: {not_one_of(name, get_args(ExecutionName))}")
    if name == "graphed" and not device.startswith("cuda"):
        raise ValueError(f"execution: graphed requires a GPU, not the device {device!r}; use compiled, or auto")


def choose_execution(name: ExecutionName | Execution, device: torch.device, steps: int) -> Execution | None:
    """Return the way to execute a training; None: plain.

    ``auto`` is ``graphed`` on a GPU, unless the training is so short that compilation would take longer than it saves,
    and ``plain`` elsewhere, where a campaign gives the same batches in every version.

    Args:
        name: the name of the way, or ``auto``; or the way itself.
        device: where the policy computes.
        steps: number of training steps.

    Raises:
        ValueError: there is no such way, or it requires a GPU.
    """
    if isinstance(name, Execution):
        return name
    check_execution(name, str(device))
    if name == "auto":
        name = "graphed" if device.type == "cuda" and steps >= _WORTH_COMPILING else "plain"
    if name == "plain":
        return None
    if name == "compiled":
        return Execution(compiled)
    return Execution(partial(compiled, dynamic=None), CudaCapture())
