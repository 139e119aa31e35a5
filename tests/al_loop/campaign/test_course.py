import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from al_loop import open_run
from al_loop.campaign.course import KeyChange, changes_of_course, differences
from al_loop.config import CampaignConfig, parse_config
from al_loop.errors import ConfigError
from al_loop.ledger import CampaignRow, Change, Ledger
from al_loop.ledger.records import SessionRow
from al_loop.oracles.base import Objective
from tests.support.project import Project, enter_project

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return enter_project(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, [("a.b", 1, 2)]),
        ({"a": {"kind": "x", "k": 1}}, {"a": {"kind": "y"}}, [("a", {"kind": "x", "k": 1}, {"kind": "y"})]),
        ({"c": [{"min": 1}]}, {"c": [{"min": 2}]}, [("c.0.min", 1, 2)]),
        ({"c": []}, {"c": [{"min": 2}]}, [("c", [], [{"min": 2}])]),
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"kind": "x", "k": 1}}, {"a": {"kind": "x"}}, [("a.k", 1, None)]),
    ],
)
def test_configs_differ_by_dotted_keys(old, new, changes) -> None:
    assert differences(old, new) == [KeyChange(*change) for change in changes]


def test_a_changed_course_is_recorded_from_the_next_round_on_and_replays(project: Project) -> None:
    change = [
        "acquisition={kind: ucb, kappa: 3}",
        "rounds.batch_size=4",
        "constraints=[{kind: gc_content, min: 0.3}]",
        "selector=greedy",
        "reward.beta=2",
        "sampler.steps=6",
        "sampler.lr=0.01",
        "rounds.count=3",
    ]
    project.run("rounds.count=1")
    notes = project.run(*change)
    said = [note for note in notes.notes if note.startswith("changed from round 2 on: ")]
    assert "rounds.batch_size: 6 -> 4" in said[0]
    with open_run(project / "run") as run:
        changes = run.changes
        assert (changes["round"] == 2).all()
        assert {"acquisition.kappa", "selector", "constraints", "sampler.steps"} <= {*changes["key"]}
        assert run.status().changes[0].startswith("from round 2 on: ")
    project.run(*change)  # nothing new to record
    with open_run(project / "run") as run:
        assert len(run.changes) == len(changes)

    project.run("rounds.count=1", run_dir="replayed")
    project.run(*change, "rounds.count=2", run_dir="replayed")
    project.run(*change, run_dir="replayed")
    assert project.objects("replayed") == project.objects()
    assert len(project.objects()) == 6 + 6 + 4 + 4


def test_a_checkpoint_that_does_not_fit_the_new_sampler_is_set_aside_in_one_line(project: Project) -> None:
    project.run("rounds.count=1")
    notes = project.run("rounds.count=2", "sampler.hidden=8")
    lines = [note for note in notes.notes if "starts from fresh weights" in note]
    assert len(lines) == 1
    assert "\n" not in lines[0]
    assert len(project.objects()) == 18


def test_a_fixed_key_is_refused_with_both_values_and_the_way_out(project: Project) -> None:
    project.run("rounds.count=0")
    with pytest.raises(ConfigError) as caught:
        project.run("environment.length=7", "seed=5")
    message = str(caught.value)
    assert "environment.length (6 there, 7 here)" in message
    assert "seed (1 there, 5 here)" in message
    assert "al-loop branch" in message
    assert "--from-round 1 NEW_DIR" in message
    project.run("rounds.count=1")  # its own config still goes on


def test_a_file_in_another_folder_is_no_change_of_course(tmp_path: Path) -> None:
    def config(prior: str, steps: int = 8) -> CampaignConfig:
        space = {"kind": "sequence", "alphabet": "ACGU", "length": 4}
        sampler = {"prior": prior, "steps": steps}
        return parse_config({"name": "x", "environment": space, "oracle": "human", "sampler": sampler})

    first = config("prior.pt")
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        ledger.begin_campaign(
            name="x",
            config=first.model_dump(mode="json"),
            fingerprint="f",
            seed=0,
            objectives=[Objective("value")],
            versions={},
        )
        assert changes_of_course(ledger, config("/elsewhere/prior.pt"), "run") == []
        found = changes_of_course(ledger, config("/elsewhere/other.pt", steps=9), "run")
        assert [(c.round, c.key) for c in found] == [(0, "sampler.steps"), (0, "sampler.prior")]


# -- configs of earlier versions


def _settings(content: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the keys of a config, sections before what is in them."""
    for name, value in content.items():
        yield (*path, name)
        if isinstance(value, dict):
            yield from _settings(value, (*path, name))


def test_a_setting_that_an_earlier_version_did_not_have_makes_no_other_campaign(tmp_path: Path) -> None:
    space = {"kind": "sequence", "alphabet": "ACGU", "length": 4}
    config = parse_config({"name": "x", "environment": space, "oracle": "human"})
    whole = config.model_dump(mode="json", exclude={"ledger"})
    given = {("name",), ("environment",), ("oracle",), *((section, "kind") for section in ("environment", "oracle"))}
    given |= {("environment", name) for name in space}
    missing = [path for path in _settings(whole) if path not in given and path[-1] not in ("kind", "target")]
    assert len(missing) > 80
    for path in missing:
        content = copy.deepcopy(whole)
        inner = content
        for name in path[:-1]:
            inner = inner[name]
        del inner[path[-1]]
        assert changes_of_course(Recorded(content), config, "run") == [], path


class Recorded(Ledger):
    """A ledger with the config of one start, and nothing else."""

    def __init__(self, config: dict[str, Any]) -> None:
        now = datetime.now(UTC)
        self._session = SessionRow(1, now, "host", 1, {}, "", config)
        self._campaign = CampaignRow("x", config, "f", 0, (), now, "uid")

    def campaign(self) -> CampaignRow:
        return self._campaign

    def sessions(self) -> list[SessionRow]:
        return [self._session]

    def last_round(self) -> int:
        return 0

    def changes(self) -> list[Change]:
        return []
