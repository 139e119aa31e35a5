"""Trees of patterns: the environment's contract, exact multiplicities, and molecules that come back as they were."""

import pickle
from collections import Counter

import pytest
import torch

from al_loop.environments.fragments import Fragments
from al_loop.environments.fragments.closed import ClosedFragments
from al_loop.environments.testing import EnvironmentContract
from al_loop.gflownet.exact_distribution import terminal_states
from al_loop.gflownet.rollout import rollout
from al_loop.smiles import canonical_smiles
from tests.support.patterns import MOLECULES, write_vocabulary


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_vocabulary(tmp_path_factory.mktemp("patterns"))


class TestPatterns(EnvironmentContract):
    invalid = ("not a molecule", "CCO", "Cc1ccc(C)cc1.Cl", "[Na+]", "", "[13CH3]c1ccc(C)cc1", "Cc1ccc([CH2])cc1")

    @pytest.fixture(autouse=True)
    def _path(self, path):
        self.path = path

    def make(self):
        return Fragments(max_fragments=5, max_atoms=26, vocabulary=self.path)


class TestTinySpace(EnvironmentContract):
    is_small = True
    invalid = ("Cc1ccc(-c2ccccc2)cc1",)

    @pytest.fixture(autouse=True)
    def _path(self, path):
        self.path = path

    def make(self):
        return Fragments(max_fragments=4, max_atoms=10, vocabulary=self.path)


def test_the_vocabulary_decides_which_kind_of_space_is_built(path):
    environment = Fragments(vocabulary=path)
    assert isinstance(environment, ClosedFragments)
    assert isinstance(Fragments(vocabulary="bengio72"), Fragments)
    assert not isinstance(Fragments(), ClosedFragments)
    assert pickle.loads(pickle.dumps(environment)).encode(MOLECULES[:1]).equal(environment.encode(MOLECULES[:1]))


def test_each_molecule_has_as_many_states_as_its_multiplicity(path):
    environment = Fragments(max_fragments=5, max_atoms=15, vocabulary=path)
    states = terminal_states(environment)
    names = environment.decode(states)
    numbers = Counter(names)
    identities = environment.identity(states).tolist()
    trees = {}
    for name, identity in zip(names, identities, strict=True):
        trees.setdefault(name, set()).add(identity)
    # a centre with two equal branches is none: these molecules have one more tree
    single = [i for i, name in enumerate(names) if len(trees[name]) == 1]
    assert len(single) > 0.9 * len(names) > 100
    multiplicity = environment.log_multiplicity(states).exp().tolist()
    assert all(multiplicity[i] == pytest.approx(numbers[names[i]], rel=1e-4) for i in single)
    assert max(numbers[names[i]] for i in single) > 1
    assert len(set(identities)) == sum(map(len, trees.values())), "an identity belongs to one molecule"


@pytest.mark.parametrize("smiles", MOLECULES)
def test_the_molecules_of_the_file_come_back_with_their_configuration(path, smiles):
    environment = Fragments(vocabulary=path)
    assert environment.decode(environment.encode([smiles])) == [canonical_smiles(smiles)]


def test_configurations_that_differ_are_different_objects(path):
    environment = Fragments(vocabulary=path)
    states = environment.encode(["C[C@H](F)c1ccccc1", "C[C@@H](F)c1ccccc1", "CC(F)c1ccccc1"])
    assert len(set(environment.decode(states))) == 3
    assert len(set(environment.identity(states).tolist())) == 3


@pytest.mark.parametrize(
    ("smiles", "settings", "reason"),
    [
        ("Clc1ccc(C)cc1", {}, r"not in the vocabulary: \[1\*\]Cl"),
        ("CCc1ccccc1", {}, "not in the vocabulary"),
        ("COc1ccccc1", {}, "no bond between O and aromatic C"),
        ("Cc1ccc(-c2ccc(-c3ccccc3)cc2)cc1", {"max_fragments": 3}, r"more blocks than max_fragments \(3\)"),
        ("Cc1ccc(-c2ccccc2)cc1", {"max_atoms": 12}, r"more heavy atoms than max_atoms \(12\)"),
        ("c1ccccc1", {}, "single block"),
        ("[13CH3]c1ccc(C)cc1", {}, "an isotope"),
        ("[2H]c1ccc(C)cc1", {}, "an isotope"),
        ("[H]/N=C(\\C)c1ccccc1", {}, "a hydrogen that defines a configuration"),
    ],
)
def test_a_molecule_that_no_actions_build_is_refused_with_the_reason(path, smiles, settings, reason):
    with pytest.raises(ValueError, match=reason):
        Fragments(vocabulary=path, **settings).encode([smiles])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_fragments": 3}, "min_fragments: must be 1 or 2"),
        ({"max_fragments": 1}, "max_fragments: must be at least 2"),
        ({"max_atoms": 1}, "max_atoms: 1 is below the smallest molecule"),
        ({"exclude": ["[1*]Br"]}, r"exclude: \['\[1\*\]Br'\] are not blocks"),
    ],
)
def test_limits_are_validated(path, settings, message):
    with pytest.raises(ValueError, match=message):
        Fragments(vocabulary=path, **settings)


def test_children_of_two_molecules_consist_of_a_part_of_each(path):
    environment = Fragments(vocabulary=path)
    generator = torch.Generator().manual_seed(0)
    parents = rollout(environment, None, 64, generator=generator).terminal
    children, is_child = environment.crossover(parents, parents.flip(0), generator)
    assert is_child.float().mean() > 0.8
    names = environment.decode(children)
    assert environment.decode(environment.encode(names)) == names
    assert (children[~is_child] == parents[~is_child]).all()
    again = environment.crossover(parents, parents.flip(0), torch.Generator().manual_seed(0))[0]
    assert again.shape == children.shape


def test_graphs_of_states_are_those_of_their_molecules(path):
    from rdkit import Chem

    from al_loop.features.circular import Circular

    environment = Fragments(vocabulary=path)
    states = rollout(environment, None, 32, generator=torch.Generator().manual_seed(1)).terminal
    graphs = environment.graphs(states)
    names = environment.decode(states)
    for i, name in enumerate(names):
        mol = Chem.MolFromSmiles(name)
        assert int(graphs.is_atom[i].sum()) == mol.GetNumAtoms()
        assert int(graphs.atoms[i, :, 1].sum()) == sum(a.GetTotalNumHs() for a in mol.GetAtoms())
        assert int(graphs.atoms[i, :, 2].sum()) == Chem.GetFormalCharge(mol)
    features = Circular()
    assert torch.equal(features.of_graphs(graphs), features(names))


@pytest.mark.parametrize(
    ("settings", "says_share"),
    [
        ({}, True),
        ({"max_atoms": 10}, False),
        ({"max_fragments": 3}, False),
        ({"exclude": ["[1*]F"]}, False),
        ({"scaffold": "[*]c1ccccc1"}, False),
    ],
)
def test_what_a_space_is_said_to_hold_is_true_of_its_settings(settings, says_share):
    about = "; ".join(Fragments(vocabulary="zinc_small", **settings).about())
    assert ("of which they make 44%" in about) is says_share
    assert ("299 blocks" if "exclude" in settings else "300 blocks") in about
    assert ("each with the scaffold [1*]c1ccccc1" in about) is ("scaffold" in settings)
