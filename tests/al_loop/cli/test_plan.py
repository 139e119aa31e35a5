import json

import pytest

from tests.support.command_line import CONFIG, call
from tests.support.molecule_run import ATTACKS
from tests.support.plans import make_plan


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(CONFIG.replace("cli_oracle:cli_score", "plan_oracle:never"))
    (tmp_path / "plan_oracle.py").write_text("def never(word):\n    raise AssertionError('called')\n")
    return tmp_path / "tiny.yaml"


def test_plan_prints_the_chance_and_writes_it_beside_the_run(config, tmp_path):
    options = ("--simulations", "3", "--calls", "8,16", "--pool", "60", "--only-config")
    code, output, errors = call("plan", str(config), "--goal", "5%", *options, "--hours-per-call", "2")
    assert code == 0, errors
    assert "After 8 calls (2 rounds, cost 8, 16 h): chance" in output
    assert "This is an assumption" in output
    assert json.loads((tmp_path / "runs/tiny/plan.json").read_text())["calls"] == [8, 16]
    assert call("plan", str(config), "--goal", "5%", *options, "--hours-per-call", "2")[1] == output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--goal: missing"),
        (("--goal", "high"), "expected a number, or a share such as 1%"),
        (("--goal", "1", "--calls", "ten"), "--calls: expected whole numbers"),
        (("--goal", "1", "--data", "nowhere.csv"), "nowhere.csv"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_the_remedy(config, options, message):
    code, _, errors = call("plan", str(config), *options, "--no-save")
    assert code == 2
    assert message in " ".join(errors)


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_a_plan_says_is_text(config, tmp_path, monkeypatch, attack):
    bad = f"{attack}\x1b[2J"
    plan = make_plan(objective=bad, goal_text=bad, others=[(bad, "batch", 10, 0.5)], assumptions=(bad,))
    monkeypatch.setattr("al_loop.planning.plan", lambda *_, **__: plan)
    code, output, errors = call("plan", str(config), "--goal", "5%", "--run-dir", str(tmp_path / "\x1b[31m"))
    assert (code, errors) == (0, [])
    assert not {"\x1b", "\x07", "\r"} & set(output)
