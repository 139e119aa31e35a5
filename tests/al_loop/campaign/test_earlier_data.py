"""Earlier measurements: what a campaign learns from them, and what they cost."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from al_loop.analysis import open_run
from al_loop.campaign.campaign import Campaign
from al_loop.campaign.earlier_data import read_earlier_data
from al_loop.campaign.preparation import prepare
from al_loop.campaign.reporter import Reporter
from al_loop.config.initial_data import EarlierData, earlier_data_items
from al_loop.config.load import load_config, parse_config
from al_loop.errors import ConfigError
from al_loop.people.imports import open_import

OUTCOMES = {"AAAA": 1.5, "ACGT": 2.5}


class Notes(Reporter):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Return a function that returns a config with initial_data and other changes."""
    (tmp_path / "counting.py").write_text("def score(word):\n    return float(word.count('G'))\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("counting", None)

    def config(data, **changes):
        return parse_config(
            {
                "name": "t",
                "environment": {"kind": "sequence", "alphabet": "ACGT", "length": 4},
                "oracle": {"target": "counting:score"},
                "rounds": {"count": 1, "batch_size": 2},
                "sampler": {"steps": 2},
                "evaluation": {"workers": 1},
                **({"initial_data": data} if data else {}),
                **changes,
            }
        )

    return config


def read(config, text, name="earlier.csv", **columns):
    Path(name).write_text(text)
    data = read_earlier_data(prepare(config(name)), [EarlierData(file=name, **columns)])
    return {i.object: i.answer.outcome for i in data.imports}, data


def test_a_campaign_learns_from_earlier_data_before_its_first_call_and_pays_nothing_for_it(config, tmp_path):
    (tmp_path / "earlier.csv").write_text("sequence;score;cost\nAAAA;1,5;1000\nACGT;2,5;1000\nNNNN;7;1\nGGGG;;\n")
    settings, notes = config("earlier.csv", budget={"calls": 2, "cost": 5}), Notes()
    assert settings.rounds.initial == 0
    with Campaign(settings, tmp_path / "run", reporter=notes) as campaign:
        campaign.run()
    with open_run(tmp_path / "run") as run:
        assert run.ledger.n_calls() == 2
        assert run.ledger.cost() == 2.0
        imported = run.evaluations[run.evaluations["origin"] == "imported"]
        assert imported.set_index("object")["score"].to_dict() == OUTCOMES
        paid = run.candidates[run.candidates["origin"] != "imported"]
        assert paid["predicted_mean"].notna().all()
        assert run.rounds["calls"].tolist() == [0, 2]
        assert run.status().imported == 2
    assert "initial_data: earlier measurements of 2 objects" in notes.notes
    assert any("NNNN (earlier.csv, line 4)" in note for note in notes.notes)
    assert any("1 row without a value" in note for note in notes.notes)
    # a later start with one more file imports what is new, and nothing twice
    (tmp_path / "more.csv").write_text("sequence,score\nAAAA,1.5\nTTTT,0.5\n")
    with Campaign(config(["earlier.csv", "more.csv"]), tmp_path / "run", reporter=notes) as campaign:
        campaign.run()
    with open_run(tmp_path / "run") as run:
        assert run.candidates["origin"].tolist().count("imported") == 3
    with open_import(tmp_path / "run", [EarlierData(file="more.csv")]) as pending:
        assert pending.n_new == 0


def test_random_objects_may_be_measured_beside_earlier_data(config, tmp_path):
    (tmp_path / "earlier.csv").write_text("sequence,score\nAAAA,1.5\n")
    settings = config("earlier.csv", rounds={"count": 0, "initial": 2})
    with Campaign(settings, tmp_path / "run") as campaign:
        assert campaign.advance() == 2
    with open_run(tmp_path / "run") as run:
        assert run.candidates["origin"].tolist() == ["imported", "random", "random"]


def test_people_get_a_first_batch_that_was_chosen_from_earlier_data(config, tmp_path):
    (tmp_path / "earlier.csv").write_text("sequence,value\nAAAA,1.5\nACGT,2\n")
    oracle = {"kind": "human", "objectives": ["value"]}
    with Campaign(
        config("earlier.csv", oracle=oracle, rounds={"count": 2, "batch_size": 2, "review": True}), tmp_path / "run"
    ) as campaign:
        assert campaign.advance() == 2
    with open_run(tmp_path / "run") as run:
        assert run.candidates["round"].tolist() == [0, 0, 1, 1]


def test_an_import_into_a_campaign_reports_conflicts_and_leaves_out_what_is_being_measured(config, tmp_path):
    (tmp_path / "earlier.csv").write_text("sequence,value\nAAAA,1.5\nACGT,2\n")
    settings = config("earlier.csv", oracle={"kind": "human", "objectives": ["value"]})
    with Campaign(settings, tmp_path / "run") as campaign:
        campaign.advance()
        ledger = campaign._context.ledger
        waiting = [c.object for c in ledger.pending()]
        ledger.begin_attempts([ledger.pending()[0].id], "ask by ada")
        (tmp_path / "b.csv").write_text(
            f"sequence,value,cost\nAAAA,9,\nACGT,2,\n{waiting[0]},3,7\n{waiting[1]},4,7\nTTTT,5,7\n"
        )
        items = [EarlierData(file=str(tmp_path / "b.csv"))]
        with open_import(tmp_path / "run", items) as pending:
            assert pending.plan.conflicts == ("AAAA: 1.5 in the ledger, 9 in the file",)
            assert (pending.plan.n_unchanged, pending.plan.n_in_flight, pending.n_new) == (1, 1, 2)
            assert pending.commit() == 2
        with open_import(tmp_path / "run", items) as pending:
            assert pending.n_new == 0
        assert {o.object: o.values for o in ledger.observations()}[waiting[1]] == (4.0,)
        assert ledger.cost() == 0.0


def test_columns_units_noise_failures_and_ids_are_named(config):
    text = "no;word;activity;error;bad\na1;AAAA;1,5;0,1;FALSE\na2;ACGT;;;insoluble\n"
    columns = {"object": "word", "id": "no", "values": {"score": "activity"}, "noise": {"score": "error"}}
    outcomes, data = read(config, text, **columns, failure="bad")
    assert (outcomes["AAAA"].values, outcomes["AAAA"].noise) == ((1.5,), (0.1,))
    assert outcomes["ACGT"].failure.reason == "insoluble"
    assert [i.details for i in data.imports] == [{"id": "a1"}, {"id": "a2"}]
    outcomes, _ = read(config, text, **{**columns, "noise": {"score": 0.5}}, failure="bad")
    assert outcomes["AAAA"].noise == (0.5,)


@pytest.mark.parametrize(("rule", "value", "noise"), [("average", 2.0, 0.5), ("first", 1.5, None), ("last", 2.5, None)])
def test_replicates_count_by_rule(config, rule, value, noise):
    outcomes, _ = read(config, "sequence,score\nAAAA,1.5\nAAAA,2.5\nCCCC,1\nCCCC,1\n", replicates=rule)
    assert outcomes["AAAA"].values == (value,)
    assert outcomes["AAAA"].noise == (None if noise is None else (pytest.approx(noise),))
    assert outcomes["CCCC"].values == (1.0,)


def test_contradictory_replicates_are_refused_if_wanted(config):
    with pytest.raises(ConfigError, match=r"AAAA has several values \(earlier.csv, line 2; earlier.csv, line 3\)"):
        read(config, "sequence,score\nAAAA,1.5\nAAAA,2.5\n", replicates="refuse")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sequence,score\nAAAA,>5\nAAAA,>6\n", "AAAA.*line 2.*several bounds of one object"),
        ("sequence,score\nAAAA,~5\n", "line 2: score: '~5' is a bound"),
        ("sequence,score\nAAAA,1,5\n", "line 2: 3 cells"),
        ("sequence,score\n,1\n", "line 2: the object is missing"),
        ("sequence,other\nAAAA,1\n", "no column 'score'"),
        ("sequence,score\nNNNN,1\n", "no measurement that this campaign can learn from"),
        ("sequence,score\nAAAA,\n", "no measurement that this campaign can learn from"),
    ],
)
def test_a_file_that_is_not_certain_is_refused(config, text, message):
    with pytest.raises(ConfigError, match=message):
        read(config, text)


def test_another_run_excel_and_parquet_are_read(config, tmp_path):
    frame = pd.DataFrame({"sequence": list(OUTCOMES), "score": list(OUTCOMES.values())})
    frame.to_excel(tmp_path / "t.xlsx", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    (tmp_path / "earlier.csv").write_text(frame.to_csv(index=False))
    with Campaign(config("earlier.csv", rounds={"count": 0, "initial": 1}), tmp_path / "run") as campaign:
        campaign.advance()
    parts = prepare(config("t.xlsx"))
    for file in ("t.xlsx", "t.parquet", "run"):
        data = read_earlier_data(parts, [EarlierData(file=file)])
        assert {i.object: i.answer.outcome.values[0] for i in data.imports} == OUTCOMES
    data = read_earlier_data(parts, [EarlierData(file="t.xlsx"), EarlierData(file="run")])
    assert len(data.imports) == 2


def test_molecules_outside_a_library_are_learned_from(config, tmp_path):
    (tmp_path / "pool.smi").write_text("CCO\nCCN\n")
    (tmp_path / "m.csv").write_text("smiles,score\nOCC,1\nc1ccccc1,2\nxyz,3\n")
    parts = prepare(config("m.csv", environment={"kind": "pool", "file": "pool.smi"}))
    data = read_earlier_data(parts, [EarlierData(file="m.csv")])
    assert [i.object for i in data.imports] == ["CCO", "c1ccccc1"]
    assert "xyz (m.csv, line 4)" in data.notes[0]
    assert "1 of the objects cannot be proposed" in data.notes[1]


def test_a_first_batch_of_none_requires_earlier_data(config):
    with pytest.raises(ConfigError, match="initial: 0 requires initial_data"):
        config(None, rounds={"initial": 0})


def test_files_are_relative_to_the_config(config, tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "c.yaml").write_text(
        "name: t\nenvironment: {kind: sequence, alphabet: ACGT, length: 4}\n"
        "oracle: {target: 'counting:score'}\ninitial_data: [a.csv, {file: b.csv}]\n"
    )
    items = earlier_data_items(load_config(folder / "c.yaml").initial_data)
    files = [Path(item.file).absolute() for item in items]
    assert files == [folder / "a.csv", folder / "b.csv"]


def test_the_fingerprint_does_not_depend_on_earlier_data(config):
    initial = {"count": 1, "batch_size": 2, "initial": 0}
    one, two = config("a.csv", rounds=initial), config("b.csv", rounds=initial)
    assert one.fingerprint == two.fingerprint
