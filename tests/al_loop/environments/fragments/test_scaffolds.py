import math
from collections import defaultdict

import pytest
import torch
from rdkit import Chem

from al_loop.campaign.seeds import read_seeds
from al_loop.config import Part, build, load_config, parse_config
from al_loop.environments.fragments import Fragments
from al_loop.environments.fragments.scaffolds import read_scaffolds
from al_loop.environments.testing import EnvironmentContract
from al_loop.errors import ConfigError
from al_loop.gflownet.exact_distribution import terminal_states
from al_loop.gflownet.neighbours import Neighbourhood
from al_loop.gflownet.reward import StateReward
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.settings import TrainingSettings
from al_loop.gflownet.trainer import train
from tests.support.patterns import write_vocabulary

MOLECULES = [
    *("CC(=O)Nc1ccccc1", "Cc1ccccc1F", "COc1ccncc1Cl", "CNC(=O)c1ccc(C)cc1", "Fc1ccc(Cc2ccccc2)cc1"),
    *("CN1CCN(c2ccccc2)CC1", "Cc1ccc(-c2ccncc2)cc1", "O=C(c1ccccc1)N1CCOCC1", "CCOc1ccccc1"),
    *("c1ccc(CCc2ccccc2)cc1", "CC(C)c1ccccc1", "OCc1ccccc1", "O=C(Cc1ccccc1)Nc1ccccc1"),
]
PHENYL, MORPHOLINE = "[*]c1ccccc1", "[*]N1CCOCC1"
BRIDGED = "[*:1]C1CC2CC1CN2[*:2]"  # its ring system is not in the vocabulary
ANILIDE = "O=C([*])Nc1ccccc1"
SCAFFOLDS = [
    "c1ccc([*:1])cc1[*:2]",
    PHENYL,
    BRIDGED,
    ANILIDE,
    "[*]C[C@H](N)c1cc([*])ccc1",
    [PHENYL, MORPHOLINE],
    [PHENYL, PHENYL],
    f"{ANILIDE}.{MORPHOLINE}",
]


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    return write_vocabulary(tmp_path_factory.mktemp("vocabulary"), MOLECULES)


def with_scaffold(vocabulary, scaffold, **settings):
    return Fragments(vocabulary=vocabulary, scaffold=scaffold, **{"max_fragments": 5, "max_atoms": 26, **settings})


class _Contract(EnvironmentContract):
    @pytest.fixture(autouse=True)
    def _folder(self, vocabulary):
        self.path = vocabulary


class TestSubstituents(_Contract):
    invalid = ("c1ccccc1", "Cc1ccc(C)cc1", "no molecule", "Cc1cccc(C)c1.Cl")
    is_small = True

    def make(self):
        return with_scaffold(self.path, "c1ccc([*:1])cc1[*:2]", max_fragments=3, max_atoms=10)


class TestLinker(_Contract):
    invalid = ("c1ccc(CC2CCCCC2)cc1", "Cc1ccccc1", "c1ccc(N2CCOCC2)cc1")
    is_small = True

    def make(self):
        return with_scaffold(self.path, [PHENYL, MORPHOLINE], max_fragments=4, max_atoms=16)


@pytest.mark.parametrize("scaffold", SCAFFOLDS, ids=str)
def test_every_molecule_drawn_holds_the_scaffold_bonded_at_its_attachment_points(vocabulary, scaffold):
    environment = with_scaffold(vocabulary, scaffold)
    states = rollout(environment, None, 200, generator=torch.Generator().manual_seed(0)).terminal
    names = environment.decode(states)
    assert len(set(names)) > 20
    texts = [part for text in ([scaffold] if isinstance(scaffold, str) else scaffold) for part in text.split(".")]
    cores = [Chem.MolFromSmarts(text.replace("[*:1]", "*").replace("[*:2]", "*")) for text in texts]
    exact = read_scaffolds(scaffold)
    for name in set(names):
        mol = Chem.MolFromSmiles(name)
        assert mol is not None
        assert all(mol.HasSubstructMatch(core) for core in cores), name
        assert all(own.places(mol) for own in exact), name  # and nothing else is bonded to it
    encoded = environment.encode(names[:50])
    assert environment.decode(encoded) == names[:50]
    assert environment.identity(encoded).tolist() == environment.identity(states[:50]).tolist()


@pytest.mark.parametrize(
    ("scaffold", "settings"),
    [
        ("c1ccc([*:1])cc1[*:2]", {"max_fragments": 3, "max_atoms": 12}),
        (PHENYL, {"max_fragments": 3, "max_atoms": 16}),
        (ANILIDE, {"max_fragments": 3, "max_atoms": 19}),
        ([PHENYL, PHENYL], {"max_fragments": 4, "max_atoms": 17}),
        ([PHENYL, MORPHOLINE], {"max_fragments": 4, "max_atoms": 18}),
    ],
    ids=str,
)
def test_the_states_of_each_molecule_count_as_one(vocabulary, scaffold, settings):
    environment = with_scaffold(vocabulary, scaffold, **settings)
    states = terminal_states(environment)
    names, shares = environment.decode(states), (-environment.log_multiplicity(states).double()).exp()
    total, hashes = defaultdict(float), {}
    for name, share, key in zip(names, shares.tolist(), environment.identity(states).tolist(), strict=True):
        total[name] += share
        assert hashes.setdefault(name, key) == key
    assert len(set(hashes.values())) == len(hashes) > 10
    assert all(abs(value - 1) < 1e-5 for value in total.values())


def test_molecules_that_have_the_scaffold_twice_are_drawn_in_proportion_to_their_reward(vocabulary):
    environment = with_scaffold(vocabulary, [PHENYL, PHENYL], max_fragments=4, max_atoms=17)
    states = terminal_states(environment)
    assert float(environment.log_multiplicity(states).max()) >= math.log(2) - 1e-6
    names = environment.decode(states)
    log_reward = {name: 0.4 * (name.count("N") + name.count("O")) for name in names}

    def reward(rows):
        return torch.tensor([log_reward[name] for name in environment.decode(rows)])

    training = TrainingSettings(steps=45, batch_size=32, hidden=16, layers=1, lr=1e-2, replay_size=0, epsilon=0.1)
    learner, _ = train(environment, StateReward(reward), training)
    exact = torch.tensor([log_reward[name] for name in dict.fromkeys(names)]).softmax(0)
    probability = defaultdict(float)
    with torch.no_grad():
        shares = log_probability(environment, learner.policy, states).exp().tolist()
    for name, share in zip(names, shares, strict=True):
        probability[name] += share
    drawn = torch.tensor([probability[name] for name in dict.fromkeys(names)])
    assert float(drawn.sum()) == pytest.approx(1, abs=1e-4)
    assert 0.5 * float((drawn - exact).abs().sum()) < 0.12


def log_probability(environment, policy, states):
    """Log-probabilities of states to each of which there is one way."""
    total, current = torch.zeros(len(states)), states
    while bool((is_open := environment.backward_mask(current)[:, 0]).any()):
        undo = torch.zeros(len(states), dtype=torch.int64)
        before, action = environment.backward_step(current, undo), environment.forward_action(current, undo)
        mask = environment.forward_mask(before)
        logits = policy.forward_logits(before).masked_fill(~mask, -torch.inf).log_softmax(1)
        total += torch.where(is_open, logits.gather(1, action[:, None])[:, 0], 0.0)
        current = torch.where(is_open[:, None], before, current)
    return total


def test_moves_from_a_molecule_keep_its_scaffold(vocabulary):
    environment = with_scaffold(vocabulary, BRIDGED)
    start = environment.encode(["CN1CC2CC1CC2C(=O)Nc1ccccc1"])
    walk = Neighbourhood(environment, start, lambda names: torch.zeros(len(names), dtype=torch.float64), 0)
    (names,) = walk.draws(1, 64)
    (scaffold,) = read_scaffolds(BRIDGED)
    assert names
    assert all(scaffold.places(Chem.MolFromSmiles(name)) for name in names)


@pytest.mark.parametrize(
    ("scaffold", "reason"),
    [
        ("c1ccccc1", "has no attachment point"),
        ("c1ccccc", "is not a SMILES"),
        ("", "expected a SMILES"),
        ("[*][*]", "one single bond to an atom"),
        ("[*]=Cc1ccccc1", "one single bond to an atom"),
        ("C1[*]CC1", "one single bond to an atom"),
        ("[*]c1c([*])c([*])c([*])c([*])c1[*]", "6 attachment points"),
        ("[*][Fe]", "Fe"),
        ("[*]C.[*]C.[*]C", "3 parts"),
        (["[*]c1ccccc1[*]", MORPHOLINE], "exactly one"),
        ("[*]" + "c1ccc(cc1)" * 7 + "C", "max_atoms"),
        ("[*]c1cc([*])cc([*])c1", "max_fragments"),
    ],
)
def test_a_scaffold_that_cannot_be_used_is_refused_with_the_reason(vocabulary, scaffold, reason):
    part = Part(kind="fragments", vocabulary=vocabulary, scaffold=scaffold, max_fragments=3)
    with pytest.raises(ConfigError, match=reason):
        build("environment", part)


def test_a_vocabulary_of_free_sites_is_refused():
    with pytest.raises(ValueError, match="patterns"):
        Fragments(vocabulary="bengio72", scaffold=PHENYL)


@pytest.mark.parametrize("text", ["[*]c1ccccc1", "*c1ccccc1", "[*:7]c1ccccc1", "[1*]c1ccccc1", "c1ccccc1[*:1]"])
def test_attachment_points_may_be_written_in_any_way(text):
    (scaffold,) = read_scaffolds(text)
    assert scaffold.block.smiles.split()[0] == "[1*]c1ccccc1"


def test_a_scaffold_at_the_top_of_a_config_is_that_of_the_environment(vocabulary, tmp_path):
    config = {"name": "x", "environment": {"kind": "fragments", "vocabulary": vocabulary}, "oracle": "human"}
    assert parse_config(config | {"scaffold": PHENYL}).environment.arguments["scaffold"] == PHENYL
    part = Part(kind="fragments", vocabulary=vocabulary)
    assert parse_config(config | {"scaffold": PHENYL, "environment": part}).environment.arguments["scaffold"] == PHENYL
    (tmp_path / "x.yaml").write_text(f"name: x\nenvironment: fragments\noracle: human\nscaffold: '{PHENYL}'\n")
    read = load_config(tmp_path / "x.yaml")
    assert read.environment.arguments["scaffold"] == PHENYL
    assert read.scaffold is None
    other = config["environment"] | {"scaffold": MORPHOLINE}
    with pytest.raises(ConfigError, match="keep one of them"):
        parse_config(config | {"scaffold": PHENYL, "environment": other})


def test_seeds_without_the_scaffold_are_listed_with_the_reason(vocabulary):
    seeds = read_seeds(with_scaffold(vocabulary, MORPHOLINE), ["O=C(c1ccccc1)N1CCOCC1", "Cc1ccccc1"])
    assert seeds.objects == ("O=C(c1ccccc1)N1CCOCC1",)
    assert "does not have the scaffold" in seeds.notes[-1]


@pytest.mark.parametrize("settings", [{}, {"vocabulary": "zinc_small"}, {"scaffold": PHENYL}])
def test_a_misspelt_key_of_the_environment_is_refused(settings):
    with pytest.raises(ConfigError, match="max_atom"):
        build("environment", Part(kind="fragments", max_atom=20, **settings))


@pytest.mark.parametrize(
    ("scaffold", "admitted", "refused"),
    [
        # what is bonded at its attachment points need not be in the vocabulary
        ("c1ccc([*:1])cc1[*:2]", ["[SiH3]c1cccc(C2CC2)c1"], ["Cc1ccccc1", "Cc1cc(C)cc(C)c1", "c1ccc2c(c1)CC2", "CC"]),
        ("[*]C[C@H](N)c1cc([*])ccc1", ["CC[C@H](N)c1cccc(I)c1"], ["CC[C@@H](N)c1cccc(I)c1", "CCC(N)c1cccc(I)c1"]),
        ([PHENYL, MORPHOLINE], ["c1ccc(C2CC(N3CCOCC3)C2)cc1"], ["c1ccc(N2CCOCC2)cc1", "c1ccc(C2CCC2)cc1"]),
        (PHENYL, ["Ic1ccccc1"], ["Ic1ccccc1.Ic1ccccc1", "[*]c1ccccc1", "no molecule", ""]),
    ],
)
def test_molecules_from_other_sources_are_admitted_if_they_have_the_scaffold(vocabulary, scaffold, admitted, refused):
    environment = with_scaffold(vocabulary, scaffold)
    assert environment.admits([*admitted, *refused]) == [True] * len(admitted) + [False] * len(refused)


def test_whatever_is_built_is_admitted(vocabulary):
    environment = with_scaffold(vocabulary, "c1ccc([*:1])cc1[*:2]")
    assert all(environment.admits(environment.decode(terminal_states(environment))[:200]))


def test_map_numbers_of_atoms_are_no_part_of_a_scaffold_or_a_molecule(vocabulary):
    mapped, plain = (with_scaffold(vocabulary, text) for text in ("[CH3:5]c1ccc([*:1])cc1", "Cc1ccc([*:1])cc1"))
    assert [block.smiles for block in mapped.blocks] == [block.smiles for block in plain.blocks]
    assert mapped.decode(mapped.encode(["[CH3:2][c:1]1ccc(Cl)cc1"])) == ["Cc1ccc(Cl)cc1"]


def test_a_scaffold_with_too_many_stereocentres_is_refused_with_the_reason():
    with pytest.raises(ValueError, match="cannot be a block, since it has more than 6 stereocentres"):
        read_scaffolds("[*][C@H]1CC[C@H]2[C@@H]3CC[C@H]4CCCC[C@]4(C)[C@H]3CC[C@]12C")


@pytest.mark.parametrize(
    ("scaffold", "reason"),
    [
        ("core.smi", "'core.smi' is the name of a file; give the SMILES itself"),
        (5, "expected a SMILES with attachment points.*got 5"),
        ([5], r"expected a SMILES with attachment points.*got \[5\]"),
        ("[*]F", "no chain of the vocabulary zinc_small may end the molecule at one of its attachment points"),
    ],
)
def test_what_is_no_scaffold_is_refused_with_the_reason(scaffold, reason):
    with pytest.raises(ValueError, match=f"^scaffold: {reason}"):
        Fragments(vocabulary="zinc_small", scaffold=scaffold)


@pytest.mark.parametrize("environment", ["selfies", {"kind": "sequence", "alphabet": "AC", "length": 3}])
def test_a_scaffold_of_another_environment_is_refused_under_its_own_key(environment):
    content = {"name": "t", "environment": environment, "oracle": {"kind": "human"}, "scaffold": PHENYL}
    with pytest.raises(ConfigError, match=r"^scaffold: \w+ builds no molecules from a scaffold"):
        parse_config(content)
