"""A sink for the experiment tracker MLflow."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from al_loop.datafiles.nested import flatten
from al_loop.sinks.base import Sink, Status, import_library

_RUN_TAG = "al_loop.run"
_NOTE_TAG = "mlflow.note.content"  # MLflow shows it as the run's description
_STATUS: Mapping[Status, str] = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
_MAX_VALUE_LENGTH = 500  # characters that servers of all versions accept
_MAX_NOTES_LENGTH = 5000
_BATCH = 100  # parameters per request, MLflow's limit


class MLflow(Sink):
    """A run in MLflow: parameters from the config, metrics by round, notes as the run's description.

    All starts of one campaign form one run, identified by its tag ``al_loop.run``. A password or token comes from the
    environment (``MLFLOW_TRACKING_TOKEN``, or ``MLFLOW_TRACKING_USERNAME`` and ``MLFLOW_TRACKING_PASSWORD``).

    Args:
        tracking_uri: ``http://server:5000``, ``sqlite:///mlflow.db``, ...; if omitted, ``MLFLOW_TRACKING_URI``.
        experiment: the experiment's name; it is created if it does not exist.
    """

    kind = "mlflow"

    def __init__(self, tracking_uri: str | None = None, experiment: str = "al-loop") -> None:
        self.tracking_uri, self.experiment = tracking_uri, experiment
        self._client: Any = None
        self._run_id = ""
        self._notes: list[str] = []

    def check(self) -> None:
        import_library("mlflow", "mlflow")

    def begin(self, name: str, run: str, config: Mapping[str, Any]) -> None:
        self._client = import_library("mlflow.tracking", "mlflow").MlflowClient(self.tracking_uri)
        experiment = self._client.get_experiment_by_name(self.experiment)
        experiment_id = experiment.experiment_id if experiment else self._client.create_experiment(self.experiment)
        tag = run.replace("'", "-")  # the filter below cannot quote an apostrophe
        runs = self._client.search_runs([experiment_id], f"tags.`{_RUN_TAG}` = '{tag}'", max_results=1)
        if runs:
            self._run_id = runs[0].info.run_id
            self._client.update_run(self._run_id, status="RUNNING")
        else:
            run_entity = self._client.create_run(experiment_id, tags={_RUN_TAG: tag}, run_name=name)
            self._run_id = run_entity.info.run_id
        data = self._client.get_run(self._run_id).data
        self._notes = data.tags.get(_NOTE_TAG, "").splitlines()
        self._log_config(config, data.params)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        entities = import_library("mlflow.entities", "mlflow")
        now = int(time.time() * 1000)
        self._client.log_batch(
            self._run_id, metrics=[entities.Metric(name, value, now, step) for name, value in metrics.items()]
        )

    def note(self, message: str) -> None:
        self._notes.append(message)
        while len(self._notes) > 1 and sum(len(n) + 1 for n in self._notes) > _MAX_NOTES_LENGTH:
            del self._notes[0]
        self._client.set_tag(self._run_id, _NOTE_TAG, "\n".join(self._notes)[-_MAX_NOTES_LENGTH:])

    def end(self, status: Status) -> None:
        self._client.set_terminated(self._run_id, _STATUS[status])

    def _log_config(self, config: Mapping[str, Any], logged: Mapping[str, str]) -> None:
        """Log the config as parameters, which cannot change; values that a later start changed become tags.

        Args:
            config: the campaign's config.
            logged: the parameters that the run has already.
        """
        entities = import_library("mlflow.entities", "mlflow")
        parameters = _parameters(config)
        new = [entities.Param(key, value) for key, value in parameters.items() if key not in logged]
        for i in range(0, len(new), _BATCH):
            self._client.log_batch(self._run_id, params=new[i : i + _BATCH])
        for key, value in parameters.items():
            if logged.get(key, value) != value:
                self._client.set_tag(self._run_id, f"changed.{key}", value)


def _parameters(config: Mapping[str, Any]) -> dict[str, str]:
    """Return a config's values as text by ``section.key``; empty values are omitted."""
    texts = {
        key: value if isinstance(value, str) else json.dumps(value, default=str)
        for key, value in flatten(config).items()
        if value is not None and value not in ("", [], ())
    }
    return {key: text[:_MAX_VALUE_LENGTH] for key, text in texts.items()}
