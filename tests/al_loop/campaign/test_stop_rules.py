from pathlib import Path

import pytest

from al_loop import open_run
from tests.support.project import VALUES_CONFIG, VALUES_ORACLE, Project, enter_project

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An oracle of three values."""
    return enter_project(tmp_path, monkeypatch, VALUES_CONFIG, VALUES_ORACLE)


@pytest.mark.parametrize(
    ("rule", "n_rounds", "reason"),
    [
        ("stop.reached=0", 1, "stop.reached: the best value"),
        ("stop.no_progress=1", None, "stop.no_progress: no better value for 1 round"),
        ("stop.expected_improvement=100", 1, "expected to improve on the best value by"),
        ("stop.probability=0.999999", None, "stop.probability"),
    ],
)
def test_a_stop_rule_ends_a_campaign_before_it_pays_for_another_batch(
    project: Project, rule: str, n_rounds: int | None, reason: str
) -> None:
    notes = project.start("rounds.count=12", rule)
    assert len(notes.rounds) < 13
    if n_rounds is not None:
        assert len(notes.rounds) == n_rounds
    (stopped,) = [note for note in notes.notes if note.startswith("stopped before round")]
    assert reason in stopped
    again = project.start("rounds.count=12", rule)
    assert again.rounds == []
    assert any(reason in note for note in again.notes)
    now = open_run(project / "run").status()
    assert now.state == "stopped"
    assert stopped.startswith(now.reason)
    if n_rounds == 1:  # the rule is no part of what the campaign is
        assert len(project.start("rounds.count=2").rounds) == 2
        now = open_run(project / "run").status()
        assert (now.state, now.reason) == ("finished", "")
