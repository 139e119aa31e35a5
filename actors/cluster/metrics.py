"""The numbers of a campaign as Ray's metrics, which Ray's dashboard and Prometheus read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ray.util.metrics import Counter, Gauge, Histogram

from al_loop.sinks.base import Sink, Status

#: upper bounds of the buckets of oracle calls, in seconds: from a formula to a day of quantum chemistry
CALL_SECONDS = (0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)

_TAGS = ("campaign", "role")
_PHASE = "seconds_"  # of a round's metrics: seconds_fit, seconds_train, ...


class RayMetrics(Sink):
    """Metrics ``al_loop_...`` (Prometheus: ``ray_al_loop_...``) with the tags ``campaign`` and ``role``.

    Logging takes microseconds and no network: Ray sends metrics by itself, every few seconds. Without ``ray.init``
    nothing is sent, and nothing fails. Metrics belong to the process, so counters start at zero each time that a
    campaign is started or resumed; totals from the ledger are gauges.

    Args:
        campaign: The campaign's name, the tag of all metrics.
        call_seconds: The upper bounds of the buckets of oracle calls, in seconds, ascending.
    """

    def __init__(self, campaign: str, call_seconds: Sequence[float] = CALL_SECONDS) -> None:
        self._tags = {"campaign": campaign}
        self._gauges: dict[str, Any] = {}
        self._call_seconds = self._make(
            Histogram, "oracle_call_seconds", "Seconds of an oracle call", "oracle", boundaries=list(call_seconds)
        )
        # Ray computes the sum of a histogram from the midpoints of its buckets, so a mean duration needs a counter
        self._seconds = self._make(Counter, "oracle_seconds", "Seconds of all oracle calls since the start", "oracle")
        self._calls = self._make(Counter, "oracle_calls", "Oracle calls since the start", "oracle")
        self._failures = self._make(Counter, "oracle_failures", "Failed oracle calls since the start", "oracle")
        self._trajectories = self._make(Counter, "trajectories", "Trajectories since the start", "sampler")
        self._steps = self._make(Counter, "learner_steps", "Gradient steps since the start", "learner")

    def begin(self, name: str, run: str, config: Mapping[str, Any]) -> None:
        self._set("rounds_planned", float(config.get("rounds", {}).get("count", 0)), "Rounds of the config", "campaign")

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Set gauges for a round (``al_loop_best``, ``al_loop_phase_seconds{phase}``, ...), and count events."""
        if "oracle/seconds" in metrics:
            self._count_call(metrics["oracle/seconds"], is_failure=bool(metrics.get("oracle/failed")))
            self._set_open(int(metrics.get("oracle/open", 0)))
        elif "train/loss" in metrics:
            self._steps.inc()
            self._set("loss", metrics["train/loss"], "Loss of the last gradient step", "learner")
        elif "training/trajectories" in metrics:
            self._trajectories.inc(metrics["training/trajectories"])
            for name, value in metrics.items():
                self._set(name.replace("/", "_"), value, f"{name}, of the last round", "learner")
        else:
            self._set("round", float(step), "Number of the last round that was reported", "campaign")
            for name, value in metrics.items():
                if name.startswith(_PHASE):
                    gauge = self._gauge("phase_seconds", "Seconds of a phase in the last round", ("phase",))
                    tags = {"role": "campaign", "phase": name.removeprefix(_PHASE)}
                    gauge.set(float(value), self._tags | tags)
                else:
                    metric = re.sub(r"\W", "_", name, flags=re.ASCII)
                    self._set(metric, value, f"{name}, of the last round that was reported", "campaign")

    def end(self, status: Status) -> None:
        self._set_open(0)

    def _count_call(self, seconds: float, *, is_failure: bool) -> None:
        """Count an oracle call that has ended."""
        self._calls.inc()
        self._call_seconds.observe(float(seconds))
        if seconds > 0:
            self._seconds.inc(float(seconds))
        if is_failure:
            self._failures.inc()

    def _set_open(self, n: int) -> None:
        self._set("open_candidates", float(n), "Candidates that wait for a result", "oracle")

    def _make(self, kind: Any, name: str, description: str, role: str, **options: Any) -> Any:
        metric = kind(f"al_loop_{name}", description, tag_keys=_TAGS, **options)
        return metric.set_default_tags(self._tags | {"role": role})

    def _gauge(self, name: str, description: str, more_tags: tuple[str, ...] = ()) -> Any:
        if name not in self._gauges:
            self._gauges[name] = Gauge(f"al_loop_{name}", description, tag_keys=(*_TAGS, *more_tags))
        return self._gauges[name]

    def _set(self, name: str, value: float, description: str, role: str) -> None:
        self._gauge(name, description).set(float(value), self._tags | {"role": role})
