import pytest
from typer.testing import CliRunner

from al_loop.cli.app import app
from al_loop.cli.watch import sparkline
from tests.support.molecule_run import ATTACKS, fill


def test_watch_shows_rounds_the_best_and_what_comes_next(tmp_path):
    done = CliRunner().invoke(app, ["watch", str(fill(tmp_path / "demo"))])
    assert done.exit_code == 0, done.output
    assert "pending 12" in done.output
    assert "the open round is expected to bring" in done.output
    assert "best energy  " in done.output


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_watched_run_cannot_command_the_terminal(tmp_path, attack):
    objects = [f"{attack}[red]\x1b]0;x\x07{i}" for i in range(20)]
    folder = fill(tmp_path / "demo", objects=objects, n_rounds=2, name=attack, failure=attack, object_type="other")
    done = CliRunner().invoke(app, ["watch", str(folder), "--once"])
    assert done.exit_code == 0, done.output
    assert not {"\x1b", "\x07"} & set(done.output)
    assert "[red]" in done.output


@pytest.mark.parametrize(("values", "line"), [([0, 3, 7], "▁▄█"), ([2, 2], "▁▁"), ([-1.0, 7.0], "▁█")])
def test_a_sparkline_has_the_heights_of_the_values(values, line):
    assert sparkline(values) == line
