"""Rewards from molecular graphs equal those of the decoded objects."""

import pickle
import re

import pytest
import torch

from al_loop.acquisitions.base import AcquisitionContext
from al_loop.acquisitions.ucb import UCB
from al_loop.config import Part
from al_loop.config.reward_settings import Reward
from al_loop.environments.fragments import Fragments
from al_loop.environments.sequence import Sequences
from al_loop.errors import ConfigError
from al_loop.features.circular import Circular
from al_loop.features.graph import Graph
from al_loop.features.joined import Joined
from al_loop.features.morgan import Morgan
from al_loop.features.one_hot import OneHot
from al_loop.gflownet.execution.choice import Execution
from al_loop.gflownet.reward import StateReward
from al_loop.gflownet.rollout import rollout
from al_loop.modelling.constraints import Constraints, PropertyBound
from al_loop.modelling.graph_reward import GraphReward, requires_decoding, without_decoding
from al_loop.modelling.reward import AcquisitionReward, ObjectSpace
from al_loop.properties.descriptor import Descriptor
from al_loop.properties.logp import LogP
from al_loop.properties.mol_weight import MolWeight
from al_loop.properties.similarity import SimilarityTo
from al_loop.surrogates.gp import ExactGP
from tests.support.engine import EagerCapture

FAST = Constraints(
    [
        PropertyBound(MolWeight(), None, 300.0),
        PropertyBound(Descriptor("TPSA"), 40.0, 90.0),
        PropertyBound(SimilarityTo(["Cc1ccccc1C(=O)N", "CCOc1ccncc1"]), 0.2, None),
    ]
)
WITH_RDKIT = Constraints([PropertyBound(MolWeight(), None, 300.0), PropertyBound(LogP(), None, 2.0)])


class Undecodable(Fragments):
    """Fragments that must not be decoded."""

    def decode(self, states):
        raise AssertionError("decoded")


@pytest.fixture(scope="module")
def drawn():
    environment = Fragments()
    states = rollout(environment, None, 120, generator=torch.Generator().manual_seed(0)).terminal
    return states, environment.decode(states)


def reward_of(features, smiles, constraints=FAST, n_objectives=1):
    X = features(smiles[:60])
    Y = torch.tensor([[float(len(s)), s.count("N")] for s in smiles[:60]], dtype=torch.float64)
    models = [ExactGP(kernel=features.kernel).fit(X, Y[:, i : i + 1]) for i in range(n_objectives)]
    context = AcquisitionContext(X, X_pending=X[:3])
    acquisitions = [UCB().build(model, context) for model in models]
    return AcquisitionReward(acquisitions, models, ObjectSpace(features, constraints, smiles[:20]), Reward())


@pytest.mark.parametrize(
    "features",
    [
        Morgan(),
        Morgan(radius=3, n_bits=512, counts=False),
        Circular(),
        Joined([Part(kind="morgan"), Part(kind="circular")]),
    ],
    ids=["morgan", "bits", "circular", "joined"],
)
def test_log_rewards_equal_those_of_objects_without_decoding(features, drawn):
    states, smiles = drawn
    reward = reward_of(features, smiles)
    values = GraphReward(reward, Undecodable())(states)
    assert values.dtype == torch.float32
    assert torch.allclose(values, reward(smiles), atol=1e-5)


def test_several_objectives_have_a_column_each(drawn):
    states, smiles = drawn
    reward = reward_of(Morgan(), smiles, n_objectives=2)
    assert torch.allclose(GraphReward(reward, Undecodable())(states), reward(smiles), atol=1e-5)


def test_only_bounds_that_require_rdkit_are_computed_from_objects(drawn):
    states, smiles = drawn
    reward = reward_of(Morgan(), smiles, WITH_RDKIT)
    assert torch.allclose(GraphReward(reward, Fragments())(states), reward(smiles), atol=1e-5)
    with pytest.raises(AssertionError, match="decoded"):
        GraphReward(reward, Undecodable())(states)


def test_numbers_of_states_that_recur_are_recorded(drawn):
    states, smiles = drawn
    capture = EagerCapture()
    reward = GraphReward(reward_of(Morgan(), smiles), Undecodable(), Execution(capture=capture))
    plain = GraphReward(reward_of(Morgan(), smiles), Undecodable())
    for rows in (states, states[:50], states, states.flip(0), states):
        assert torch.equal(reward(rows), plain(rows))
    assert (capture.n_recorded, capture.n_replayed) == (1, 2)


@pytest.mark.slow
def test_features_can_be_compiled_without_a_break(drawn):
    def compiled(function):
        return torch.compile(function, backend="aot_eager", dynamic=True, fullgraph=True)

    states, smiles = drawn
    reward = GraphReward(reward_of(Circular(), smiles), Undecodable(), Execution(compiled))
    assert torch.equal(reward(states), GraphReward(reward_of(Circular(), smiles), Undecodable())(states))


def test_uncertainties_equal_those_of_objects(drawn):
    states, smiles = drawn
    reward = reward_of(Circular(), smiles)
    assert torch.allclose(GraphReward(reward, Undecodable()).uncertainty(states), reward.uncertainty(smiles))


def test_a_copy_for_another_device_has_the_same_values(drawn):
    _, smiles = drawn
    reward = reward_of(Morgan(), smiles)
    copy = reward.copy_on(torch.device("cpu"))
    X = Morgan()(smiles)
    assert copy._models[0] is not reward._models[0]
    assert torch.equal(copy.of_rows(X, torch.zeros(len(X))), reward.of_rows(X, torch.zeros(len(X))))


def test_survives_pickling(drawn):
    states, smiles = drawn
    reward = GraphReward(reward_of(Morgan(), smiles), Undecodable())
    values = reward(states)
    assert torch.equal(pickle.loads(pickle.dumps(reward))(states), values)


def test_auto_decodes_on_a_cpu_and_not_on_a_gpu(drawn):
    reward = reward_of(Morgan(), drawn[1])
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert without_decoding(reward, Fragments(), "auto", cpu) is reward
    assert without_decoding(reward, Fragments(), "always", gpu) is reward
    assert isinstance(without_decoding(reward, Fragments(), "auto", gpu), StateReward)
    assert isinstance(without_decoding(reward, Fragments(), "never", cpu), StateReward)


@pytest.mark.parametrize(
    ("environment", "features", "reason"),
    [
        (Sequences("ACGT", 4), OneHot("ACGT", 4), "the states of the environment sequence are no molecular graphs"),
        (Fragments(), Graph(), "the features graph cannot be computed from molecular graphs"),
        (Fragments(), Morgan(roles=True), "the features morgan cannot be computed from molecular graphs"),
        (Fragments(), Circular(max_substructures=50), r"raise features\.max_substructures"),
    ],
    ids=["sequences", "graph", "roles", "too large"],
)
def test_what_requires_decoding_is_explained(environment, features, reason):

    assert re.search(reason, requires_decoding(environment, features))


def test_never_is_refused_where_it_is_impossible(drawn):
    reward = reward_of(Morgan(roles=True), drawn[1])
    with pytest.raises(ConfigError, match=r"reward\.decode: never is impossible, since the features morgan"):
        without_decoding(reward, Fragments(), "never", torch.device("cpu"))
    assert without_decoding(reward, Fragments(), "auto", torch.device("cuda")) is reward
