"""A sink that records its calls, and the calls of a short campaign."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from al_loop.sinks import Sink, Sinks

CONFIG: dict[str, Any] = {"seed": 5, "rounds": {"count": 2, "review": False}, "constraints": [{"kind": "qed"}]}


class Recorder(Sink):
    """A sink that records its calls.

    Args:
        first: called with the method's name before each call is recorded.
    """

    kind = "recorder"

    def __init__(self, first: Callable[[str], None] = lambda method: None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._first = first

    def _take(self, *call: Any) -> None:
        self._first(call[0])
        self.calls.append(call)

    def begin(self, name: str, run: str, config: Mapping[str, Any]) -> None:
        self._take("begin", name, run)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._take("log", step, dict(metrics))

    def note(self, message: str) -> None:
        self._take("note", message)

    def end(self, status: str) -> None:
        self._take("end", status)


def tell(sinks: Sinks, rounds: int = 2) -> None:
    sinks.begin("found", "uid1", CONFIG)
    for number in range(rounds):
        sinks.log(number, {"best": number / 2, "hypervolume": math.nan})
    sinks.note("the space counts as exhausted")
    sinks.end("finished")


CALLS = [
    ("begin", "found", "uid1"),
    ("log", 0, {"best": 0.0}),
    ("log", 1, {"best": 0.5}),
    ("note", "the space counts as exhausted"),
    ("end", "finished"),
]
