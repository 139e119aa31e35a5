"""A campaign's numbers as Ray's metrics: in its dashboard, and wherever Prometheus reads the cluster's."""

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

    A sink of whole rounds, and methods for what happens within a round. It takes microseconds and no network: Ray sends
    metrics on by itself, every few seconds. Without ``ray.init`` nothing is sent, and nothing fails. Metrics belong to
    the process, so counters start at zero in each start of a campaign; totals by the ledger are gauges.

    Args:
        campaign: its name, the tag of all metrics.
        call_seconds: upper bounds of the buckets of oracle calls, in seconds, ascending.
    """

    def __init__(self, campaign: str, call_seconds: Sequence[float] = CALL_SECONDS) -> None:
        self._tags = {"campaign": campaign}
        self._gauges: dict[str, Any] = {}
        self._call_seconds = self._made(
            Histogram, "oracle_call_seconds", "Seconds of an oracle call", "oracle", boundaries=list(call_seconds)
        )
        # the sum of Ray's histogram is one of bucket midpoints: a mean duration needs this
        self._seconds = self._made(Counter, "oracle_seconds", "Seconds of all oracle calls of this start", "oracle")
        self._calls = self._made(Counter, "oracle_calls", "Oracle calls of this start", "oracle")
        self._failures = self._made(Counter, "oracle_failures", "Oracle calls of this start that failed", "oracle")
        self._trajectories = self._made(Counter, "trajectories", "Trajectories drawn in this start", "sampler")
        self._steps = self._made(Counter, "learner_steps", "Gradient steps of this start", "learner")

    def begin(self, name: str, run: str, config: Mapping[str, Any]) -> None:
        self._set("rounds_planned", float(config.get("rounds", {}).get("count", 0)), "Rounds of the config", "campaign")

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """A round's numbers as gauges: ``al_loop_best``, ``al_loop_calls``, ``al_loop_phase_seconds{phase}``, ..."""
        if "oracle/seconds" in metrics:
            self.call(metrics["oracle/seconds"], is_failure=bool(metrics.get("oracle/failed")))
            self.open_candidates(int(metrics.get("oracle/open", 0)))
            return
        if "train/loss" in metrics:
            self.trained(steps=1, loss=metrics["train/loss"])
            return
        if "training/trajectories" in metrics:
            self.trained(
                trajectories=int(metrics["training/trajectories"]), staleness=metrics.get("training/staleness_mean")
            )
        if any("/" not in name for name in metrics):
            self._set("round", float(step), "Number of the round that was reported last", "campaign")
        for name, value in metrics.items():
            if name.startswith(_PHASE):
                self.phase(name.removeprefix(_PHASE), value)
            else:
                self._set(
                    re.sub(r"\W", "_", name, flags=re.ASCII),
                    value,
                    f"{name}, as the last round reported it",
                    "campaign",
                )

    def end(self, status: Status) -> None:
        self.open_candidates(0)

    def call(self, seconds: float, *, is_failure: bool = False) -> None:
        """An oracle call is over."""
        self._calls.inc()
        self._call_seconds.observe(float(seconds))
        if seconds > 0:
            self._seconds.inc(float(seconds))
        if is_failure:
            self._failures.inc()

    def open_candidates(self, n: int) -> None:
        """Candidates that wait for an answer."""
        self._set("open_candidates", float(n), "Candidates that wait for an answer", "oracle")

    def phase(self, name: str, seconds: float) -> None:
        """A phase of the round is over."""
        gauge = self._gauge("phase_seconds", "Seconds of a phase in the last round", ("phase",))
        gauge.set(float(seconds), self._tags | {"role": "campaign", "phase": name})

    def trained(
        self, *, trajectories: int = 0, steps: int = 0, loss: float | None = None, staleness: float | None = None
    ) -> None:
        """What was trained since the last time.

        trajectories: drawn.
        steps: gradient steps made.
        loss: of the last step.
        staleness: how many steps behind the learner's weights the trajectories were drawn, on average.
        """
        if trajectories:
            self._trajectories.inc(trajectories)
        if steps:
            self._steps.inc(steps)
        if loss is not None:
            self._set("loss", loss, "Loss of the last gradient step", "learner")
        if staleness is not None:
            self._set("staleness", staleness, "Steps between the weights that drew and those that learn", "learner")

    def _made(self, kind: Any, name: str, description: str, role: str, **options: Any) -> Any:
        metric = kind(f"al_loop_{name}", description, tag_keys=_TAGS, **options)
        return metric.set_default_tags(self._tags | {"role": role})

    def _gauge(self, name: str, description: str, more_tags: tuple[str, ...] = ()) -> Any:
        if name not in self._gauges:
            self._gauges[name] = Gauge(f"al_loop_{name}", description, tag_keys=(*_TAGS, *more_tags))
        return self._gauges[name]

    def _set(self, name: str, value: float, description: str, role: str) -> None:
        self._gauge(name, description).set(float(value), self._tags | {"role": role})
