"""``al-loop fit-latent``: fit, draw, resume, and clear words about bad input."""

import json
from pathlib import Path

import pytest

from al_loop.latent import EM, Alternation, Mixture, fit
from al_loop.latent.files import load, save
from tests.support.command_line import call

CONFIG = """
seed: 3
latent: {kind: mixture, groups: 2, petals: 2}
em: {rounds: 2, e_steps: 3, batch_size: 8, hidden: 4, layers: 1}
"""
POINTS = "x,y\n0.5,1\n-1,0.25\n2,2\n"


@pytest.fixture
def task(folder: Path) -> Path:
    (folder / "latent.yaml").write_text(CONFIG)
    (folder / "points.csv").write_text(POINTS)
    return folder


def test_a_model_is_fitted_written_and_drawn_from(task: Path) -> None:
    (task / "with_sink.yaml").write_text(CONFIG + "sinks: [{kind: jsonl, path: metrics.jsonl}]\n")
    code, out, err = call("fit-latent", "with_sink.yaml", "points.csv", "-o", "m.pt")
    assert (code, err) == (0, [])
    assert "3 observations" in out
    assert "round 2 of 2: 3 E-steps" in out
    assert not (task / "m.pt.checkpoint").exists()
    metrics = [json.loads(line) for line in (task / "metrics.jsonl").read_text().splitlines()]
    assert sum("kl" in line.get("metrics", line) for line in metrics) == 2
    assert load("m.pt").model.arguments["groups"] == 2
    code, out, _ = call("draw", "m.pt", "-n", "3")
    assert code == 0
    assert all(len(line.split(",")) == 2 for line in out.splitlines())
    code, out, _ = call("draw", "m.pt", "-n", "2", "--prompt", "0.5,1")
    assert code == 0
    assert all(set(line) <= set("01-") for line in out.splitlines())
    code, _, err = call("draw", "m.pt", "--prompt", "0.5,one")
    assert code == 2
    assert "numbers separated by commas" in err[0]


def test_an_interrupted_fit_resumes_bit_for_bit(task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from al_loop.latent.em import Alternation

    assert call("fit-latent", "latent.yaml", "points.csv", "-o", "whole.pt", "em.rounds=3")[0] == 0
    whole = Alternation.round

    def interrupted(self: Alternation) -> object:
        if self.n_rounds == 2:
            raise KeyboardInterrupt
        return whole(self)

    monkeypatch.setattr(Alternation, "round", interrupted)
    code, _, err = call("fit-latent", "latent.yaml", "points.csv", "-o", "part.pt", "em.rounds=3")
    assert code == 130
    assert "run the same command again" in err[0]
    monkeypatch.setattr(Alternation, "round", whole)
    code, out, _ = call("fit-latent", "latent.yaml", "points.csv", "-o", "part.pt", "em.rounds=3")
    assert code == 0
    assert "resuming after round 2 of 3" in out
    one, other = load("whole.pt"), load("part.pt")
    assert one.model.centre.equal(other.model.centre)
    assert all(one.weights[name].equal(other.weights[name]) for name in one.weights)


def test_a_checkpoint_of_another_fit_or_a_corrupt_one_is_refused(task: Path) -> None:
    (task / "other.pt.checkpoint").write_bytes(b"nonsense")
    code, _, err = call("fit-latent", "latent.yaml", "points.csv", "-o", "other.pt")
    assert code == 2
    assert "is not a checkpoint" in err[0]
    from al_loop.latent.checkpoint import Checkpoint
    from al_loop.latent.config import load_latent_config
    from al_loop.latent.em import Alternation
    from al_loop.latent.files import build_model, read_data

    config = load_latent_config("latent.yaml", ["seed=4"])
    model = build_model(config.latent)
    x = read_data("points.csv", model)
    Checkpoint(task / "other.pt.checkpoint", config.fingerprint, x).save(Alternation(model, x, config.em))
    code, _, err = call("fit-latent", "latent.yaml", "points.csv", "-o", "other.pt")
    assert code == 2
    assert "another config or other data" in err[0]


def test_a_checkpoint_of_a_later_round_is_refused(task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from al_loop.latent.checkpoint import Checkpoint

    save = Checkpoint.save

    def interrupted(self: Checkpoint, alternation: Alternation) -> None:
        save(self, alternation)
        if alternation.n_rounds == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", interrupted)
    code, _, err = call("fit-latent", "latent.yaml", "points.csv", "-o", "later.pt", "em.rounds=3")
    assert code == 130, err
    code, _, err = call("fit-latent", "latent.yaml", "points.csv", "-o", "later.pt", "em.rounds=1")
    assert (code, len(err)) == (2, 1)
    assert "em.rounds: later.pt.checkpoint is of round 2, and the fit now has 1; set it to at least 2" in err[0]


@pytest.mark.parametrize("name", ["points.csv", "latent.yaml", "./points.csv"])
def test_no_input_is_replaced(task: Path, name: str) -> None:
    before = (task / name).read_text()
    code, _, err = call("fit-latent", "latent.yaml", "points.csv", "-o", name, "--force")
    assert (code, (task / name).read_text()) == (2, before)
    assert "the command reads this file" in err[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("latent.kind=mixtur",), "did you mean 'mixture'"),
        (("latent.groups=0",), "latent.groups"),
        (
            ("em.e_steps=0",),
            "em.e_steps: must be a whole number of at least 1, got 0 (from 'em.e_steps=0' on the command line)",
        ),
        (("em.estep=3",), "did you mean 'e_steps'"),
        (("em.forward_looking=true", "em.objective=sub_trajectory_balance"), "forward_looking"),
        (("em.forward_looking=true",), "forward_looking"),
        (("em.objective=trajectory",), "em.objective: 'trajectory' is not one of"),
        (("em.objective=relative_trajectory_balance",), "em.objective: relative_trajectory_balance requires a prior"),
        (("em.objective=modified_sub_trajectory_balance",), "requires objects that may end at each step"),
        (("em.objective=entropic_ppo",), "set backward: uniform"),
        (("em.objective=entropic_ppo", "em.backward=uniform", "em.staleness=1"), "set staleness: 0"),
        (("em.device=gpu",), "device"),
        (("em.lr=1e9",), "em.lr: the training runs away in round"),
        (("em.lr=1e9",), "or rescale the data, of up to 2"),
        (("latent.sigma=.inf",), "latent.sigma: "),
        (("latent.sigma=1e-200",), "latent.sigma: "),
        (("latent.radius=1e300",), "latent.radius: "),
        (("latent.groups=101", "em.rounds=-1"), "em.rounds: must be"),
        (("latnt.groups=3",), "latnt"),
    ],
)
def test_bad_configs_are_refused_in_one_line(task: Path, change: tuple[str, ...], message: str) -> None:
    code, _, err = call("fit-latent", "latent.yaml", "points.csv", *change)
    assert code == 2
    assert message in "\n".join(err)
    assert "Traceback" not in "\n".join(err)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x,y\n1,2\n3,four\n", "line 3"),
        ("1,2,3\n", "n x 2 numbers"),
        ("1,2\n3\n", "line 2: 1 cell, but line 1 has 2"),
        ("1,nan\n", "is no value"),
        ("1,2\n3,1e200\n", "row 2: 1e+200 is larger than 1e+09; rescale the data"),
        ("", "no row of numbers"),
    ],
)
def test_bad_data_are_refused(task: Path, content: str, message: str) -> None:
    (task / "bad.csv").write_text(content)
    code, _, err = call("fit-latent", "latent.yaml", "bad.csv")
    assert code == 2
    assert "bad.csv" in err[0]
    assert message in err[0]
    assert call("fit-latent", "latent.yaml", "missing.csv")[0] == 2


def test_a_model_from_python_is_saved_and_loaded(folder: Path) -> None:
    result = fit(Mixture(2, 3), [[0.0, 1.0]] * 3, EM(rounds=1, e_steps=1, hidden=4, layers=1))
    save("m.pt", result.posterior)
    again = load("m.pt")
    assert again.draw([[0.0, 1.0]], 5, seed=2).equal(result.posterior.draw([[0.0, 1.0]], 5, seed=2))
