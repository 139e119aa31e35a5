"""Training in one process: its state, and invalid arguments."""

import io
import math

import pytest
import torch

from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.sequence import Sequences
from al_loop.gflownet import Training
from al_loop.gflownet.conditioning import Conditioning
from al_loop.gflownet.exact_distribution import object_distribution
from al_loop.gflownet.objectives.relative_trajectory_balance import RelativeTrajectoryBalance
from al_loop.gflownet.policies.base import Context
from al_loop.gflownet.policies.mlp import MLPPolicy
from al_loop.gflownet.reward import StateReward
from al_loop.gflownet.searches.delta_conservative import DeltaConservative
from al_loop.gflownet.searches.genetic import Genetic
from al_loop.gflownet.searches.local_search import LocalSearch
from al_loop.gflownet.sources import ConditionHeaps
from al_loop.gflownet.trainer import Trainer, train

WORDS = Sequences("ACGU", 5, 3)


def letters(objects):
    return torch.tensor([0.8 * o.count("A") - 0.5 * o.count("CC") for o in objects])


EVERYTHING = {
    "plain": {},
    "sub_trajectory_balance": {"objective": "sub_trajectory_balance"},
    "flow_matching": {"objective": "flow_matching"},
    "heads": {"heads": 3},
    "ema": {"ema": 0.9},
    "updates": {"updates": 3},
    "conditioned": {"conditioning": Conditioning(beta=(1.0, 4.0))},
    "searches": {
        "searches": (LocalSearch(size=4), Genetic(size=4), DeltaConservative(size=4)),
        "measured_size": 4,
        "replay_priority": "recency",
    },
    "bfloat16": {"precision": "bfloat16"},
}


def trainer(settings, seed=3):
    made = Trainer(
        WORDS, letters, Training(batch_size=8, replay_size=4, replay_capacity=20, hidden=16, **settings), seed=seed
    )
    made.learner.remember(["AAAAA", "CCC", "ACGU"], letters)
    return made


@pytest.mark.parametrize("settings", EVERYTHING.values(), ids=EVERYTHING)
def test_going_on_after_a_stop_gives_the_same_bits(settings):
    through, first = trainer(settings), trainer(settings)
    losses = [through.step() for _ in range(8)]
    for _ in range(4):
        first.step()
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = trainer(settings, seed=99)
    second._seed = 3
    second.load_state_dict(torch.load(file, weights_only=True))
    assert [second.step() for _ in range(4)] == losses[4:]
    for (name, a), b in zip(through.learner.weights().items(), second.learner.weights().values(), strict=True):
        assert torch.equal(a, b), name
    assert through.learner.replay.objects == second.learner.replay.objects


@pytest.mark.parametrize("settings", EVERYTHING.values(), ids=EVERYTHING)
def test_every_weight_is_trained(settings):
    made = trainer(settings)
    before = {name: weight.clone() for name, weight in made.learner.policy.named_parameters()}
    for _ in range(4):
        assert math.isfinite(made.step())
    still = [n for n, w in made.learner.policy.named_parameters() if torch.equal(w, before[n])]
    backward_is_free = WORDS.n_backward_actions > 1 or settings.get("objective") == "sub_trajectory_balance"
    assert still == [] if backward_is_free else all(name.startswith("backward_head") for name in still)


def test_heads_differ_and_are_all_trained_to_the_reward():
    settings = Training(steps=400, batch_size=64, hidden=64, lr=2e-3, heads=3, replay_size=0, epsilon=0.02)
    environment = Sequences("ACGU", 3)
    learner, _ = train(environment, letters, settings)
    states = environment.initial(1)
    logits = [learner.policy.forward_logits(states, Context(head=torch.tensor([k]))) for k in range(3)]
    assert not torch.equal(logits[0], logits[1])

    class One(torch.nn.Module):
        def __init__(self, head):
            super().__init__()
            self.head = head

        def forward_logits(self, states):
            return learner.policy.forward_logits(states, Context(head=torch.full((len(states),), self.head)))

    for head in range(3):
        p = object_distribution(environment, One(head))
        reward = letters(list(p)).double().exp()
        assert (torch.tensor(list(p.values())) - reward / reward.sum()).abs().sum() < 0.1


def test_the_averaged_policy_draws_and_lags_behind():
    made = trainer({"ema": 0.9})
    start = {name: weight.clone() for name, weight in made.learner.policy.state_dict().items()}
    made.step()  # the first average is the policy itself
    made.step()
    trained, drawing = made.learner.policy.state_dict(), made.policy.state_dict()
    assert made.policy is not made.learner.policy
    name = "trunk.0.weight"
    assert not torch.equal(drawing[name], trained[name])
    assert (drawing[name] - start[name]).norm() < (trained[name] - start[name]).norm()
    assert torch.equal(made.learner.weights()[name], drawing[name])


def test_a_reward_of_states_decodes_nothing(monkeypatch):
    monkeypatch.setattr(Hypergrid, "decode", lambda *_: pytest.fail("decoded"))
    made = Trainer(Hypergrid(2, 4), StateReward(lambda s: -s[:, 0].float()), Training(hidden=8, batch_size=4))
    made.step()
    made.step()
    assert len(made.learner.replay) > 0


def test_the_reward_may_change_between_two_steps():
    made = trainer({})
    made.step()
    made.set_reward(lambda objects: -letters(objects))
    values = letters(made.learner.replay.objects)
    assert torch.equal(values, values.sort().values)
    made.step()


def test_a_relative_objective_draws_in_proportion_to_reward_times_reference():
    torch.manual_seed(0)
    environment = Sequences("ACG", 3, 1)
    reference = MLPPolicy(environment, 32, 2)
    torch.nn.init.normal_(reference.forward_head.linear.bias, std=1.0)
    prior = {name: weight.clone() for name, weight in reference.state_dict().items()}
    settings = Training(
        steps=300, batch_size=64, hidden=32, lr=3e-3, objective=RelativeTrajectoryBalance(), replay_size=0
    )
    learner, _ = train(environment, letters, settings, prior=prior)
    by_reference = object_distribution(environment, reference)
    target = letters(list(by_reference)).double().exp() * torch.tensor(list(by_reference.values()))
    p = object_distribution(environment, learner.policy)
    assert (torch.tensor([p[o] for o in by_reference]) - target / target.sum()).abs().sum() < 0.06
    assert float(learner.log_z) == pytest.approx(math.log(target.sum()), abs=0.05)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"device": "cuda:77"}, r"device: 'cuda:77' is not available .*'cpu' always is"),
        ({"device": "abacus"}, "device: 'abacus' is not available"),
        ({"forward_looking": True}, "does not use flows of partial objects"),
        ({"forward_looking": True, "objective": "detailed_balance"}, "requires a StateReward"),
        ({"objective": "nonsense"}, "objective: 'nonsense' is not one of"),
        ({"batch_size": 0}, "batch_size: must be a whole number of at least 1, got 0"),
        ({"objective": "relative_trajectory_balance"}, "requires a prior"),
    ],
)
def test_bad_settings_are_refused(settings, reason):
    with pytest.raises(ValueError, match=reason):
        Trainer(WORDS, letters, Training(**settings)).step()


def test_a_negative_number_of_replicas_is_refused():
    with pytest.raises(ValueError, match="replicas: must be a whole number of at least 1, got -1"):
        Trainer(WORDS, letters, Training(hidden=8), replicas=-1)


def test_rewards_of_minus_infinity_everywhere_are_refused():
    with pytest.raises(ValueError, match="every log-reward is -inf"):
        Trainer(WORDS, lambda objects: torch.full((len(objects),), -torch.inf), Training(hidden=8)).step()


def loaded(change, n_saved=0, n_own=0):
    saved, own = (Trainer(WORDS, letters, Training(hidden=8, batch_size=4)) for _ in range(2))
    for trainer, n in ((saved, n_saved), (own, n_own)):
        for _ in range(n):
            trainer.learner.add_source(ConditionHeaps(0), 2)
    own.load_state_dict(change(saved.state_dict()))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda state: {}, "expected what Trainer.state_dict returns, but it has no entry 'learner'"),
        (lambda state: None, "expected what Trainer.state_dict returns, got None"),
        (lambda state: {**state, "n_steps": -3}, "n_steps: must be a whole number of at least 0, got -3"),
        (lambda state: {**state, "learner": {}}, "expected what Learner.state_dict returns, but it has no entry"),
    ],
)
def test_a_state_that_lacks_an_entry_is_refused(change, reason):
    with pytest.raises(ValueError, match=f"^state: {reason}"):
        loaded(change)


@pytest.mark.parametrize(("n_saved", "n_own"), [(1, 0), (0, 1)])
def test_a_state_with_other_sources_is_refused(n_saved, n_own):
    with pytest.raises(ValueError, match=f"^state: it was saved with {n_saved} added sources?, .* has {n_own}; add"):
        loaded(lambda state: state, n_saved, n_own)
