"""What a campaign believes, foretells and asks for: several objectives, bounds, failures, trust and stop rules."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from al_loop import Campaign, open_run
from al_loop.campaign.reporter import Reporter
from al_loop.config import load_config
from al_loop.errors import ConfigError
from al_loop.ledger import Ledger
from al_loop.monitoring.round_summary import RoundSummary

CONFIG = """
name: tiny
seed: 1
environment: {kind: sequence, alphabet: ACGU, length: 6}
oracle: {target: "tiny_oracle:Tiny"}
optimise: up
sampler: {steps: 10, batch_size: 16, hidden: 16, pool: 64}
rounds: {initial: 8, batch_size: 8, count: 2}
evaluation: {workers: 1, timeout_s: 20, stop_after_failures: null}
"""
#: a cheap fidelity that is of another scale and sometimes wrong
FIDELITIES = """
from al_loop.oracles.base import Fidelity, Objective, Oracle, Outcome


class Tiny(Oracle):
    objectives = (Objective("up"),)
    fidelities = (Fidelity("rough", 1.0), Fidelity("exact", 10.0))
    fidelity = "exact"

    def evaluate(self, objects):
        for word in objects:
            exact = word.count("G") + 0.5 * word.count("GA")
            yield Outcome((exact if self.fidelity == "exact" else 20 + 3 * exact + word.count("C"),))
"""
MULTI = ("surrogate.kind=multi_fidelity", "acquisition.kind=multi_fidelity_mes")
#: two objectives that pull apart, a third value to bound, and words with UU fail
ORACLE = """
from al_loop.oracles.base import Objective, Oracle, Outcome


class Tiny(Oracle):
    objectives = (Objective("up"), Objective("down", "kg", "minimise"), Objective("weight"))

    def __init__(self, fails: str = ""):
        self.fails = fails

    def evaluate(self, objects):
        for word in objects:
            if self.fails and self.fails in word:
                yield Outcome.failed("permanent", "it does not dissolve")
                continue
            up, weight = word.count("G") + 0.5 * word.count("GA"), 2.0 * word.count("G") + word.count("C")
            yield Outcome((up, 10.0 - word.count("C"), weight), cost=1.0 + 3.0 * word.count("A"))
"""


class Notes(Reporter):
    def __init__(self) -> None:
        self.rounds: list[RoundSummary] = []
        self.notes: list[str] = []

    def round(self, summary: RoundSummary) -> None:
        self.rounds.append(summary)

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    module = f"tiny_oracle_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(ORACLE)
    (tmp_path / "tiny.yaml").write_text(CONFIG.replace("tiny_oracle", module))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def run(project: Path, *overrides: str, run_dir: str = "run") -> Notes:
    notes = Notes()
    with Campaign(load_config("tiny.yaml", overrides), project / run_dir, reporter=notes) as campaign:
        campaign.run()
    return notes


def reports(project: Path, run_dir: str = "run") -> list[dict]:
    with Ledger(f"sqlite:///{project / run_dir}/ledger.db") as ledger:
        return [row.metrics for row in ledger.rounds()]


def infos(project: Path, run_dir: str = "run") -> list[dict]:
    with Ledger(f"sqlite:///{project / run_dir}/ledger.db") as ledger:
        return [row.info for row in ledger.rounds()]


def test_predictions_are_kept_before_the_answers_and_scored_after_them(project: Path) -> None:
    notes = run(project)
    table = open_run(project / "run").evaluations
    later = table[table["round"] == 1]
    scores = reports(project)[1]["predictions"]["up"]
    z = ((later["up"] - later["predicted_mean"]) / later["predicted_std"]).to_numpy()
    assert scores["n"] == 8
    assert scores["rmse"] == pytest.approx(np.sqrt(((later["up"] - later["predicted_mean"]) ** 2).mean()))
    assert scores["coverage"]["80"] == pytest.approx((np.abs(z) <= 1.2815515655).mean())
    assert scores["coverage"]["80"] == notes.rounds[1].coverage
    assert scores["bias"] == pytest.approx(z.mean())
    assert sum(part["n"] for part in scores["by_distance"].values()) == 8
    assert reports(project)[0]["predictions"] == {}


def test_a_forecast_is_made_of_every_batch_before_it_goes_out(project: Path) -> None:
    run(project)
    assert "forecast" not in infos(project)[0]
    for info in infos(project)[1:]:
        forecast = info["forecast"]
        assert 0 <= forecast["probability"] <= 1
        assert forecast["low"] <= forecast["expected_best"] <= forecast["high"]
        assert len(info["nearest"]) == 8


def test_what_will_break_its_bounds_is_forecast_to_bring_nothing(project: Path) -> None:
    """At most one G is allowed, which the first batch shows; a sampler that is hardly paid draws more of them."""
    bound = "outcome_constraints=[{objective: up, max: 1.0}]"
    run(project, "optimise=down", bound, "reward.beta=0.01", "rounds.count=3", "rounds.initial=24", run_dir="held")
    run(project, "optimise=down", "reward.beta=0.01", "rounds.count=3", "rounds.initial=24", run_dir="free")
    held, free = ([i["forecast"]["probability"] for i in infos(project, where)[1:]] for where in ("held", "free"))
    assert np.mean(held) < np.mean(free)


def test_deviations_are_recalibrated_by_what_came_back_unless_told_not_to(project: Path) -> None:
    run(project, "rounds.count=3")
    run(project, "rounds.count=3", "recalibrate=false", run_dir="plain")
    learned = [info["factors"][0] for info in infos(project)[1:]]
    assert learned[0] == 1.0  # nothing was predicted before
    assert len(set(learned)) == 3
    assert all(0.5 <= factor <= 3 for factor in learned)
    assert [info["factors"] for info in infos(project, "plain")[1:]] == [[1.0]] * 3


@pytest.mark.parametrize(
    ("rule", "n_rounds", "reason"),
    [
        ("stop.reached=0", 1, "stop.reached: the best value"),
        ("stop.no_progress=1", None, "stop.no_progress: no better value for 1 rounds"),
        ("stop.expected_improvement=100", 1, "expected to improve on the best value by"),
        ("stop.probability=0.999999", None, "stop.probability"),
    ],
)
def test_a_stop_rule_ends_a_campaign_before_it_pays_for_another_batch(
    project: Path, rule: str, n_rounds: int | None, reason: str
) -> None:
    notes = run(project, "rounds.count=12", rule)
    assert len(notes.rounds) < 13
    if n_rounds is not None:
        assert len(notes.rounds) == n_rounds
    (stopped,) = [note for note in notes.notes if note.startswith("stopped before round")]
    assert reason in stopped
    again = run(project, "rounds.count=12", rule)
    assert again.rounds == []
    assert any(reason in note for note in again.notes)
    now = open_run(project / "run").status()
    assert now.state == "stopped"
    assert stopped.startswith(now.reason)
    if n_rounds == 1:  # the rule is no part of what the campaign is
        assert len(run(project, "rounds.count=2").rounds) == 2
        now = open_run(project / "run").status()
        assert (now.state, now.reason) == ("finished", "")


def test_without_progress_there_is_an_alarm_in_the_ledger_and_the_terminal(project: Path) -> None:
    notes = run(project, "rounds.count=9", "sampler.steps=2")
    told = [report["alarms"].get("no_progress") for report in reports(project)]
    assert any(told)
    assert all(any(message in note for note in notes.notes) for message in told if message)


def test_batches_of_two_are_enough_for_an_alarm_once_there_are_enough_of_them(project: Path) -> None:
    (project / "boastful.py").write_text(
        "from al_loop.surrogates.gp import ExactGP\n\n"
        "class Boastful(ExactGP):\n"
        "    def fit(self, X, Y, Yvar=None):\n"
        "        return super().fit(X, Y + 20 * Y.std(), Yvar)\n"
    )
    small = ("rounds.batch_size=2", "rounds.count=7", "sampler.steps=2", "recalibrate=false")
    run(project, *small, "surrogate={target: 'boastful:Boastful'}")
    told = ["exploitation" in report["alarms"] for report in reports(project)]
    assert told[5:] == [True] * len(told[5:])
    assert not any(told[:5])


def test_a_bound_on_another_outcome_is_kept(project: Path) -> None:
    free = run(project, "rounds.count=4", run_dir="free")
    held = run(project, "rounds.count=4", "outcome_constraints=[{objective: weight, max: 4}]", run_dir="held")
    free_table, held_table = (open_run(project / name).evaluations for name in ("free", "held"))
    last = slice(8, None)
    assert (held_table["weight"].iloc[last] <= 4).mean() > (free_table["weight"].iloc[last] <= 4).mean() + 0.2
    # what breaks the bound is not the best
    within = held_table[held_table["weight"] <= 4]
    assert held.rounds[-1].best == within["up"].max()
    assert free.rounds[-1].best == free_table["up"].max()


def test_objects_that_cost_more_are_asked_for_less_where_the_cost_counts(project: Path) -> None:
    run(project, "rounds.count=4", run_dir="free")
    run(project, "rounds.count=4", "reward.cost=3", run_dir="thrifty")
    costs = [open_run(project / name).evaluations["cost"].iloc[8:].mean() for name in ("free", "thrifty")]
    assert costs[1] < costs[0]


def test_objects_that_are_likely_to_fail_are_asked_for_less_where_feasibility_counts(project: Path) -> None:
    same = ("rounds.count=4", "oracle.fails=A", "selector.kind=greedy", "sampler.pool=512")
    run(project, *same, run_dir="free")
    run(project, *same, "reward.feasibility=2", run_dir="careful")
    failures = [open_run(project / name).evaluations["failure"].iloc[8:].notna().sum() for name in ("free", "careful")]
    assert failures[1] < 0.8 * failures[0]


@pytest.mark.parametrize("transform", ["yeo_johnson", "rank"])
def test_transformed_targets_are_predicted_in_the_oracles_unit(project: Path, transform: str) -> None:
    run(project, f"transform={transform}")
    table = open_run(project / "run").evaluations.iloc[8:]
    assert ((table["predicted_mean"] > -2) & (table["predicted_mean"] < 10)).all()
    assert (table["predicted_std"] > 0).all()


def test_several_objectives_are_traded_off(project: Path) -> None:
    notes = run(project, "rounds.count=3", "optimise=[up, down]", "acquisition.kind=qlognehvi")
    assert all(s.hypervolume is not None for s in notes.rounds)
    volumes = [s.hypervolume for s in notes.rounds]
    assert volumes == sorted(volumes)
    assert volumes[-1] > volumes[0]
    table = open_run(project / "run").evaluations
    assert table["up"].max() > table["up"].iloc[:8].max() or table["down"].min() < table["down"].iloc[:8].min()
    assert set(reports(project)[1]["predictions"]) == {"up", "down"}
    assert len(infos(project)[1]["factors"]) == 2


@pytest.mark.parametrize("overrides", [("acquisition.kind=parego",), ("reward.preferences=false",)])
def test_several_objectives_also_without_preferences_or_by_scalarisation(project: Path, overrides: tuple) -> None:
    kind = () if "acquisition.kind=parego" in overrides else ("acquisition.kind=qlognehvi",)
    notes = run(project, "rounds.count=1", "optimise=[up, down]", *overrides, *kind)
    assert notes.rounds[-1].hypervolume >= notes.rounds[0].hypervolume


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("optimise=[up, down]",),
            r"'ucb' supports a single objective, but the campaign optimises 2 \(up, down\); use .*qlognehvi",
        ),
        (("acquisition.kind=qlognehvi",), "requires several objectives, but the campaign optimises one"),
        (
            ("optimise=[up, sideways]", "acquisition.kind=qlognehvi"),
            "'sideways' is not one of the values that the oracle measures",
        ),
        (("optimise=[up, up]", "acquisition.kind=qlognehvi"), "names a value twice"),
        (("optimise=[up, down]", "acquisition.kind=qlognehvi", "goal=maximise"), "single objective"),
        (
            ("optimise=[up, down]", "acquisition.kind=qlognehvi", "reference_point={up: 0}"),
            "one value for each of up, down",
        ),
        (("reference_point={up: 0}",), "remove it"),
        (("outcome_constraints=[{objective: up}]",), "give 'min', 'max' or both"),
        (("outcome_constraints=[{objective: height, min: 1}]",), "'height' is not one of the values"),
        (
            ("optimise=[up, down]", "acquisition.kind=qlognehvi", "sampler.objective.kind=flow_matching"),
            "does not learn log Z",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(project: Path, overrides: tuple, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Campaign(load_config("tiny.yaml", overrides), project / "run")


def test_the_config_of_a_run_can_be_read_back(project: Path) -> None:
    run(project, "rounds.count=1", "stop.no_progress=5")
    kept = open_run(project / "run").config
    assert json.loads(json.dumps(kept))["stop"]["no_progress"] == 5
    (project / "again.yaml").write_text(yaml.safe_dump(kept))
    assert load_config("again.yaml").stop.no_progress == 5


def use(project: Path, text: str) -> None:
    next(project.glob("tiny_oracle*.py")).write_text(text)


@pytest.mark.parametrize("kind", ["multi_fidelity_mes", "multi_fidelity_ei"])
def test_a_campaign_chooses_the_fidelity_of_each_object(project: Path, kind: str) -> None:
    use(project, FIDELITIES)
    notes = run(project, *MULTI, f"acquisition.kind={kind}", "rounds={initial: 16, batch_size: 8, count: 5}")
    table = open_run(project / "run").evaluations.join(open_run(project / "run").candidates["fidelity"])
    first = table[table["round"] == 0]
    assert (first["fidelity"] == "exact").sum() == 2
    later = table[table["round"] > 0]
    assert set(later["fidelity"]) == {"rough", "exact"}
    assert not table.duplicated(["object", "fidelity"]).any()
    exact = table[table["fidelity"] == "exact"]
    # what is best is so at the target fidelity alone, whose values are far below the rough ones
    assert notes.rounds[-1].best == exact["up"].max() < 10
    assert exact["up"].max() > exact["up"].iloc[:2].max()
    # predictions are of the fidelity that was asked for
    for fidelity, low, high in (("rough", 15, 50), ("exact", -5, 12)):
        predicted = later[later["fidelity"] == fidelity]["predicted_mean"]
        assert ((predicted > low) & (predicted < high)).all()
    info = infos(project)[1]["surrogate"]
    assert 0 < info["correlation"] <= 1


def test_a_batch_is_full_when_its_cost_is_spent(project: Path) -> None:
    use(project, FIDELITIES)
    run(project, *MULTI, "rounds={initial: 8, batch_size: 30, batch_cost: 12, count: 2}")
    table = open_run(project / "run").evaluations
    for number in (1, 2):
        costs = table[table["round"] == number]["cost"]
        assert 12 <= costs.sum() < 12 + 10
        assert len(costs) < 30


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (MULTI[:1], "'multi_fidelity' requires an acquisition that chooses fidelities"),
        (MULTI[1:], "'multi_fidelity_mes' requires a multi-fidelity surrogate"),
        (MULTI, "has none that costs less than its own"),
    ],
)
def test_fidelities_that_are_not_there_are_refused(project: Path, overrides: tuple, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Campaign(load_config("tiny.yaml", overrides), project / "run")


def test_the_automatic_surrogate_says_what_it_is_and_why_once(project: Path) -> None:
    notes = run(project, "surrogate={kind: auto, max_exact: 12, n_inducing: 8}", "rounds.count=3")
    told = [note for note in notes.notes if note.startswith("surrogate ")]
    assert told == [
        "surrogate gp: 8 measurements, up to 12 are fitted exactly",
        "surrogate variational on 8 inducing rows: 16 measurements, more than the 12 that are fitted exactly "
        "(surrogate.max_exact)",
    ]
    assert [info["surrogate"]["is_exact"] for info in infos(project)[1:]] == [1.0, 0.0, 0.0]
