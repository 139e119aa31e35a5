"""`al-loop resume` and `branch`, in this process."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from al_loop import open_run
from al_loop.cli.app import app
from al_loop.cli.run import run_dir_note
from tests.support.project import Project, enter_project

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return enter_project(tmp_path, monkeypatch)


def call(*arguments: object) -> str:
    """Run a command, and return what it printed."""
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def test_resume_goes_on_by_the_recorded_config_from_any_folder(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project.run("rounds.count=0", "rounds.batch_size=3", "selector=greedy")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    call("resume", project / "run", "rounds.count=1", "acquisition.kappa=0.5", "-q")
    with open_run(project / "run") as run:
        assert run.config["rounds"]["batch_size"] == 3
        assert (run.config["selector"]["kind"], run.config["acquisition"]["kappa"]) == ("greedy", 0.5)
        assert len(run.evaluations) == 6 + 3
        assert {*run.changes["key"]} == {"rounds.count", "acquisition.kappa"}
    assert "from round 1 on: " in call("status", project / "run")


def test_a_branch_repeats_its_parent_until_its_config_differs(project: Project) -> None:
    project.run("budget.calls=18")
    printed = call("branch", project / "run", project / "branch", "--from-round", 1)
    assert "takes over 1 round with 6 answers" in printed
    assert "do not count against its budget" in printed
    with open_run(project / "branch") as run:
        assert {*run.candidates["origin"]} == {"imported"}
        assert run.changes.iloc[0]["key"] == "parent"
        assert run.status().calls == 0
    call("resume", project / "branch", "budget.calls=12", "-q")
    assert project.objects("branch") == project.objects()
    with open_run(project / "branch") as run:
        assert (run.status().calls, run.status().state) == (12, "finished")


def test_a_branch_may_have_another_space_and_keeps_the_checkpoint_if_the_parent_has_it(project: Project) -> None:
    project.run()
    printed = call("branch", project / "run", project / "branch", "environment.length=7", "rounds.count=3")
    assert "takes over 3 rounds with 18 answers" in printed
    assert "starts anew" not in printed
    assert (project / "branch/checkpoints/round-00002.pt").is_file()
    call("resume", project / "branch", "-q")
    assert len(project.objects("branch")) == 24


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--from-round", "5"], "--from-round: 5 is not one of 1 to 1"),
        (["--from-round", "0"], "--from-round: 0 is not one of 1 to 1"),
        (["oracle={kind: human, objectives: [other]}"], "have no values of other"),
    ],
)
def test_what_cannot_be_branched_is_refused(project: Project, arguments: list[str], says: str) -> None:
    project.run("rounds.count=0")
    result = CliRunner().invoke(app, ["branch", str(project / "run"), str(project / "branch"), *arguments])
    assert result.exit_code == 2
    assert says in result.output
    assert not (project / "branch").exists()


def test_the_run_directory_is_said_if_it_is_another_one_than_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_dir_note(Path("tiny.yaml"), "tiny") == ""
    assert "runs/other, after the campaign's name" in run_dir_note(Path("tiny.yaml"), "other")
    (tmp_path / "runs/other").mkdir(parents=True)
    assert run_dir_note(Path("tiny.yaml"), "other") == "", "it was said at the first start"
    (tmp_path / "project/runs/tiny").mkdir(parents=True)
    assert "al-loop resume project/runs/tiny" in run_dir_note(Path("project/tiny.yaml"), "tiny")
