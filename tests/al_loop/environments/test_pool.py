"""Pools against the list that they were read from."""

import subprocess
import sys

import pytest
import torch

from al_loop.config.plugins import find
from al_loop.environments.pool import Pool
from al_loop.environments.testing import EnvironmentContract
from al_loop.errors import ConfigError
from al_loop.gflownet.exact_distribution import object_distribution


@pytest.fixture
def write(tmp_path):
    def write(content, name="pool.csv"):
        (tmp_path / name).write_text(content)
        return str(tmp_path / name)

    return write


class TestMoleculesContract(EnvironmentContract):
    invalid = ("", "C", "not a molecule", "C(C)(C)(C)(C)C")
    is_small = True

    @pytest.fixture(autouse=True)
    def _file(self, write):
        self.file = write("smiles\nOCC\nc1ccccc1\nC1=CC=CC=C1\nCC(=O)O\n", "pool.csv")

    def make(self):
        return Pool(self.file)


class TestSequencesContract(EnvironmentContract):
    invalid = ("", "AC", "ACGTACG", "acgtacgt")

    def make(self):
        return Pool("tfbind8")


class TestOneObjectContract(EnvironmentContract):
    invalid = ("rice",)
    is_small = True

    @pytest.fixture(autouse=True)
    def _file(self, write):
        self.file = write("red wine\n", "pool.txt")

    def make(self):
        return Pool(self.file)


def test_the_objects_are_canonical_each_once_and_sorted(write):
    pool = Pool(write("name,smiles,score\nx,OCC,1\ny,c1ccccc1,9\nz,C1=CC=CC=C1,9\nv,CC(=O)O,3\n"))
    assert pool.objects == ["CC(=O)O", "CCO", "c1ccccc1"]
    assert pool.n_actions == 4


def test_each_object_is_picked_alike_by_random_actions(write):
    found = object_distribution(Pool(write("smiles\nCCO\nOCC\nC\nCC\n")), None)
    assert found == pytest.approx({"C": 1 / 3, "CC": 1 / 3, "CCO": 1 / 3})


def test_a_molecule_is_found_in_whatever_way_it_is_written(write):
    pool = Pool(write("CCO ethanol\nc1ccccc1 benzene\n", "pool.smi"))
    assert pool.encode(["OCC", "C1=CC=CC=C1"]).tolist() == pool.encode(["CCO", "c1ccccc1"]).tolist() == [[0], [1]]


def test_the_file_tells_what_the_objects_are_and_an_argument_overrules_it(write):
    assert Pool(write("smiles\nCCO\n")).object_type == "molecule"
    assert Pool(write("sequence\nACGT\n", "s.csv")).object_type == "sequence"
    assert Pool(write("red wine\n", "w.txt")).object_type == "other"
    other = Pool(write("smiles\nOCC\nCCO\n", "o.csv"), object_type="other")
    assert (other.object_type, other.objects) == ("other", ["CCO", "OCC"])


def test_a_column_may_be_named(write):
    pool = Pool(write("smiles,peptide\nCCO,ACD\nC,AC\n"), column="peptide", object_type="sequence")
    assert pool.objects == ["AC", "ACD"]
    assert (pool.alphabet, pool.length) == ("ACD", 3)


def test_smiles_that_are_canonical_already_are_taken_as_they_are(write):
    assert Pool(write("smiles\nOCC\nCCO\n"), is_canonical=True).objects == ["CCO", "OCC"]


@pytest.mark.slow
def test_the_shipped_tables_are_pools():
    assert len(Pool("tfbind8").objects) == 4**8
    assert len(Pool("enamine10k").objects) == 10_446


def test_states_and_features_are_one_number_however_many_objects_there_are():
    pool = Pool("tfbind8")
    states = pool.step(pool.initial(3), torch.tensor([0, 65_535, 5]))
    assert pool.decode(states) == ["AAAAAAAA", "TTTTTTTT", "AAAAAACC"]
    assert states.shape == pool.features(states).shape == (3, 1)


def test_steps_share_no_memory_with_their_arguments(write):
    pool = Pool(write("smiles\nCCO\nC\n"))
    actions = torch.tensor([1, 0])
    states = pool.step(pool.initial(2), actions)
    states += 1
    assert actions.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("smiles\nCCO\nxyz\n", {}, "line 3: 'xyz'"),
        ("smiles\nCCO\n", {"column": "sequence"}, "no column 'sequence'"),
        ("smiles\n", {}, "no rows"),
    ],
)
def test_what_is_no_pool_is_refused_with_the_line(write, content, arguments, message):
    with pytest.raises(ConfigError, match=message):
        Pool(write(content), **arguments)


def test_it_is_found_by_its_kind():
    assert find("environment", "pool") is Pool


def test_words_are_read_without_rdkit():
    code = (
        "import sys; from al_loop.environments.pool import Pool; Pool('tfbind8').encode(['ACGTACGT']); "
        "loaded = {'rdkit', 'ray', 'botorch', 'pandas', 'pydantic'} & set(sys.modules); assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
