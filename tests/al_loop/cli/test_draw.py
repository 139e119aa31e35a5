"""``al-loop draw``: one command for every kind of model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from al_loop.cli import draw
from al_loop.errors import ConfigError
from al_loop.gflownet.saved_models import DrawableModel, write_model
from tests.support.command_line import call


class Letters(DrawableModel):
    def draw_table(self, n: int, *, seed: int, prompt: str | None = None) -> Mapping[str, Sequence[Any]]:
        if prompt is not None:
            raise ConfigError("--prompt: letters have none")
        return {"object": [chr(65 + (seed + i) % 3) for i in range(n)], "score": [0.5] * n}


def load(path: Path) -> Letters:
    return Letters()


@pytest.fixture
def letters(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(draw, "LOADERS", {"letters": f"{__name__}:load"})
    monkeypatch.setattr(draw, "import_module", lambda name: __import__("sys").modules[name])
    write_model(folder / "letters.pt", "letters", {"weights": torch.zeros(1)})
    return "letters.pt"


def test_objects_are_printed_or_written_with_all_columns(letters: str, folder: Path) -> None:
    assert call("draw", letters, "-n", "4", "--seed", "1") == (0, "B\nC\nA\nB\n", [])
    code, out, err = call("draw", letters, "-n", "4", "-o", "new.csv")
    assert (code, err) == (0, [])
    assert "4 objects, 3 of them distinct" in out
    assert (folder / "new.csv").read_text().splitlines()[:2] == ["object,score", "A,0.5"]
    code, _, err = call("draw", letters, "-o", "new.csv")
    assert code == 2
    assert "already exists" in err[0]
    assert call("draw", letters, "--prompt", "A")[0] == 2


def test_a_file_of_another_kind_is_refused(letters: str, folder: Path) -> None:
    write_model(folder / "leters.pt", "leters", {})
    torch.save({"weights": {}, "facts": {}}, folder / "prior.pt")
    (folder / "text.pt").write_text("text")
    for name, reason in (
        ("leters.pt", "did you mean 'letters'?"),
        ("prior.pt", "is a prior of `al-loop pretrain`"),
        ("text.pt", "not a model of al-loop, or is corrupt"),
        ("missing.pt", "No such file"),
    ):
        code, _, err = call("draw", name)
        assert (code, len(err)) == (2, 1)
        assert reason in err[0]
