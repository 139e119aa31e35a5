from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from al_loop.errors import ConfigError
from al_loop.sinks import Sinks
from al_loop.sinks.wandb import WeightsAndBiases
from tests.support.sinks import CONFIG, tell


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
    """Records the calls of a sink to a W&B run, by method."""

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
