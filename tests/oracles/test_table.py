"""Known values of the shipped tables, and averages worked out by hand."""

import itertools
import math
import statistics
import subprocess
import sys

import pytest
from pydantic import ValidationError

from al_loop.config.plugins import arguments_model
from al_loop.datafiles.object_tables import read_table
from al_loop.errors import ConfigError
from al_loop.oracles.base import Objective, evaluate_all
from al_loop.oracles.table import Column, MeasuredTable
from al_loop.oracles.testing import OracleContract

WORDS = ["".join(letters) for letters in itertools.product("ACGT", repeat=8)]


class TestSequenceContract(OracleContract):
    valid = ("AAAAAAAA", "GGGGGGGG", "ACGTACGT")
    invalid = ("", "ACG", "acgtacgt")

    def make(self):
        return MeasuredTable("tfbind8")


class TestMoleculeContract(OracleContract):
    valid = ("O=C(CCC1CCOC1)N1C[C@H]2CCC[C@@]2(c2nc(-c3ccccc3)no2)C1", "C1CC1c1nnc2n1CCN(Cc1nnnn1C1CC1)C2")
    invalid = ("", "not a molecule", "C")

    def make(self):
        return MeasuredTable("enamine10k")


@pytest.fixture
def write(tmp_path):
    def write(content, name="table.csv"):
        (tmp_path / name).write_text(content)
        return str(tmp_path / name)

    return write


def answer(oracle, name):
    return evaluate_all(oracle, [name])[0]


# ---- the shipped tables ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tfbind8():
    return {w: o.values[0] for w, o in zip(WORDS, evaluate_all(MeasuredTable("tfbind8"), WORDS), strict=True)}


def test_tfbind8_knows_every_word_of_eight_letters(tfbind8):
    assert len(tfbind8) == 4**8
    assert (min(tfbind8.values()), max(tfbind8.values())) == (0, 1)


def test_tfbind8_has_the_known_best_and_median(tfbind8):
    """The limit of the protocol of delta-CS: the best 128 words, and the best of those at or below the median."""
    best = sorted(tfbind8.values())[-128:]
    assert statistics.mean(best) == pytest.approx(0.9813, abs=5e-5)
    assert statistics.median(best) == pytest.approx(0.9797, abs=5e-5)
    median = statistics.median(tfbind8.values())
    assert max(score for score in tfbind8.values() if score <= median) == pytest.approx(0.4393, abs=5e-5)


def test_tfbind8_does_not_tell_a_word_from_its_reverse_complement(tfbind8):
    complement = str.maketrans("ACGT", "TGCA")
    assert all(score == tfbind8[word.translate(complement)[::-1]] for word, score in tfbind8.items())


def test_tfbind8_is_the_measured_score_rescaled(tfbind8):
    """E-scores of Barrera et al. 2016 for the first two words, and the smallest and largest of all."""
    low, high = -0.47907, 0.49105
    assert tfbind8["AAAAAAAA"] == pytest.approx((0.03 - low) / (high - low), abs=1e-6)
    assert tfbind8["AAAAAAAC"] == pytest.approx((-0.12351 - low) / (high - low), abs=1e-6)


def test_enamine10k_has_the_known_molecules_and_docking_scores():
    oracle = MeasuredTable("enamine10k")
    assert oracle.objectives == (Objective("docking_score", "kcal/mol", "minimise"),)
    oracle.check()
    smiles = sorted(set(read_table("enamine10k").objects("smiles", "molecule")))
    scores = sorted(outcome.values[0] for outcome in evaluate_all(oracle, smiles))
    assert len(scores) == 10_446
    assert scores[0] == -9.9
    assert scores.count(-9.9) == 8
    assert scores[103] == -9.5
    assert sum(score <= -9.5 for score in scores) == 115


def test_molecules_are_found_in_whatever_way_they_are_written():
    oracle = MeasuredTable("enamine10k")
    assert answer(oracle, "O=C(NCCc1cccc(-c2ccccc2)c1)[C@@H]1CCCCN1").values == (-9.9,)
    assert answer(oracle, "[C@H]1(CCCCN1)C(=O)NCCC1=CC(C2=CC=CC=C2)=CC=C1").values == (-9.9,)
    mirrored = "O=C(NCCc1cccc(-c2ccccc2)c1)[C@H]1CCCCN1"
    assert answer(oracle, mirrored).failure.kind == "invalid"


# ---- tables of one's own -----------------------------------------------------------------------------------------


def test_one_column_called_value_is_the_answer(write):
    oracle = MeasuredTable(write("object,id,value\na,17,1.5\nb,18,-2\n"))
    assert oracle.objectives == (Objective("value"),)
    assert [o.values for o in evaluate_all(oracle, ["b", "a"])] == [(-2.0,), (1.5,)]


def test_every_column_of_numbers_is_an_answer_where_none_is_called_value(write):
    oracle = MeasuredTable(write("name,potency,comment,solubility\na,1.5,good,3\nb,-2,bad,4\n"))
    assert [o.name for o in oracle.objectives] == ["potency", "solubility"]
    assert answer(oracle, "b").values == (-2.0, 4.0)


def test_columns_are_named_with_unit_goal_and_noise(write):
    file = write("smiles,ic50,error\nCCO,1.5,0.2\nC,2,\n")
    checked = arguments_model(MeasuredTable).model_validate(
        {"file": file, "values": [{"name": "ic50", "unit": "nM", "goal": "minimise", "noise": "error"}]}
    )
    oracle = MeasuredTable(file, values=checked.values)
    assert oracle.objectives == (Objective("ic50", "nM", "minimise"),)
    assert answer(oracle, "OCC").noise == (0.2,)
    assert answer(oracle, "C").noise is None
    with pytest.raises(ValidationError, match="gaol"):
        arguments_model(MeasuredTable).model_validate({"file": file, "values": [{"name": "ic50", "gaol": "minimise"}]})


def test_the_unit_of_a_shipped_table_is_known_where_its_column_is_named():
    assert MeasuredTable("enamine10k", values=["docking_score"]).objectives[0].unit == "kcal/mol"


def test_a_blank_cell_is_a_permanent_failure_with_its_line(write):
    oracle = MeasuredTable(write("object,x,y\na,1,2\nb,3,NA\n"))
    failure = answer(oracle, "b").failure
    assert failure.kind == "permanent"
    assert "no y" in failure.reason
    assert "line 3" in failure.reason


def test_an_object_that_is_not_in_the_table_is_invalid(write):
    file = write("smiles,value\nCCO,1\n")
    not_there, no_molecule = evaluate_all(MeasuredTable(file), ["CCC", "xyz"])
    assert not_there.failure.kind == no_molecule.failure.kind == "invalid"
    assert "does not contain 'CCC'" in not_there.failure.reason
    assert "not a valid SMILES" in no_molecule.failure.reason


def test_text_is_compared_as_it_is_where_objects_are_not_molecules(write):
    oracle = MeasuredTable(write("smiles,value\nCCO,1\n"), object_type="other")
    assert oracle.object_type is None
    assert answer(oracle, "OCC").failure.kind == "invalid"


def test_canonical_smiles_need_not_be_made_canonical_again(write):
    file = write("smiles,value\nCCO,1\nxyz,2\n")
    oracle = MeasuredTable(file, is_canonical=True)
    oracle.check()
    assert answer(oracle, "OCC").values == (1.0,)
    with pytest.raises(ConfigError, match="line 3"):
        MeasuredTable(file).check()


def test_replicates_are_averaged_with_their_pooled_standard_error(write):
    """By hand: deviations of 1, -1 (a) and 2, 0, -2 (b): 10 over 3 degrees of freedom."""
    oracle = MeasuredTable(write("object,value\na,1\nb,10\nb,12\na,3\nb,14\nc,5\n"))
    a, b, c = evaluate_all(oracle, ["a", "b", "c"])
    assert (a.values, b.values, c.values) == ((2.0,), (12.0,), (5.0,))
    scatter = math.sqrt(10 / 3)
    assert a.noise == pytest.approx((scatter / math.sqrt(2),))
    assert b.noise == pytest.approx((scatter / math.sqrt(3),))
    assert c.noise is None
    assert (a.info, b.info, c.info) == ({"n_measurements": 2}, {"n_measurements": 3}, {})


def test_replicates_of_one_molecule_may_be_written_in_several_ways(write):
    oracle = MeasuredTable(write("smiles,value\nCCO,1\nOCC,2\n"))
    assert [o.values for o in evaluate_all(oracle, ["CCO", "OCC", "C(O)C"])] == [(1.5,)] * 3


def test_replicates_without_a_value_do_not_count(write):
    oracle = MeasuredTable(write("object,value\na,1\na,\na,3\nb,2\nb,\n"))
    a, b = evaluate_all(oracle, ["a", "b"])
    assert a.values == (2.0,)
    assert a.noise == pytest.approx((1.0,))  # deviations of 1 and -1 over one degree of freedom, of two values
    assert b.values == (2.0,)
    assert b.noise is None


def test_the_noise_of_replicates_follows_from_that_of_each(write):
    file = write("object,value,error\na,1,0.3\na,3,0.4\nb,1,0.5\n")
    a, b = evaluate_all(MeasuredTable(file, values=[Column("value", noise="error")]), ["a", "b"])
    assert a.noise == pytest.approx((0.25,))
    assert b.noise == (0.5,)


def test_the_version_follows_the_content(write):
    first, again, other = (
        write("object,value\na,1\n"),
        write("object,value\na,1\n", "b.csv"),
        write("o,v\na,2\n", "c.csv"),
    )
    assert MeasuredTable(first).version == MeasuredTable(again).version
    assert MeasuredTable(first).version != MeasuredTable(other).version


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("object,value\na,1\nb,x\n", {}, "line 3: 'x'"),
        ("object,value\na,1\n", {"object": "smiles"}, "no column 'smiles'"),
        ("object,value\na,1\n", {"values": ["score"]}, "no column 'score'"),
        ("object,value\na,1\n", {"values": [Column("value", noise="error")]}, "no column 'error'"),
        ("object,value,e\na,1,-1\n", {"values": [Column("value", noise="e")]}, "line 2.*below 0"),
        ("object,x,y,e\na,1,2,3\n", {"values": [Column("x", noise="e"), "y"]}, "name one for each"),
        ("object,value\na,1\n", {"values": []}, "none"),
        ("object,value\na,1\n", {"values": ["value", "value"]}, "distinct columns"),
        ("object,value\na,1\n", {"values": ["object"]}, "without the object column"),
        ("object,comment\na,good\n", {}, "no column of numbers"),
        ("object,value\na,1\n", {"call_size": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_asked_of_a_table_is_refused(write, content, arguments, message):
    with pytest.raises(ConfigError, match=message):
        MeasuredTable(write(content), **arguments)


def test_a_molecule_that_is_none_is_refused_before_anything_is_paid(write):
    with pytest.raises(ConfigError, match="line 3: 'xyz'"):
        MeasuredTable(write("smiles,value\nC,1\nxyz,2\n")).check()


@pytest.mark.parametrize("is_canonical", [False, True])
def test_a_missing_library_names_the_remedy(monkeypatch, is_canonical):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(ConfigError, match="pip install rdkit"):
        MeasuredTable("enamine10k", is_canonical=is_canonical).check()
    MeasuredTable("tfbind8").check()


def test_importing_these_oracles_loads_nothing_heavy():
    names = ("table", "guacamol", "guacamol.tasks", "rdkit_properties", "_chemistry.molecules")
    modules = ", ".join(f"al_loop.oracles.{name}" for name in names)
    heavy = "{'torch', 'ray', 'rdkit', 'numpy', 'pandas'}"
    code = f"import sys, {modules}; loaded = {heavy} & set(sys.modules); assert not loaded, loaded"
    subprocess.run([sys.executable, "-c", code], check=True)
