from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from al_loop.sinks import Sinks
from al_loop.sinks.mlflow import MLflow
from tests.support.sinks import CONFIG


def mlflow_client(uri: str) -> Any:
    return pytest.importorskip("mlflow.tracking").MlflowClient(uri)


@pytest.fixture
def mlflow_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of files: it needs no more than mlflow-skinny, and no migrations of a database."""
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return f"file://{tmp_path / 'store'}"


def test_two_starts_are_one_run_of_mlflow(mlflow_store: str) -> None:
    for rounds in (2, 3):
        notes: list[str] = []
        sinks = Sinks([MLflow(mlflow_store, "screening")], notes.append, patience_s=60)
        sinks.begin("found", "uid1", {**CONFIG, "rounds": {"count": rounds}})
        sinks.log(rounds, {"best": rounds / 2, "train/loss": 0.25})
        sinks.note(f"{rounds} rounds")
        sinks.end("stopped" if rounds == 2 else "finished")
        assert notes == []
    client = mlflow_client(mlflow_store)
    experiment = client.get_experiment_by_name("screening")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "found"
    assert run.info.status == "FINISHED"
    assert run.data.params["seed"] == "5"
    assert run.data.params["rounds.count"] == "2"
    assert run.data.tags["changed.rounds.count"] == "3"
    assert run.data.params["constraints"] == '[{"kind": "qed"}]'
    assert run.data.tags["mlflow.note.content"] == "2 rounds\n3 rounds"
    assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "best")] == [(2, 1.0), (3, 1.5)]
    assert run.data.metrics["train/loss"] == 0.25


def test_two_campaigns_are_two_runs_of_mlflow(mlflow_store: str) -> None:
    for uid in ("uid1", "uid2"):
        sinks = Sinks([MLflow(mlflow_store)], patience_s=60)
        sinks.begin("found", uid, CONFIG)
        sinks.end("failed")
    client = mlflow_client(mlflow_store)
    runs = client.search_runs([client.get_experiment_by_name("al-loop").experiment_id])
    assert {(r.data.tags["al_loop.run"], r.info.status) for r in runs} == {("uid1", "FAILED"), ("uid2", "FAILED")}
