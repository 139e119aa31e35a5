import pickle
from collections import defaultdict

import pytest
import torch
from rdkit import Chem

from al_loop.environments.fragments import Fragments
from al_loop.environments.fragments.vocabulary import take_apart
from al_loop.environments.testing import EnvironmentContract
from al_loop.gflownet.action_choice import masked_log_softmax
from al_loop.gflownet.exact_distribution import terminal_states
from al_loop.gflownet.policies.fragments import FragmentPolicy
from al_loop.gflownet.rollout import rollout
from tests.support.fragments import BLOCKS, vocabulary


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return Fragments(max_fragments=3, min_fragments=1, vocabulary=vocabulary(tmp_path_factory.mktemp("vocabulary")))


class TestSmallVocabulary(EnvironmentContract):
    invalid = ("not a molecule", "CCO", "Fc1ccccc1.C", "[Na+]", "")

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.path = vocabulary(tmp_path)

    def make(self):
        return Fragments(max_fragments=5, min_fragments=2, max_atoms=20, vocabulary=self.path)


class TestTinySpace(EnvironmentContract):
    invalid = ("Fc1ccc(F)c(F)c1", "Fc1cncnc1")
    is_small = True

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.path = vocabulary(tmp_path, [*BLOCKS[:3], BLOCKS[4]])

    def make(self):
        return Fragments(max_fragments=3, min_fragments=2, max_atoms=11, vocabulary=self.path)


class TestShippedVocabulary(EnvironmentContract):
    invalid = ("not a molecule", "[Fe]", "CCO")
    n_pairs = 300

    def make(self):
        return Fragments()


def partial_states(environment):
    """Every unfinished state that can be reached, the empty one too."""
    found = [environment.initial(1)]
    for _ in range(environment.max_fragments):
        row, action = environment.forward_mask(found[-1])[:, :-1].nonzero(as_tuple=True)
        found.append(environment.step(found[-1][row], action).unique(dim=0))
    return torch.cat(found)


def history_log_pb(environment, policy, states):
    """Log P_B of the one forward history of each drawing: always the block that was added last."""
    total = torch.zeros(len(states), dtype=torch.float64)
    for _ in range(environment.max_steps):
        mask = environment.backward_mask(states)
        last = (states[:, : environment.max_fragments] > 0).sum(1) - 1
        undo = torch.where(states[:, -1] == 1, environment.max_fragments, last).clamp(min=0)
        log_pb = masked_log_softmax(policy(states).double(), mask).gather(1, undo[:, None])[:, 0]
        alive = mask.any(1)
        total = total + torch.where(alive, log_pb, 0.0)
        states = torch.where(alive[:, None], environment.backward_step(states, undo), states)
    return total


def far_from_uniform(environment, hidden, seed):
    torch.manual_seed(seed)
    policy = FragmentPolicy(environment, hidden, 2)
    for parameter in policy.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return policy


def maximum_entropy(environment):
    def logits(states):
        n, choices = len(states), environment.n_backward_actions
        parents = environment.backward_step(states.repeat_interleave(choices, 0), torch.arange(choices).repeat(n))
        return environment.log_paths(parents).view(n, choices).nan_to_num()

    return logits


def sums(environment, policy, states):
    """Return the sum of P_B(history) over the states of every molecule, with and without the multiplicity."""
    with torch.no_grad():
        log_pb = history_log_pb(environment, policy, states)
        log_m = environment.log_multiplicity(states).double()
    right, wrong = defaultdict(float), defaultdict(float)
    for smiles, a, b in zip(environment.decode(states), (log_pb - log_m).exp(), log_pb.exp(), strict=True):
        right[smiles] += float(a)
        wrong[smiles] += float(b)
    return right, wrong


@pytest.fixture(scope="module")
def weights(small):
    return sums(small, far_from_uniform(small, 32, 0).backward_logits, terminal_states(small))


def test_drawings_of_a_molecule_share_one_unit_of_backward_flow(weights):
    right, _ = weights
    assert len(right) > 250
    assert max(abs(v - 1) for v in right.values()) < 1e-4


def test_without_multiplicity_symmetric_molecules_get_too_much(weights):
    _, wrong = weights
    assert max(abs(v - 1) for v in wrong.values()) > 1
    assert sum(abs(v - 1) > 0.1 for v in wrong.values()) > len(wrong) / 2


@pytest.mark.parametrize("backward", ["uniform", "learned", "maximum_entropy"])
def test_drawings_of_a_partial_molecule_share_one_unit_of_backward_flow(tmp_path, backward):
    """For every number of blocks; min_fragments leaves some of these molecules that can never be finished as such."""
    environment = Fragments(
        max_fragments=4, min_fragments=3, max_atoms=16, vocabulary=vocabulary(tmp_path, [*BLOCKS[:3], BLOCKS[4]])
    )
    policy = {
        "uniform": lambda states: torch.zeros(len(states), environment.n_backward_actions),
        "learned": far_from_uniform(environment, 16, 0).backward_logits,
        "maximum_entropy": maximum_entropy(environment),
    }[backward]
    states = partial_states(environment)
    right, wrong = sums(environment, policy, states)
    assert "" in right  # no block is a molecule with one drawing
    assert len(right) > 100
    assert max(abs(v - 1) for v in right.values()) < 1e-4
    assert max(abs(v - 1) for v in wrong.values()) > 1


@pytest.fixture(scope="module")
def drawn():
    environment = Fragments()
    return environment, rollout(environment, None, 300, generator=torch.Generator().manual_seed(3)).terminal


def test_random_molecules_are_sane(drawn):
    environment, states = drawn
    objects = environment.decode(states)
    assert len(set(objects)) > 290
    for smiles in objects:
        mol = Chem.MolFromSmiles(smiles)
        assert Chem.MolToSmiles(mol) == smiles
        assert mol.GetNumAtoms() <= environment.max_atoms
        assert environment.min_fragments <= len(take_apart(mol)) <= environment.max_fragments
        assert "." not in smiles
        assert not any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())


@pytest.mark.parametrize("content", ["[]", "{}", "[1]", "not json", '[{"smiles": "C"}]'])
def test_a_bad_vocabulary_is_named(tmp_path, content):
    path = tmp_path / "bad.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.json"):
        Fragments(vocabulary=str(path))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"min_fragments": 0}, "min_fragments"),
        ({"min_fragments": 7}, "min_fragments"),
        ({"max_atoms": 0}, "max_atoms"),
        ({"vocabulary": "/nowhere/at/all.json"}, "/nowhere/at/all.json"),
    ],
)
def test_bad_arguments_are_refused(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        Fragments(**arguments)


def test_survives_pickling(small):
    small.forward_mask(small.initial(1))  # fills what is kept for each device
    copy = pickle.loads(pickle.dumps(small))
    states = terminal_states(small)[:50]
    assert copy.decode(states) == small.decode(states)
    assert torch.equal(copy.forward_mask(states), small.forward_mask(states))


@pytest.mark.parametrize("limits", [(2, 4), (2, 7), (3, 8), (4, 12)])
def test_every_molecule_keeps_both_limits(limits):
    environment = Fragments(min_fragments=limits[0], max_atoms=limits[1])
    terminal = rollout(environment, None, 64, generator=torch.Generator().manual_seed(0)).terminal
    blocks = terminal[:, : environment.max_fragments]
    assert ((blocks > 0).sum(1) >= limits[0]).all()
    assert (environment.tables(torch.device("cpu")).n_atoms[blocks].sum(1) <= limits[1]).all()
    assert torch.equal((environment.encode(environment.decode(terminal))[:, -1]), terminal[:, -1])


def test_limits_that_no_molecule_meets_are_refused():
    with pytest.raises(ValueError, match=r"no molecule of 3 blocks has at most max_atoms .3.*the smallest has 5"):
        Fragments(min_fragments=3, max_atoms=3)
