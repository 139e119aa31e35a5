import pytest

from al_loop.analysis import open_run
from al_loop.analysis.facts import run_facts
from al_loop.report.page import report_page
from tests.support.command_line import call
from tests.support.molecule_run import HOSTILE, fill
from tests.support.plans import make_plan


@pytest.fixture
def folder(tmp_path):
    fill(tmp_path / "demo")
    make_plan("minimise", objective="energy", goal_text=f"energy at most -3 {HOSTILE}").save(tmp_path / "demo")
    return tmp_path / "demo"


def test_status_watch_and_python_say_where_a_run_stands_in_its_plan(folder):
    with open_run(folder) as run:
        now = run.standing()
    assert now is not None
    assert now.sentences[0].startswith(f"After {now.n_calls} calls the best is ")
    for command in (("status", str(folder)), ("watch", str(folder), "--once")):
        code, output, _ = call(*command)
        assert code == 0
        assert "of the plan's 40 simulations" in " ".join(output.split())


def test_the_report_has_the_bands_and_hostile_goals_are_inert(folder):
    with open_run(folder) as run:
        facts = run_facts(run, has_map=False)
    plan = facts["plan"]
    assert plan["calls"][-1] == 20
    assert len(plan["low"]) == len(plan["calls"])
    assert all(low >= high for low, high in zip(plan["low"], plan["high"], strict=True))  # lower is better
    page = report_page(facts)
    assert "Against the plan" in page
    assert HOSTILE not in page


@pytest.mark.parametrize("change", [{"objective": "other"}, {"direction": "maximise", "objective": "energy"}])
def test_a_plan_of_another_objective_is_ignored(tmp_path, change):
    fill(tmp_path / "demo")
    make_plan(**{"direction": "minimise", **change}).save(tmp_path / "demo")
    with open_run(tmp_path / "demo") as run:
        assert run.standing() is None
        assert run_facts(run, has_map=False)["plan"] is None
