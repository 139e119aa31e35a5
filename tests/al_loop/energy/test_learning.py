"""Learning of an energy and its sampler: exact results on small spaces, early stop, checkpoints, bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from al_loop import energy
from al_loop.energy.trainer import EnergyTrainer
from al_loop.environments.assignment import Assignments
from al_loop.environments.pool import Pool
from al_loop.errors import ConfigError
from al_loop.gflownet.exact_distribution import terminal_distribution
from al_loop.system.stopping import Stopped

SPACE = {"kind": "assignment", "alphabet": "01", "length": 6}
SETTINGS: dict[str, Any] = {
    "steps": 240,
    "lr": 5e-3,
    "batch_size": 64,
    "data_batch": 64,
    "energy": {"kind": "mlp", "hidden": 32, "layers": 2},
    "sampler": {"hidden": 32, "lr": 5e-3},
    "settle": 0.3,
    "validations": 4,
}


def words(n: int, seed: int = 0) -> np.ndarray:
    """Return words of six bits, of which the second half tends to repeat the first."""
    rng = np.random.default_rng(seed)
    first = rng.integers(2, size=(n, 3))
    return np.concatenate([first, np.where(rng.random((n, 3)) < 0.85, first, 1 - first)], 1)


def log_p(states: torch.Tensor) -> torch.Tensor:
    """Return the log-probabilities of words."""
    n_equal = (states[:, :3] == states[:, 3:]).sum(1).double()
    return n_equal * np.log(0.85) + (3 - n_equal) * np.log(0.15) - 3 * np.log(2)


@pytest.mark.parametrize("negatives", ["fresh", "back_and_forth"])
def test_energy_and_sampler_agree_with_the_data(negatives: str) -> None:
    model = energy.learn(SPACE, words(4000), negatives=negatives, **SETTINGS)
    report = model.report
    assert report.is_exact
    assert report.log_z_error == 0
    states, q = terminal_distribution(model.environment, model.policy)
    truth = log_p(states)
    scores = model.score(model.environment.decode(states)) - model.log_z
    assert float((truth.exp() * (truth - scores)).sum()) < 0.03
    assert float((truth.exp() * (truth - q.log())).sum()) < 0.04
    assert float((scores.exp() - q).abs().sum()) == pytest.approx(report.l1)
    assert report.l1 < 0.15
    assert abs(report.learned_log_z - report.log_z) < 0.1
    assert [entry.step for entry in model.history] == [60, 120, 168, 180, 240]


def test_an_interrupted_training_resumes_to_the_same_weights(tmp_path: Path) -> None:
    settings = {**SETTINGS, "steps": 40, "batch_size": 16, "data_batch": 16}
    whole = energy.learn(SPACE, words(200), **settings)
    file = tmp_path / "training.pt"

    def interrupt(step: int, metrics: Any) -> None:
        if step == 20:
            raise Stopped

    with pytest.raises(Stopped):  # after step 10 was saved
        energy.learn(SPACE, words(200), monitor=energy.Monitor(log=interrupt, checkpoint=file), **settings)
    lines: list[str] = []
    monitor = energy.Monitor(report=lines.append, checkpoint=file)
    resumed = energy.learn(SPACE, words(200), monitor=monitor, **settings)
    assert any("resuming after step 10" in line for line in lines)
    for a, b in ((whole.energy, resumed.energy), (whole.policy, resumed.policy)):
        for name, weight in a.state_dict().items():
            assert weight.equal(b.state_dict()[name]), name
    assert whole.history == resumed.history
    kept = file.read_bytes()
    with pytest.raises(ConfigError, match=r"checkpoint of another training.*remove it to start anew"):
        energy.learn(SPACE, words(201), monitor=monitor, **settings)  # other data
    assert file.read_bytes() == kept
    file.write_bytes(kept[:100])
    with pytest.raises(ConfigError, match="corrupt; remove it to start anew"):
        energy.learn(SPACE, words(200), monitor=monitor, **settings)


def test_with_a_base_energy_and_sampler_agree_from_the_start(tmp_path: Path) -> None:
    space = {**SPACE, "order": "left_to_right"}
    settings = {**SETTINGS, "steps": 8, "base_steps": 150, "lr": 1e-4}
    lines: list[str] = []
    file = tmp_path / "training.pt"

    def interrupt(step: int, metrics: Any) -> None:
        if step == 6:
            raise Stopped

    interrupted = energy.Monitor(report=lines.append, log=interrupt, checkpoint=file)
    with pytest.raises(Stopped):
        energy.learn(space, words(2000), monitor=interrupted, **settings)
    assert sum(line.startswith("base after step") for line in lines) == 1
    lines.clear()
    monitor = energy.Monitor(report=lines.append, checkpoint=file)
    model = energy.learn(space, words(2000), monitor=monitor, **settings)
    assert not any(line.startswith("base after step") for line in lines)  # it is in the checkpoint
    states, _ = terminal_distribution(model.environment, model.policy)
    truth = log_p(states)
    scores = model.score(model.environment.decode(states)) - model.log_z
    assert float((truth.exp() * (truth - scores)).sum()) < 0.05
    assert model.report.l1 < 0.1
    assert abs(model.log_z) < 0.05  # the base is a distribution
    model.save(tmp_path / "energy.pt")
    assert energy.load(tmp_path / "energy.pt").score(["010101"]).equal(model.score(["010101"]))


def test_a_base_follows_the_weights_of_the_data() -> None:
    space = {**SPACE, "order": "left_to_right"}
    settings = {**SETTINGS, "validation": 0, "steps": 2, "base_steps": 60}
    model = energy.learn(space, ["000000", "111111"], weights=[1, 9], **settings)
    rare, common = model.score(["000000", "111111"])
    assert float(common - rare) == pytest.approx(np.log(9), abs=0.7)


@pytest.mark.parametrize(("patience", "settle"), [(2, 0.3), (0, 0.3), (2, 0), (0, 0)])
def test_an_energy_that_overfits_goes_back_and_the_sampler_catches_up(patience: int, settle: float) -> None:
    lines: list[str] = []
    model = energy.learn(
        SPACE,
        words(24),
        monitor=energy.Monitor(report=lines.append),
        **{**SETTINGS, "lr": 3e-2, "validations": 20, "patience": patience, "validation": 0.4, "settle": settle},
    )
    assert any("the energy goes back there" in line for line in lines)
    of_best = min(model.history, key=lambda entry: entry.worse_nll)
    assert model.report.energy_nll == pytest.approx(of_best.energy_nll, abs=1e-6)
    states, _ = terminal_distribution(model.environment, None)
    scores = model.score(model.environment.decode(states))
    assert float(scores.logsumexp(0)) == pytest.approx(model.report.log_z, abs=1e-4)
    if settle:
        assert model.report.l1 <= of_best.l1 + 0.02
    else:
        assert model.report.worse_nll <= of_best.worse_nll + 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_what_settled_is_kept_unless_an_earlier_energy_was_clearly_better(seed: int) -> None:
    settings = {**SETTINGS, "base_steps": 150, "steps": 80, "validations": 8, "validation": 0.02, "lr": 3e-2}
    model = energy.learn({**SPACE, "order": "left_to_right"}, words(4000), seed=seed, **settings)
    assert model.report.step == 80
    assert model.report.learned_log_z == pytest.approx(model.report.log_z, abs=0.03)
    assert model.report.l1 < 0.1


def test_one_object_and_no_validation_are_enough() -> None:
    model = energy.learn(Assignments("01", 3), ["010"], steps=10, validations=1, sampler={"hidden": 8})
    assert np.isnan(model.report.energy_nll)
    assert str(model.report).startswith("no held-out object, log Z")
    assert model.draw(3, seed=0) == model.draw(3, seed=0)


def test_weights_say_how_often_an_object_counts() -> None:
    settings = {**SETTINGS, "validation": 0, "steps": 40, "batch_size": 16, "data_batch": 16}
    for weights in ((1, 9), (9, 1)):
        rare, common = energy.learn(SPACE, ["000000", "111111"], weights=weights, **settings).score(
            ["000000", "111111"] if weights[0] == 1 else ["111111", "000000"]
        )
        assert float(common - rare) > 0.5


def test_weights_belong_to_the_objects_of_the_data_also_if_some_are_refused() -> None:
    settings = {**SETTINGS, "validation": 0, "steps": 8, "validations": 1, "batch_size": 16, "data_batch": 16}
    settings["sampler"] = {"hidden": 8}
    states = []
    for data, weights in ((["000000", "111111"], [1, 9]), (["000000", "no", "111111"], [1, 5, 9])):
        states.append(energy.learn(SPACE, data, weights=weights, **settings).energy.state_dict())
    assert all(states[0][name].equal(states[1][name]) for name in states[0])


@pytest.mark.parametrize(("name", "value"), [("lr", 1e30), ("sampler", {"lr": 1e30})])
def test_any_training_that_runs_away_is_one_clear_error(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=r"lr: the .* run.? away .* use"):
        energy.learn(SPACE, words(50), **{**SETTINGS, name: value})


def test_an_infinite_learning_rate_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"lr: must be finite, got inf"):
        energy.learn(SPACE, words(50), **{**SETTINGS, "lr": float("inf")})


def test_a_training_that_is_killed_between_validations_resumes_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("al_loop.energy.learning._SAVED_EVERY_S", 0.0)
    settings = {**SETTINGS, "steps": 12, "validations": 1, "batch_size": 8, "data_batch": 8}
    whole = energy.learn(SPACE, words(50), **settings)
    step = EnergyTrainer.step

    def stop(trainer: EnergyTrainer) -> Any:
        if trainer.n_steps == 5:
            raise Stopped
        return step(trainer)

    monitor = energy.Monitor(checkpoint=tmp_path / "checkpoint", report=(lines := []).append)
    monkeypatch.setattr(EnergyTrainer, "step", stop)
    with pytest.raises(Stopped):
        energy.learn(SPACE, words(50), monitor=monitor, **settings)
    monkeypatch.setattr(EnergyTrainer, "step", step)
    resumed = energy.learn(SPACE, words(50), monitor=monitor, **settings)
    assert any("resuming after step 5" in line for line in lines)
    for one, other in ((whole.energy, resumed.energy), (whole.policy, resumed.policy)):
        assert all(one.state_dict()[name].equal(other.state_dict()[name]) for name in one.state_dict())


def test_scores_that_run_away_are_one_clear_error() -> None:
    with pytest.raises(ConfigError, match=r"scores run away .* use a smaller lr, or a larger l2"):
        energy.learn(SPACE, words(50), **{**SETTINGS, "lr": 1e6})


@pytest.mark.parametrize(
    ("environment", "settings", "reason"),
    [
        (SPACE, {"steps": 0}, "steps: "),
        (SPACE, {"validation": 1.0}, "validation: "),
        (SPACE, {"energy": "gnn"}, "energy.kind: 'gnn' is not one of graph, mlp, pairwise"),
        (SPACE, {"energy": {"kind": "mlp", "widht": 3}}, "energy.widht: unknown key"),
        (SPACE, {"energy": {"kind": "mlp", "widht": 3}}, "unknown key; known keys: hidden, layers "),
        (SPACE, {"energy": "graph"}, "graph requires molecules"),
        (SPACE, {"weights": [1.0]}, "expected one for each of 2 objects"),
        (SPACE, {"weights": [1.0, float("nan")]}, "finite number of at least 0"),
        (SPACE, {"weights": [2.0, -1.0]}, "finite number of at least 0"),
        (SPACE, {"weights": [0.0, 0.0]}, "no object .* has a weight above 0"),
        (SPACE, {"sampler": {"objective": "entropic_ppo"}}, "sampler.objective: .* learns from its own draws alone"),
        (
            SPACE,
            {"sampler": {"objective": "vanilla_policy_gradient", "backward": "uniform"}},
            "sampler.objective: .* learns from its own draws alone",
        ),
        (SPACE, {"sampler": {"objective": "relative_trajectory_balance"}}, "sampler.objective: .* requires a prior"),
        (SPACE, {"sampler": {"objective": "modified_sub_trajectory_balance"}}, "objects that may end at each step"),
        (SPACE, {"negatives": "gibbs"}, "negatives: "),
        (SPACE, {"base_steps": 10}, "base_steps: .* objects with several histories"),
        (SPACE, {"base_steps": -1}, "base_steps: "),
        (SPACE, {"sampler": {"device": "cuda:99"}}, "sampler.device"),
        ({"kind": "assignmnt"}, {}, "did you mean 'assignment'"),
        ({"kind": "sequence", "alphabet": "dna", "length": 3}, {"energy": "pairwise"}, "requires environment.kind"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_the_training(
    environment: Any, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        energy.learn(environment, ["000000", "111111"], **settings)


def test_a_list_of_objects_is_no_space_to_draw_from(tmp_path: Path) -> None:
    (tmp_path / "pool.csv").write_text("sequence\nAC\nCA\n")
    with pytest.raises(ConfigError, match="lists all its objects"):
        energy.learn(Pool(str(tmp_path / "pool.csv")), ["AC"])


def test_couplings_of_a_spin_chain_are_recovered() -> None:
    rng = np.random.default_rng(1)
    steps = np.where(rng.random((4000, 3)) < np.exp(0.5) / (2 * np.cosh(0.5)), 1, -1)
    spins = np.cumprod(np.concatenate([rng.choice([-1, 1], (4000, 1)), steps], 1), axis=1)
    model = energy.learn(
        {"kind": "assignment", "alphabet": "01", "length": 4},
        spins,
        energy={"kind": "pairwise", "fields": False},
        sampler={"hidden": 16, "lr": 5e-3},
        steps=150,
        batch_size=64,
        data_batch=64,
        lr=3e-2,
        l2=0.0,
    )
    chain = torch.diag(torch.full((3,), 0.5), 1)
    assert torch.allclose(model.energy.couplings, chain + chain.t(), atol=0.12)  # type: ignore[operator, arg-type]
