"""The columns of a library travel with its objects."""

import csv
import io

import pytest

from al_loop.analysis import open_run
from al_loop.campaign.campaign import Campaign
from al_loop.campaign.earlier_data import read_earlier_data
from al_loop.campaign.preparation import prepare
from al_loop.config.initial_data import EarlierData
from al_loop.config.load import parse_config
from al_loop.environments.pool import Pool
from al_loop.errors import ConfigError
from al_loop.ledger import Ledger
from al_loop.people.ask import ask, candidates_to_ask
from al_loop.people.tell import ImportOptions, parse_results
from al_loop.smiles import canonical_smiles

LIBRARY = "ID,Structure,price,vendor,pIC50\nA-1,OCC,10,x,1\nA-2,c1ccccc1,20.5,,2\nA-3,CCN,7,y,3\nA-4,CCCO,9,x,4\n"


@pytest.fixture
def file(tmp_path):
    (tmp_path / "library.csv").write_text(LIBRARY)
    return str(tmp_path / "library.csv")


def test_the_column_of_structures_is_taken_for_the_objects_and_said(file):
    pool = Pool(file)
    assert pool.objects == ["CCCO", "CCN", "CCO", "c1ccccc1"]
    assert pool.object_type == "molecule"
    assert pool.source == f"the molecules are the column 'Structure' of {file}"


def test_details_are_those_of_the_row_and_may_be_chosen(file):
    assert Pool(file).details(["c1ccccc1", "nowhere"]) == [{"ID": "A-2", "price": "20.5", "pIC50": "2"}, None]
    assert Pool(file, details=["price"]).details(["CCN"]) == [{"price": "7"}]
    assert Pool(file, details=[]).details(["CCN"]) == [None]
    with pytest.raises(ConfigError, match="no column 'cost'; its columns are ID"):
        Pool(file, details=["cost"])


def test_details_reach_ask_tables_and_data_frames_but_not_what_is_measured(file, tmp_path):
    config = parse_config(
        {
            "name": "t",
            "environment": {"kind": "pool", "file": file},
            "oracle": {"kind": "human", "objectives": ["pIC50"]},
            "rounds": {"initial": 4, "count": 0},
        }
    )
    with Campaign(config, tmp_path / "run") as campaign:
        campaign.advance()
    with Ledger(f"sqlite:///{tmp_path}/run/ledger.db") as ledger:
        table = ask(ledger, candidates_to_ask(ledger), "smiles")
        rows = {row["smiles"]: row for row in csv.DictReader(io.StringIO(table))}
        benzene = rows["c1ccccc1"]
        assert (benzene["library_ID"], benzene["price"], benzene["vendor"]) == ("A-2", "20.5", "")
        assert "library_pIC50" not in benzene
        path = tmp_path / "batch.csv"
        path.write_text(table.replace(",,\n", ",FALSE,\n").replace(",,FALSE", ",5,FALSE"))
        results = parse_results(ledger, path, ImportOptions(), canonical_smiles)
        assert (len(results.answers), results.problems) == (4, [])
        assert all(not outcome.info for outcome in results.answers.values())
    with open_run(tmp_path / "run") as run:
        assert run.labels(["CCO", "CCN"]) == {"CCO": "ID A-1", "CCN": "ID A-3"}
        frame = run.candidates.set_index("object")
        assert frame.loc["CCO", ["ID", "price", "vendor"]].tolist() == ["A-1", 10.0, "x"]


def test_details_reach_earlier_measurements_of_the_library(file, tmp_path):
    earlier = tmp_path / "earlier.csv"
    earlier.write_text("Compound,SMILES,pIC50\nE-1,NCC,3\nE-2,CCCCC,2\n")
    config = parse_config(
        {
            "name": "t",
            "environment": {"kind": "pool", "file": file},
            "oracle": {"kind": "human", "objectives": ["pIC50"]},
        }
    )
    data = read_earlier_data(prepare(config), [EarlierData(file=str(earlier), id="Compound")])
    assert {i.object: i.details for i in data.imports} == {
        "CCN": {"ID": "A-3", "price": "7", "vendor": "y", "id": "E-1"},
        "CCCCC": {"id": "E-2"},
    }
