"""MLflow."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from al_loop.sinks.base import Sink, Status, library

_RUN_TAG = "al_loop.run"
_NOTE_TAG = "mlflow.note.content"  # what MLflow shows as the run's description
_STATUS: Mapping[Status, str] = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
_LONGEST_VALUE = 500  # characters; what servers of all ages take
_LONGEST_NOTES = 5000
_BATCH = 100  # parameters per request, MLflow's limit


class MLflow(Sink):
    """A run in MLflow: parameters from the config, metrics by round, notes as the run's description.

    All starts of one campaign are one run, found by its tag ``al_loop.run``. A password or token comes from the
    environment (``MLFLOW_TRACKING_TOKEN``, or ``MLFLOW_TRACKING_USERNAME`` and ``MLFLOW_TRACKING_PASSWORD``).

    Args:
        tracking_uri: ``http://server:5000``, ``sqlite:///mlflow.db``, ...; left out: ``MLFLOW_TRACKING_URI``.
        experiment: the experiment's name; it is made where there is none.
    """

    kind = "mlflow"

    def __init__(self, tracking_uri: str | None = None, experiment: str = "al-loop") -> None:
        self.tracking_uri, self.experiment = tracking_uri, experiment
        self._client: Any = None
        self._id = ""
        self._notes: list[str] = []

    def check(self) -> None:
        library("mlflow", "mlflow")

    def begin(self, name: str, run: str, config: Mapping[str, Any]) -> None:
        self._client = library("mlflow.tracking", "mlflow").MlflowClient(self.tracking_uri)
        experiment = self._client.get_experiment_by_name(self.experiment)
        experiment_id = experiment.experiment_id if experiment else self._client.create_experiment(self.experiment)
        tag = run.replace("'", "-")  # the filter below has no way to quote one
        found = self._client.search_runs([experiment_id], f"tags.`{_RUN_TAG}` = '{tag}'", max_results=1)
        if found:
            self._id = found[0].info.run_id
            self._client.update_run(self._id, status="RUNNING")
        else:
            made = self._client.create_run(experiment_id, tags={_RUN_TAG: tag}, run_name=name)
            self._id = made.info.run_id
        data = self._client.get_run(self._id).data
        self._notes = data.tags.get(_NOTE_TAG, "").splitlines()
        self._log_config(config, data.params)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        entities = library("mlflow.entities", "mlflow")
        now = int(time.time() * 1000)
        self._client.log_batch(
            self._id, metrics=[entities.Metric(name, value, now, step) for name, value in metrics.items()]
        )

    def note(self, message: str) -> None:
        self._notes.append(message)
        while len(self._notes) > 1 and sum(len(n) + 1 for n in self._notes) > _LONGEST_NOTES:
            del self._notes[0]
        self._client.set_tag(self._id, _NOTE_TAG, "\n".join(self._notes)[-_LONGEST_NOTES:])

    def end(self, status: Status) -> None:
        self._client.set_terminated(self._id, _STATUS[status])

    def _log_config(self, config: Mapping[str, Any], known: Mapping[str, str]) -> None:
        """Parameters of a run cannot change: what a later start changed is a tag beside them."""
        entities = library("mlflow.entities", "mlflow")
        wanted = dict(_flat(config))
        new = [entities.Param(key, value) for key, value in wanted.items() if key not in known]
        for i in range(0, len(new), _BATCH):
            self._client.log_batch(self._id, params=new[i : i + _BATCH])
        for key, value in wanted.items():
            if known.get(key, value) != value:
                self._client.set_tag(self._id, f"changed.{key}", value)


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested values as ``section.key`` and text; what is empty is left out."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None and value not in ("", [], ()):
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            yield f"{prefix}{key}", text[:_LONGEST_VALUE]
