"""Sinks hear everything in order, and none of them can stop, slow or break a campaign."""

from __future__ import annotations

import json
import math
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from al_loop.campaign.reporter import RoundSummary
from al_loop.config import Part, build
from al_loop.config import plugins as parts
from al_loop.errors import ConfigError
from al_loop.sinks import Sink, Sinks, round_metrics
from al_loop.sinks.jsonl import JSONLines
from al_loop.sinks.mlflow import MLflow
from al_loop.sinks.wandb import WeightsAndBiases

ROOT = Path(__file__).parents[3]
CONFIG: dict[str, Any] = {"seed": 5, "rounds": {"count": 2, "review": False}, "constraints": [{"kind": "qed"}]}


class Recorder(Sink):
    """Keeps what it is told; what it does first on each call can be given."""

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


TOLD = [
    ("begin", "found", "uid1"),
    ("log", 0, {"best": 0.0}),
    ("log", 1, {"best": 0.5}),
    ("note", "the space counts as exhausted"),
    ("end", "finished"),
]


def test_every_sink_hears_everything_in_order() -> None:
    sinks = [Recorder(), Recorder()]
    tell(Sinks(sinks))
    assert [s.calls for s in sinks] == [TOLD, TOLD]


def test_without_sinks_nothing_runs() -> None:
    before = threading.active_count()
    sinks = Sinks([])
    sinks.begin("found", "uid1", CONFIG)
    assert threading.active_count() == before
    sinks.log(0, {"best": 1.0})
    sinks.end("finished")


def test_a_sink_that_raises_is_told_of_once_and_hinders_no_other() -> None:
    def refuse(method: str) -> None:
        if method in ("log", "note"):
            raise ValueError("no such metric\nand a page of details")

    notes: list[str] = []
    broken, well = Recorder(refuse), Recorder()
    tell(Sinks([broken, well], notes.append))
    assert notes == ["sink recorder fails (ValueError: no such metric); the campaign goes on without it"]
    assert well.calls == TOLD
    assert broken.calls == [TOLD[0], TOLD[-1]]


def test_a_sink_that_exits_ends_nobody() -> None:
    notes: list[str] = []
    tell(Sinks([Recorder(lambda method: sys.exit("bye"))], notes.append))
    assert len(notes) == 1
    assert "SystemExit: bye" in notes[0]


def test_a_server_that_comes_up_late_gets_everything() -> None:
    tries: list[str] = []

    def refuse_twice(method: str) -> None:
        tries.append(method)
        if tries.count("begin") < 3:
            raise ConnectionError("refused")

    notes: list[str] = []
    arrived = threading.Event()
    sink = Recorder(lambda method: (refuse_twice(method), arrived.set() if method == "note" else None)[0])
    sinks = Sinks([sink], notes.append, retry_s=0.01)
    sinks.begin("found", "uid1", CONFIG)
    sinks.log(0, {"best": 0.0})
    sinks.log(1, {"best": 0.5})
    sinks.note("the space counts as exhausted")
    assert arrived.wait(10)
    sinks.end("finished")
    assert sink.calls == TOLD
    assert len(notes) == 1


def test_a_sink_that_hangs_keeps_nobody_waiting_and_loses_the_oldest() -> None:
    hangs, go_on = threading.Event(), threading.Event()
    heard: queue.Queue[str] = queue.Queue()

    def hang(method: str) -> None:
        if method == "log" and not go_on.is_set():
            hangs.set()
            go_on.wait(30)

    notes: list[str] = []
    slow, well = Recorder(hang), Recorder(heard.put)
    sinks = Sinks([slow, well], notes.append, capacity=3, patience_s=10)
    sinks.begin("found", "uid1", CONFIG)
    assert heard.get(timeout=10) == "begin"
    for number in range(9):
        sinks.log(number, {"best": 0.0})
        assert heard.get(timeout=10) == "log"
        assert hangs.wait(10)
    assert len(notes) == 1
    assert "sink recorder is too slow" in notes[0]
    go_on.set()
    sinks.end("finished")
    assert [c[1] for c in slow.calls if c[0] == "log"] == [0, 6, 7, 8]
    assert slow.calls[-1] == ("end", "finished")


def test_the_end_waits_a_bounded_time_and_says_what_is_lost() -> None:
    go_on = threading.Event()
    notes: list[str] = []
    sink = Recorder(lambda method: None if method == "begin" else (go_on.wait(30), None)[1])
    sinks = Sinks([sink], notes.append, patience_s=0.2)
    sinks.begin("found", "uid1", CONFIG)
    sinks.log(0, {"best": 0.0})
    sinks.end("stopped")
    assert not go_on.is_set()
    assert len(notes) == 1
    assert "did not end in time" in notes[0]
    go_on.set()


def test_a_campaign_may_begin_again_after_its_end() -> None:
    sink = Recorder()
    sinks = Sinks([sink])
    tell(sinks)
    sinks.log(7, {"best": 1.0})
    tell(sinks)
    assert sink.calls == TOLD + TOLD


def test_what_is_no_sink_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"str is no al_loop\.sinks\.Sink"):
        Sinks(["mlflow"])  # type: ignore[list-item]


def test_a_rounds_numbers_leave_out_what_it_has_not() -> None:
    summary = RoundSummary(3, 40, 2, 9.5, math.nan, 0.7, None, math.nan, {"fit": 1.5, "first batch": 2.0})
    assert round_metrics(summary) == {
        "calls": 40,
        "failures": 2,
        "best": 9.5,
        "diversity": 0.7,
        "seconds_fit": 1.5,
        "seconds_first_batch": 2.0,
    }


@pytest.mark.parametrize("sink", [MLflow, WeightsAndBiases])
def test_a_missing_library_is_refused_with_what_to_install(sink: type[Sink], monkeypatch: pytest.MonkeyPatch) -> None:
    kind = sink.kind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, kind, None)
    with pytest.raises(ConfigError, match=re.escape(f"pip install 'al-loop[{kind}]'")):
        Sinks([sink()])


@pytest.mark.parametrize("kind", ["jsonl", "mlflow", "wandb"])
def test_sinks_are_parts_and_take_no_credentials(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROOMS", {**parts.ROOMS, "sink": "al_loop.sinks"})
    assert kind in {info.kind for info in parts.built_in("sink")}
    fields = set(parts.arguments_model(parts.find("sink", kind)).model_fields)
    assert fields
    assert not {f for f in fields if re.search("token|key|password|secret|user", f)}


def test_sinks_load_no_library_before_a_campaign_starts() -> None:
    code = (
        "import al_loop.sinks, al_loop.sinks.jsonl, al_loop.sinks.mlflow, al_loop.sinks.wandb, sys\n"
        "print({'torch', 'ray', 'mlflow', 'wandb', 'rdkit'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# ---- JSON lines ----------------------------------------------------------------------------------------------------


def test_two_starts_append_to_one_file_of_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "made" / "numbers.jsonl"
    for _ in range(2):
        tell(Sinks([JSONLines(str(path))]))
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [r["record"] for r in records] == ["begin", "metrics", "metrics", "note", "end"] * 2
    assert {r["run"] for r in records} == {"uid1"}
    assert records[0]["config"] == CONFIG
    assert (records[2]["step"], records[2]["metrics"]) == (1, {"best": 0.5})
    assert records[4]["status"] == "finished"


def test_a_file_that_cannot_be_written_is_refused_before_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="sink jsonl cannot write"):
        Sinks([JSONLines(str(tmp_path / "file" / "numbers.jsonl"))])


# ---- MLflow --------------------------------------------------------------------------------------------------------


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


# ---- Weights & Biases ----------------------------------------------------------------------------------------------


@pytest.fixture
def wandb_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("wandb")
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_MODE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    return tmp_path


def test_wandb_without_a_key_is_refused_before_the_start(wandb_folder: Path) -> None:
    with pytest.raises(ConfigError, match="set WANDB_API_KEY"):
        Sinks([WeightsAndBiases()])


def test_two_starts_are_one_run_of_wandb(wandb_folder: Path) -> None:
    notes: list[str] = []
    for number in range(2):
        sinks = Sinks([WeightsAndBiases("screening", mode="offline")], notes.append, patience_s=60)
        sinks.begin("found", "uid/1", CONFIG)
        sinks.log(number, {"best": number / 2, "train/loss": 0.25})
        sinks.note("the space counts as exhausted")
        sinks.end("finished")
    assert notes == []
    files = list((wandb_folder / "wandb").glob("offline-run-*/run-uid-1.wandb"))
    assert files
    kept = b"".join(file.read_bytes() for file in files)
    for text in (b"screening", b"found", b"best", b"train/loss", b"train/step", b"exhausted", b"finished"):
        assert text in kept


def test_wandb_can_be_disabled(wandb_folder: Path) -> None:
    notes: list[str] = []
    tell(Sinks([WeightsAndBiases(mode="disabled")], notes.append, patience_s=60))
    assert notes == []
    assert not list(wandb_folder.glob("wandb/*run-*"))


class FakeRun:
    """What a sink does to a run of W&B, by method."""

    notes = "an earlier start"

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.summary: dict[str, Any] = {}

    def define_metric(self, name: str, **options: Any) -> None:
        self.calls.append(("define", name, options.get("step_metric")))

    def log(self, values: dict[str, float]) -> None:
        self.calls.append(("log", values))

    def finish(self, exit_code: int) -> None:
        self.calls.append(("finish", exit_code))


def test_wandb_is_asked_to_continue_the_run_and_draws_over_the_right_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    run, asked = FakeRun(), {}
    fake = type(sys)("wandb")
    fake.Settings = lambda **settings: settings  # type: ignore[attr-defined]
    fake.setup = lambda settings: None  # type: ignore[attr-defined]
    fake.init = lambda **options: asked.update(options) or run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setenv("WANDB_API_KEY", "x")
    sinks = Sinks([WeightsAndBiases("screening")], patience_s=60)
    sinks.begin("found", "uid/1", CONFIG)
    sinks.log(4, {"best": 2.0})
    sinks.log(70, {"train/loss": 0.5, "train/entropy": 1.0})
    sinks.log(71, {"train/loss": 0.25})
    sinks.note("the space counts as exhausted")
    sinks.end("failed")
    assert (asked["id"], asked["resume"], asked["name"], asked["project"]) == ("uid-1", "allow", "found", "screening")
    assert run.calls == [
        ("define", "round", None),
        ("define", "*", "round"),
        ("log", {"round": 4, "best": 2.0}),
        ("define", "train/step", None),
        ("define", "train/*", "train/step"),
        ("log", {"train/step": 70, "train/loss": 0.5, "train/entropy": 1.0}),
        ("log", {"train/step": 71, "train/loss": 0.25}),
        ("finish", 1),
    ]
    assert run.notes == "an earlier start\nthe space counts as exhausted"
    assert run.summary == {"status": "failed"}


# ---- a sink of one's own -------------------------------------------------------------------------------------------


def test_the_sink_of_the_documentation_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        (ROOT / "docs" / "watching.md").read_text(encoding="utf-8").split("## A sink of your own")[1].split("\n## ")[0]
    )
    (snippet,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (config,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "my_sinks.py").write_text(snippet, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (part,) = [Part.model_validate(p) for p in yaml.safe_load(config)["sinks"]]
    notes: list[str] = []
    sinks = Sinks([build("sink", part)], notes.append, patience_s=60)
    sinks.begin("found", "uid1", CONFIG)
    for number, best in enumerate([1.0, 1.0, 2.5]):
        sinks.log(number, {"best": best})
    sinks.end("finished")
    assert notes == []
    assert (tmp_path / "improvements.txt").read_text() == "found, round 0: 1\nfound, round 2: 2.5\n"


def test_the_sinks_of_the_documentation_are_built_by_their_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROOMS", {**parts.ROOMS, "sink": "al_loop.sinks"})
    text = (ROOT / "docs" / "watching.md").read_text(encoding="utf-8")
    config = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[0])
    made = [build("sink", Part.model_validate(p)) for p in config["sinks"]]
    assert [type(sink) for sink in made] == [MLflow, WeightsAndBiases, JSONLines]
