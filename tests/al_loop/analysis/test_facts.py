import json

import pytest

from al_loop.analysis import open_run
from al_loop.analysis.accuracy import calibration, coverage
from al_loop.analysis.facts import run_facts
from al_loop.analysis.meanings import describe
from al_loop.analysis.reasons import reason_texts, reasons
from al_loop.analysis.spending import by_outcome, by_round
from al_loop.analysis.timeline import timeline, utilisation
from al_loop.ledger import Ledger
from al_loop.oracles.base import Objective
from tests.support.molecule_run import MOLECULES, fill


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with open_run(fill(tmp_path_factory.mktemp("runs") / "demo")) as opened:
        yield opened


@pytest.fixture(scope="module")
def facts(run):
    return run_facts(run, has_map=False)


def outlook_of(folder, **settings):
    with open_run(fill(folder, **settings)) as run:
        return run_facts(run, has_map=False)["outlook"]


def column(facts, name):
    return next(c for c in facts["table"]["columns"] if c["name"] == name)


def test_facts_are_plain_json(facts):
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


def test_the_table_has_a_row_for_every_candidate_and_the_values_of_the_ledger(run, facts):
    energy = column(facts, "energy")
    assert energy["unit"] == "eV"
    assert "lower is better" in energy["meaning"]
    measured = [cell for cell in energy["cells"] if cell is not None]
    assert measured == pytest.approx(run.evaluations["energy"].dropna().tolist())
    assert len(energy["cells"]) == len(MOLECULES) // 4 * 4


def test_the_best_are_those_of_the_run(run, facts):
    objects = column(facts, "object")["cells"]
    assert [objects[entry["row"]] for entry in facts["best"]] == run.best(10)["object"].tolist()


def test_every_chosen_candidate_has_a_reason(run):
    frame = reasons(run)
    assert set(frame["choice"]) <= {"random", "promising", "exploring", "in between"}
    assert (frame.loc[run.candidates["round"] == 0, "choice"] == "random").all()
    texts = reason_texts(run, frame, frame.index)
    assert "drawn at random" in texts[1]
    assert "a chance of" in texts[20]
    assert "a variation of what was measured (similarity 0.40)" in texts[20]


def test_the_chance_of_a_candidate_is_that_of_its_prediction(run):
    from scipy.stats import norm

    frame, candidate = reasons(run), run.candidates.loc[20]
    best = run.results[run.results["round"] < candidate["round"]]["energy"].min()
    expected = norm.cdf((best - candidate["predicted_mean"]) / candidate["predicted_std"])
    assert frame.loc[20, "best_before"] == pytest.approx(best)
    assert frame.loc[20, "chance"] == pytest.approx(expected)


# -- money and time


def test_rounds_add_up_to_what_the_ledger_says(run):
    rounds = by_round(run)
    assert rounds["cost"].sum() == pytest.approx(run.ledger.cost())
    assert rounds["failed"].sum() == run.status().failed


def test_every_answer_came_to_something(run):
    outcomes = by_outcome(run)
    assert outcomes["answers"].sum() == run.status().answered
    assert outcomes.set_index(["origin", "outcome"]).loc[("random", "failed"), "answers"] == 1


def test_the_timeline_has_every_call(run):
    frame = timeline(run)
    assert len(frame) == run.ledger.n_calls()
    assert set(frame["outcome"]) == {"value", "failed"}
    assert ((frame["finished"] - frame["started"]).dt.total_seconds() == 8).all()
    busy = utilisation(frame)
    assert busy.index.tolist() == ["local-0", "local-1"]
    assert (busy["busy"] <= 1).all()


def test_repeated_and_void_calls_and_calls_in_flight_are_on_the_timeline(tmp_path):
    folder = fill(tmp_path / "run")
    with Ledger(f"sqlite:///{folder}/ledger.db") as ledger:
        open_ids = [c.id for c in ledger.pending()][:2]
        ledger.begin_attempts(open_ids, "ada")
        ledger.void_attempts([(open_ids[1], 1)], "the disk was full")
        ledger.begin_attempts(open_ids[:1], "ada")
    with open_run(folder) as run:
        frame = timeline(run).tail(3)
        facts = run_facts(run, has_map=False)
    assert frame["outcome"].tolist() == ["repeated", "in flight", "void"]
    assert facts["status"]["in_flight"] == 1
    assert "in flight" in column(facts, "status")["names"]


# -- trust


def test_calibration_compares_predictions_with_measurements(run):
    frame = calibration(run)
    assert len(frame) == run.evaluations["predicted_mean"].notna().sum() - frame["measured"].isna().sum() - 2
    assert frame["z"].tolist() == pytest.approx(
        ((frame["measured"] - frame["predicted_mean"]) / frame["predicted_std"]).tolist()
    )
    table = coverage(frame).set_index("promised")
    assert table.loc[0.8, "actual"] == pytest.approx(frame["within_80"].mean())


def test_every_column_has_a_meaning(run):
    table = describe(run)
    named = {"evaluations", "candidates", "rounds", "top", "forecasts", "calibration", "failures", "timeline", "map"}
    assert named <= set(table["table"])
    assert not (table["meaning"] == "from the library's file").any()
    assert table.set_index(["table", "column"]).loc[("evaluations", "energy"), "unit"] == "eV"


# -- the recommendation


def test_the_open_round_is_expected_to_bring_its_forecast(facts):
    outlook = facts["outlook"]
    assert outlook["verdict"] == "go on"
    assert outlook["headline"].startswith("Go on: the open round is expected to bring 0.3 eV")
    assert outlook["chance"] == pytest.approx(0.7)


@pytest.mark.parametrize("goal", ["maximise", "minimise"])
def test_a_round_that_brought_nothing_brought_zero(goal, tmp_path):
    outlook = outlook_of(tmp_path, open_batch=False, goal=goal, gains=(0.5, 0.4, 0.0))
    assert any("it brought 0." in text for text in outlook["because"])
    assert "-0" not in json.dumps(outlook).replace("e-0", "")


def test_a_finished_campaign_extrapolates_its_forecasts(tmp_path):
    outlook = outlook_of(tmp_path, open_batch=False)
    assert "Go on: another round is expected to bring" in outlook["headline"]
    assert outlook["gain"] < 0.3  # the forecasts shrank from round to round
    assert any("shrunk" in text for text in outlook["because"])
    assert any("has ended" in text for text in outlook["because"])


@pytest.mark.parametrize("goal", ["minimise", "maximise"])
def test_gains_that_were_forecast_and_came_are_trusted(tmp_path, goal):
    outlook = outlook_of(tmp_path, goal=goal)
    assert outlook["gain"] == pytest.approx(0.3, rel=0.02)
    assert any("multiplied by 1." in text for text in outlook["because"])


def test_the_price_of_a_round_stands_beside_its_gain(facts):
    assert facts["outlook"]["calls"] == pytest.approx(12)
    assert facts["outlook"]["cost"] == pytest.approx(22)
    assert any(text.startswith("A round takes 12 calls and a cost of 22") for text in facts["outlook"]["because"])


def test_an_oracle_that_fails_comes_first(tmp_path):
    folder = fill(tmp_path, n_rounds=2)
    with Ledger(f"sqlite:///{folder}/ledger.db") as ledger:
        from datetime import UTC, datetime

        from al_loop.ledger import Answer
        from al_loop.oracles.base import Outcome

        now = datetime.now(UTC)
        failed = Outcome.failed("permanent", "no licence")
        for candidate in ledger.pending():
            ledger.begin_attempts([candidate.id], "local-0")
            ledger.commit_answers([Answer(candidate.id, failed, "local-0", now, now)])
    with open_run(folder) as run:
        outlook = run_facts(run, has_map=False)["outlook"]
    assert outlook["verdict"] == "look first"
    assert "25 of the last 25 answers failed" in outlook["headline"]
    assert "no licence" in outlook["because"][0]


def test_nothing_measured_is_said(tmp_path):
    outlook = outlook_of(tmp_path, n_rounds=1)
    assert outlook["headline"] == "Nothing is measured yet."


def test_several_objectives_gain_hypervolume(tmp_path):
    objectives = [Objective("energy", "eV", "minimise"), Objective("qed", "", "maximise")]
    outlook = outlook_of(tmp_path, objectives=objectives)
    assert "of hypervolume" in outlook["headline"]
