import itertools
import pickle
import subprocess
import sys

import pytest
import torch

pytest.importorskip("selfies", reason="needs selfies")

from rdkit import Chem

from al_loop.environments.selfies import ZINC_ALPHABET, Selfies
from al_loop.environments.testing import EnvironmentContract
from al_loop.gflownet.exact_distribution import terminal_states
from al_loop.gflownet.rollout import rollout

SMALL = ["[C]", "[=C]", "[O]", "[=O]", "[N]", "[Branch1]", "[Ring1]"]


def canonical(smiles):
    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles))


class TestSmallAlphabet(EnvironmentContract):
    """Every molecule that it makes can be written from some atom on."""

    invalid = ("", "not a molecule", "CS", "CCO.C", "CCCCCCCCC", "[Na+]", "C#N")
    is_small = True

    def make(self):
        return Selfies(["[C]", "[=C]", "[#C]", "[O]", "[=O]", "[Branch1]"], 4, 2)


class TestDrugLikeAlphabet(EnvironmentContract):
    """Without sulfur and phosphorus, whose odd triple bonds only some orders of symbols can write."""

    invalid = ("", "CS", "C[C@H](N)O", "CCO.C")

    def make(self):
        return Selfies([s for s in ZINC_ALPHABET if s not in ("[S]", "[=S]", "[P]", "[N+1]", "[=N+1]")], 24, 6)


def test_every_word_that_starts_with_an_atom_is_reached_once():
    environment = Selfies(SMALL, 3, 2)
    words = {tuple(row[: row[-2]]) for row in terminal_states(environment).tolist()}
    rest = range(len(SMALL))
    assert words == {w for k in (2, 3) for w in itertools.product(range(5), *[rest] * (k - 1))}


def test_small_words_are_the_molecules_that_selfies_says():
    environment = Selfies(["[Ring1]", "[C]", "[=O]", "[Branch1]"], 4, 1)
    drawn = ["[C][C][=O]", "[C][Branch1][C][=O]", "[C][C][C][Ring1]", "[=O]"]
    expected = ["CC=O", "CO", "C=CC", "O"]
    index = {symbol: i for i, symbol in enumerate(environment.alphabet)}
    rows = [[index[f"[{s}"] for s in word.split("[")[1:]] for word in drawn]
    assert environment.decode(environment._finished(rows, drawn)) == [canonical(s) for s in expected]


DRUGS = [
    "CC(=O)Oc1ccccc1C(=O)O",  # aspirin
    "CC(C)Cc1ccc(C(C)C(=O)O)cc1",  # ibuprofen
    "Cn1c(=O)c2c(ncn2C)n(C)c1=O",  # caffeine
    "NS(=O)(=O)c1ccc(N)cc1",  # sulfanilamide
    "CC1=C(C(C(=C(N1)C)C(=O)OC)c2ccccc2[N+](=O)[O-])C(=O)OC",  # nifedipine
    "C[NH+](C)CCOC(c1ccccc1)c1ccccc1",  # diphenhydramine, with its proton
    "c1cc[nH]c1",
    "CC#N",
    "O=C1c2ccccc2C(=O)N1C1CCC(=O)NC1=O",  # thalidomide
]


@pytest.mark.parametrize("smiles", DRUGS)
def test_drugs_have_words(smiles):
    environment = Selfies(length=60)
    states = environment.encode([smiles])
    assert environment.decode(states) == [canonical(smiles)]
    assert bool(environment.is_terminal(states).all())
    assert states[0, 0] < environment._n_atoms


def test_short_molecules_are_filled_up_to_the_shortest_word():
    environment = Selfies(length=30, min_length=20)
    for smiles in ("C", "CF", "c1ccccc1", "CC(=O)O", "[NH4+]"):
        state = environment.encode([smiles])
        assert state[0, -2] == 20
        assert environment.decode(state) == [smiles]


@pytest.fixture(scope="module")
def drawn():
    environment = Selfies(length=30, min_length=15)
    return environment, rollout(environment, None, 400, generator=torch.Generator().manual_seed(0)).terminal


def test_random_words_are_whole_molecules(drawn):
    environment, states = drawn
    for smiles in environment.decode(states):
        mol = Chem.MolFromSmiles(smiles)
        assert mol is not None
        assert mol.GetNumAtoms() > 0
        assert Chem.MolToSmiles(mol) == smiles
        assert "." not in smiles
        assert not any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())


def test_nearly_all_random_molecules_have_a_word(drawn):
    environment, states = drawn
    missing = 0
    for smiles in environment.decode(states):
        try:
            assert environment.decode(environment.encode([smiles])) == [smiles]
        except ValueError as error:
            missing += 1
            assert "symbols" in str(error)  # noqa: PT017
    assert missing < 12


def test_unpaired_electrons_are_filled_with_hydrogen():
    environment = Selfies(["[C]", "[N+1]", "[NH1]", "[O-1]"], 2)
    assert environment._molecule("[C][N+1]") == "C[NH3+]"
    assert environment._molecule("[C][NH1]") == "CN"
    assert environment._molecule("[O-1][C]") == "C[O-]"


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("CS", r"symbols that are not in the alphabet: \['\[S\]'\]"),
        ("CCCCC", "requires 5 symbols, more than length \\(4\\)"),
        ("CC.O", "more than one molecule"),
        ("xyz", "not a molecule"),
        ("F[I](F)(F)(F)F", "bonds that SELFIES does not allow"),
    ],
)
def test_why_a_molecule_has_no_word_is_said(smiles, reason):
    with pytest.raises(ValueError, match=reason):
        Selfies(SMALL, 4, 1).encode([smiles])


def test_stereochemistry_is_kept_where_the_alphabet_has_it():
    environment = Selfies(["[C]", "[O]", "[N]", "[F]", "[C@H1]", "[C@@H1]", "[Branch1]"], 8, 1)
    objects = ["C[C@H](N)O", "C[C@@H](N)O"]
    assert environment.decode(environment.encode(objects)) == [canonical(s) for s in objects]


@pytest.mark.parametrize("symbol", ["C", "[Xx]", "[epsilon]", "[C][C]", "[C].[C]", "", "[c]", "[Ring9]"])
def test_what_is_no_symbol_is_named(symbol):
    with pytest.raises(ValueError, match="is not a SELFIES symbol"):
        Selfies(["[C]", symbol], 4)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"alphabet": ["[Ring1]"]}, "at least one atom"),
        ({"alphabet": []}, "at least one atom"),
        ({"alphabet": ["[C]", "[C]"]}, "none empty and none twice"),
        ({"length": 3, "min_length": 4}, "min_length"),
    ],
)
def test_bad_arguments_are_refused(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        Selfies(**arguments)


def test_the_missing_package_is_named():
    code = (
        "import sys; sys.modules['selfies'] = None\n"
        "from al_loop.environments.selfies import Selfies\n"
        "from al_loop.errors import ConfigError\n"
        "try: Selfies()\n"
        "except ConfigError as error: print(error)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install" in result.stdout


def test_survives_pickling(drawn):
    environment, states = drawn
    copy = pickle.loads(pickle.dumps(environment))
    assert copy.decode(states[:20]) == environment.decode(states[:20])
