import itertools
import json
import pickle
from collections import defaultdict

import pytest
import torch
from rdkit import Chem

from al_loop.environments.fragments import SHIPPED_VOCABULARY, Fragments
from al_loop.environments.fragments.vocabulary import build, describe_block, take_apart
from al_loop.environments.testing import EnvironmentContract
from al_loop.gflownet.exact_distribution import terminal_states
from al_loop.gflownet.policies.fragments import FragmentPolicy
from al_loop.gflownet.rollout import masked_log_softmax, rollout

# benzene and methane have many symmetries, pyrimidine two, sulfonamide a bond that must be made
BLOCKS = [
    ("c1ccccc1", [0, 1, 2, 3, 4, 5]),
    ("C", [0, 0, 0]),
    ("F", [0]),
    ("c1cncnc1", [0, 1, 3, 5]),
    ("N[SH](=O)=O", [0, 1]),
]


def vocabulary(folder, blocks=BLOCKS):
    path = folder / "vocabulary.json"
    path.write_text(json.dumps([describe_block(smiles, sites) for smiles, sites in blocks]), encoding="utf-8")
    return str(path)


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
    """Of every molecule, the sum over its drawings of P_B(history), with and without the multiplicity."""
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


def brute_force_automorphisms(environment, row):
    """Automorphisms of one fragment tree, by trying every permutation of slots and every symmetry of each block."""
    block, parent, parent_site, own_site = (x[0].tolist() for x in environment.slots(row))
    n = sum(b > 0 for b in block)
    bonds = {frozenset([(s, own_site[s]), (parent[s], parent_site[s])]) for s in range(1, n)}
    count = 0
    for slots in itertools.permutations(range(n)):
        if any(block[slots[s]] != block[s] for s in range(n)):
            continue
        for moves in itertools.product(*(environment.blocks[b - 1].symmetries for b in block[:n])):
            count += {frozenset((slots[s], moves[s][i]) for s, i in bond) for bond in bonds} == bonds
    return count


def test_n_automorphisms_is_what_brute_force_counts(small):
    states = terminal_states(small)
    picked = states[torch.randperm(len(states), generator=torch.Generator().manual_seed(0))[:150]]
    # with the most symmetric ones: three benzenes in a row, three methyls on a ring
    extra = small.encode(["c1ccc(-c2ccc(-c3ccccc3)cc2)cc1", "Fc1ccc(F)cc1", "c1ccc(Cc2ccccc2)cc1", "c1ccccc1"])
    picked = torch.cat([picked, extra])
    expected = [brute_force_automorphisms(small, row[None]) for row in picked]
    assert small.n_automorphisms(picked).tolist() == expected
    assert max(expected) > 4


def test_n_automorphisms_does_not_depend_on_the_batch(small):
    states = terminal_states(small)[::97]
    assert small.n_automorphisms(states).tolist() == [int(small.n_automorphisms(row[None])) for row in states]


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


def test_encode_finds_drawings_of_the_same_molecules(drawn):
    environment, states = drawn
    objects = environment.decode(states)
    assert environment.decode(environment.encode(objects)) == objects


def test_symmetry_of_a_molecule_does_not_depend_on_its_drawing(drawn):
    environment, states = drawn
    again = environment.encode(environment.decode(states))
    assert torch.equal(environment.n_automorphisms(states), environment.n_automorphisms(again))


def test_backward_policy_does_not_depend_on_the_drawing(small):
    torch.manual_seed(1)
    policy = FragmentPolicy(small, 16, 2)
    states = terminal_states(small)
    states = states[torch.randperm(len(states), generator=torch.Generator().manual_seed(4))[:200]].clone()
    states[:, -1] = 0
    with torch.no_grad():
        log_pb = masked_log_softmax(policy.backward_logits(states), small.backward_mask(states)).exp()
    finished = torch.cat([states[:, :-1], torch.ones_like(states[:, :1])], 1)
    seen = defaultdict(set)
    for smiles, row in zip(small.decode(finished), log_pb, strict=True):
        seen[smiles].add(tuple(round(v, 4) for v in sorted(row.tolist())))
    assert all(len(v) == 1 for v in seen.values())


def test_sparse_log_probabilities_are_the_dense_ones(drawn):
    environment, _ = drawn
    torch.manual_seed(2)
    policy = FragmentPolicy(environment, 16, 2)
    trajectories = rollout(environment, None, 24, generator=torch.Generator().manual_seed(5))
    is_step = (trajectories.actions >= 0).flatten()
    states, actions = trajectories.states[:-1].flatten(0, 1)[is_step], trajectories.actions.flatten()[is_step]
    mask = environment.forward_mask(states)
    sparse = policy.forward_log_prob(states, mask, actions)
    dense = super(type(policy), policy).forward_log_prob(states, mask, actions)
    torch.testing.assert_close(sparse, dense)
    parameters = [p for name, p in policy.named_parameters() if not name.startswith(("back", "flow"))]
    for a, b in zip(
        torch.autograd.grad(sparse.sum(), parameters), torch.autograd.grad(dense.sum(), parameters), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("smiles", "pieces"),
    [
        ("CC(=O)Oc1ccccc1C(=O)O", ["CC(=O)O", "O=CO", "c1ccccc1"]),  # aspirin
        ("CC(C)Cc1ccc(C(C)C(=O)O)cc1", ["CC(C)C", "CCC(=O)O", "c1ccccc1"]),  # ibuprofen
        ("CC(=O)Nc1ccc(O)cc1", ["CC(N)=O", "O", "c1ccccc1"]),  # paracetamol
        ("Cn1c(=O)c2c(ncn2C)n(C)c1=O", ["C", "C", "C", "O=c1[nH]c(=O)c2[nH]cnc2[nH]1"]),  # caffeine
        ("NS(=O)(=O)c1ccc(N)cc1", ["N", "N[SH](=O)=O", "c1ccccc1"]),  # sulfanilamide
    ],
)
def test_take_apart_cuts_drugs_at_their_rings(smiles, pieces):
    found = take_apart(Chem.MolFromSmiles(smiles))
    assert sorted(piece.smiles for piece in found) == pieces
    ends = sorted(bond for piece in found for _, bond in piece.bonds)
    assert ends == sorted([*range(len(pieces) - 1)] * 2)


def test_build_counts_rings_chains_and_sites():
    smiles = ["Cc1ccccc1", "Cc1ccccc1F", "c1ccc(Cc2ccccc2)cc1", "Fc1ccncc1", "CCO", "[Na+].Cc1ccccc1", "broken("]
    blocks = {block["smiles"]: block for block in build(smiles, n_rings=2, n_chains=2, min_count=1)}
    assert list(blocks) == ["c1ccccc1", "C", "F", "c1ccncc1"]  # by how often they occur
    assert blocks["c1ccccc1"]["sites"] == [0, 1, 2, 3, 4, 5]
    assert len(blocks["c1ccccc1"]["symmetries"]) == 12
    assert blocks["C"]["sites"] == [0, 0]  # toluene once, diphenylmethane twice
    assert blocks["F"]["sites"] == [0]
    assert blocks["c1ccncc1"]["sites"] == [0]  # opposite to its nitrogen
    assert build(smiles, n_rings=1, n_chains=0, min_count=1) == [blocks["c1ccccc1"]]
    assert [b["smiles"] for b in build(smiles, min_count=2)] == ["c1ccccc1", "C", "F"]


def test_describe_block_gives_what_the_environment_needs():
    assert describe_block("N[SH](=O)=O", [0, 1]) == {
        "smiles": "N[SH](=O)=O",
        "is_ring": False,
        "sites": [0, 1],
        "classes": ["hetero", "sulfonyl"],
        "required": 1,
        "n_atoms": 4,
        "tokens": ["N", "[SH]", "(=O", ")=O", ""],
        "symmetries": [[0, 1]],
    }


def test_shipped_blocks_are_what_describe_block_gives():
    for block in json.loads(SHIPPED_VOCABULARY.read_text(encoding="utf-8")):
        assert describe_block(block["smiles"], block["sites"]) == block


def test_describe_block_refuses_half_an_orbit():
    """Ortho and para sites of benzene alone: drawings that are the same molecule would be counted as different."""
    assert describe_block("c1ccccc1", [0, 1, 3]) is None
    assert describe_block("CO", [0, 0, 1]) is not None


def test_small_molecules_that_cannot_grow_may_stop_and_are_encoded(tmp_path):
    environment = Fragments(
        max_fragments=3, min_fragments=3, max_atoms=8, vocabulary=vocabulary(tmp_path, [("c1ccccc1", [*range(6)])])
    )
    objects = environment.decode(terminal_states(environment))
    assert set(objects) == {"c1ccccc1"}
    assert environment.decode(environment.encode(objects)) == objects


def test_what_could_go_on_is_not_encoded_below_the_minimum(tmp_path):
    environment = Fragments(max_fragments=3, min_fragments=2, vocabulary=vocabulary(tmp_path))
    with pytest.raises(ValueError, match="1 fragments, not 2 to 3"):
        environment.encode(["c1ccccc1"])


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
