from pathlib import Path

import numpy as np
import pytest

from al_loop import open_run
from tests.support.project import VALUES_CONFIG, VALUES_ORACLE, Project, enter_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An oracle of three values."""
    return enter_project(tmp_path, monkeypatch, VALUES_CONFIG, VALUES_ORACLE)


def test_predictions_are_kept_before_the_answers_and_scored_after_them(project: Project) -> None:
    notes = project.start()
    table = open_run(project / "run").evaluations
    later = table[table["round"] == 1]
    scores = project.reports()[1]["predictions"]["up"]
    z = ((later["up"] - later["predicted_mean"]) / later["predicted_std"]).to_numpy()
    assert scores["n"] == 8
    assert scores["rmse"] == pytest.approx(np.sqrt(((later["up"] - later["predicted_mean"]) ** 2).mean()))
    assert scores["coverage"]["80"] == pytest.approx((np.abs(z) <= 1.2815515655).mean())
    assert scores["coverage"]["80"] == notes.rounds[1].coverage
    assert scores["bias"] == pytest.approx(z.mean())
    assert sum(part["n"] for part in scores["by_distance"].values()) == 8
    assert project.reports()[0]["predictions"] == {}


@pytest.mark.slow
def test_without_progress_there_is_an_alarm_in_the_ledger_and_the_terminal(project: Project) -> None:
    notes = project.start("rounds.count=9", "sampler.steps=2")
    told = [report["alarms"].get("no_progress") for report in project.reports()]
    assert any(told)
    assert all(any(message in note for note in notes.notes) for message in told if message)


@pytest.mark.slow
def test_batches_of_two_are_enough_for_an_alarm_once_there_are_enough_of_them(project: Project) -> None:
    (project / "boastful.py").write_text(
        "from al_loop.surrogates.gp import ExactGP\n\n"
        "class Boastful(ExactGP):\n"
        "    def fit(self, X, Y, Yvar=None):\n"
        "        return super().fit(X, Y + 20 * Y.std(), Yvar)\n"
    )
    small = ("rounds.batch_size=2", "rounds.count=7", "sampler.steps=2", "recalibrate=false")
    project.start(*small, "surrogate={target: 'boastful:Boastful'}")
    told = ["exploitation" in report["alarms"] for report in project.reports()]
    assert told[5:] == [True] * len(told[5:])
    assert not any(told[:5])
