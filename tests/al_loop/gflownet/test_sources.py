"""Sources of objects: data sets, heaps for each condition, and rewards that change from step to step."""

import io
import math
import re

import pytest
import torch

from al_loop.environments.assignment import Assignments
from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.sequence import Sequences
from al_loop.gflownet import StateReward, TrainingSettings
from al_loop.gflownet.conditioning import Conditioning
from al_loop.gflownet.exact_distribution import terminal_distribution
from al_loop.gflownet.learner import Learner
from al_loop.gflownet.reward import Diverged
from al_loop.gflownet.searches.local_search import LocalSearch
from al_loop.gflownet.sources import ConditionHeaps, DataSet
from al_loop.gflownet.trainer import Trainer

BITS = Assignments("01", 4)


class Energy(torch.nn.Module):
    """A reward with a parameter: log R(x) = weight * number of ones."""

    def __init__(self, weight=0.0):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(float(weight)))
        self.n_calls = 0

    def forward(self, states):
        self.n_calls += 1
        return self.weight * (states == 1).sum(1)


def gap(policy, weight):
    """Return the L1 distance of a policy from the exact distribution of ``Energy(weight)``."""
    states, p = terminal_distribution(BITS, policy)
    truth = (weight * (states == 1).sum(1)).double().softmax(0)
    return float((p - truth).abs().sum())


def test_a_data_set_is_sampled_uniformly_with_its_repetitions():
    states = BITS.encode(["0000", "0000", "0000", "1111"])
    data = DataSet(states)
    data.rescore(StateReward(Energy(2.0)))
    entries = data.sample(4000, torch.Generator().manual_seed(0))
    assert float((entries.states == 0).all(1).float().mean()) == pytest.approx(0.75, abs=0.03)
    assert set(entries.log_reward.tolist()) == {0.0, 8.0}


def test_a_data_set_of_objects_is_scored_by_a_reward_of_objects():
    data = DataSet(BITS.encode(["0110", "1111"]), ["0110", "1111"])
    data.rescore(lambda objects: torch.tensor([float(o.count("1")) for o in objects]))
    assert sorted(set(data.sample(50, torch.Generator().manual_seed(0)).log_reward.tolist())) == [2, 4]


@pytest.mark.parametrize(("states", "objects"), [(BITS.initial(0), None), (BITS.encode(["0000"]), ["0000", "1111"])])
def test_invalid_data_sets_are_refused(states, objects):
    with pytest.raises(ValueError, match="expected"):
        DataSet(states, objects)


def with_condition(condition, words):
    return torch.cat([torch.full((len(words), 1), condition), BITS.encode(words)], 1)


def test_heaps_keep_the_best_of_each_condition_that_are_not_close():
    heaps = ConditionHeaps(1, capacity=2, distance=0.3)
    states = torch.cat([with_condition(7, ["0000", "0001", "0011", "1111"]), with_condition(2, ["0000"])])
    heaps.add(list(range(5)), states, torch.tensor([1.0, 3.0, 2.0, 0.5, 9.0]))
    assert heaps.heap([7]).keys == [1, 3]  # 0001 drops 0000 and 0011, which differ from it in a quarter of the places
    assert heaps.heap([2]).keys == [4]
    heaps.add([5], with_condition(7, ["0000"]), torch.tensor([4.0]))  # close to 0001, and better
    assert heaps.heap([7]).keys == [5, 3]
    heaps.add([6], with_condition(7, ["0000"]), torch.tensor([4.0]))  # the same again
    assert len(heaps) == 3
    entries = heaps.sample(3000, torch.Generator().manual_seed(0))
    assert float((entries.states[:, 0] == 2).float().mean()) == pytest.approx(0.5, abs=0.04)  # by condition


def test_heaps_are_ordered_by_a_new_reward_and_survive_saving():
    heaps = ConditionHeaps(1)
    heaps.add([0, 1], with_condition(0, ["0000", "1111"]), torch.tensor([1.0, 0.0]))
    heaps.rescore(StateReward(lambda states: states[:, 1:].sum(1).float()))
    buffer = io.BytesIO()
    torch.save(heaps.state_dict(), buffer)
    buffer.seek(0)
    again = ConditionHeaps(1)
    again.load_state_dict(torch.load(buffer, weights_only=True))
    assert again.heap([0]).keys == [1, 0]
    assert again.heap([0]).log_reward.tolist() == [4, 0]


@pytest.mark.parametrize(
    ("name", "value"), [("capacity", 0), ("capacity", 2.5), ("distance", math.nan), ("condition_size", -1)]
)
def test_heaps_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"^{name}: must be a"):
        ConditionHeaps(**{"condition_size": 1, name: value})


def test_invalid_heaps_are_refused():
    with pytest.raises(ValueError, match="one value"):
        ConditionHeaps(0).add([0], BITS.encode(["0000"]), torch.zeros(1, 2))
    with pytest.raises(Diverged, match="NaN"):
        ConditionHeaps(0).add([0], BITS.encode(["0000"]), torch.tensor([math.nan]))
    with pytest.raises(ValueError, match="no objects in the heaps yet"):
        ConditionHeaps(0).sample(1, torch.Generator())


GRID, WORDS = Hypergrid(2, 4), Sequences("ACG", 3, 1)


@pytest.mark.parametrize(
    ("environment", "data", "reason"),
    [
        (GRID, lambda: DataSet(torch.tensor([[1, 2, 1], [1, 1, 0]])), "[1, 1, 0] is not a finished object"),
        (GRID, lambda: DataSet(torch.tensor([[-1, 2, 1]])), "[-1, 2, 1] is not a finished object"),
        (GRID, lambda: DataSet(torch.tensor([[9, 9, 1]])), "[9, 9, 1] is not a finished object"),
        (GRID, lambda: DataSet(GRID.initial(1)), "is not a finished object of the environment hypergrid"),
        (GRID, lambda: DataSet(torch.tensor([[1, 1]])), "expected n x 3 numbers of type int64"),
        (GRID, lambda: DataSet(torch.tensor([[1.0, 1.0, 1.0]])), "expected n x 3 numbers of type int64"),
        (WORDS, lambda: DataSet(WORDS.step(WORDS.initial(1), torch.tensor([0]))), "is not a finished object"),
        (WORDS, lambda: DataSet(WORDS.encode(["AAA"]), ["CCC"]), "objects: 'CCC' stands beside the state of 'AAA'"),
        (WORDS, lambda: DataSet(WORDS.encode(["AAA"]), ["XXX"]), "objects: 'XXX' is not in the space"),
        (GRID, lambda: ConditionHeaps(99), "condition_size: 99 columns"),
    ],
)
def test_a_learner_refuses_a_source_with_objects_outside_the_space(environment, data, reason):
    learner = Learner(environment, TrainingSettings(hidden=8), 0)
    with pytest.raises(ValueError, match=re.escape(reason)):
        learner.add_source(data(), 4)


def test_a_learner_refuses_a_source_that_it_cannot_use():
    learner = Learner(GRID, TrainingSettings(hidden=8, conditioning=Conditioning(objectives=2)), 0)
    with pytest.raises(ValueError, match="objectives: heaps are ordered by one log-reward, and objects have 2"):
        learner.add_source(ConditionHeaps(0), 4)
    with pytest.raises(ValueError, match="size: must be a whole number of at least 0, got -1"):
        learner.add_source(DataSet(torch.tensor([[1, 1, 1]])), -1)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_log_reward_of_a_source_that_cannot_be_compared_is_named(value):
    trainer = Trainer(GRID, StateReward(lambda states: states[:, 0] * value), TrainingSettings(hidden=8))
    with pytest.raises(Diverged, match=r"a log-reward is NaN or \+inf"):
        trainer.learner.add_source(DataSet(torch.tensor([[3, 3, 1]])), 4)


def test_a_log_reward_of_a_source_that_changes_to_nan_is_named():
    def log_reward(states):  # NaN for the objects of the source
        return torch.full((len(states),), math.nan if len(states) == 3 else 0.0)

    trainer = Trainer(GRID, StateReward(log_reward, is_live=True), TrainingSettings(batch_size=8, hidden=8))
    trainer.learner.add_source(DataSet(torch.tensor([[3, 3, 1]])), 3)
    with pytest.raises(Diverged, match=r"a log-reward is NaN or \+inf"):
        trainer.step()


def test_a_live_reward_is_followed_without_a_new_start():
    energy = Energy(0.0)
    settings = TrainingSettings(batch_size=32, hidden=32, lr=3e-3, replay_size=16)
    trainer = Trainer(BITS, StateReward(energy, is_live=True), settings)
    trainer.learner.add_source(DataSet(BITS.encode(["0000", "1111", "0101"])), 16)
    for step in range(300):
        with torch.no_grad():
            energy.weight.fill_(min(step / 100, 1.5))
        trainer.step()
    assert gap(trainer.policy, 1.5) < 0.1
    assert gap(trainer.policy, 0.0) > 0.5


def test_a_fixed_reward_is_not_evaluated_again():
    energy = Energy(1.0)
    trainer = Trainer(BITS, StateReward(energy), TrainingSettings(batch_size=8, replay_size=8))
    trainer.step(), trainer.step()
    n_before = energy.n_calls
    trainer.step()
    assert energy.n_calls == n_before + 1  # of the draw; the replay has its rewards


def test_the_parameters_of_a_live_reward_travel_with_the_weights():
    learner = Trainer(BITS, StateReward(Energy(2.0), is_live=True), TrainingSettings()).learner
    other = Trainer(BITS, StateReward(Energy(0.0), is_live=True), TrainingSettings(), seed=1).sampler
    other.set_weights(learner.weights())
    draw = other.draw(8, seed=0)
    assert torch.equal(draw.log_reward, 2.0 * (draw.trajectories.terminal == 1).sum(1))


def test_training_with_sources_resumes_bit_for_bit():
    def make():
        trainer = Trainer(BITS, StateReward(Energy(1.0), is_live=True), TrainingSettings(batch_size=8, hidden=16))
        trainer.learner.add_source(ConditionHeaps(0, capacity=4), 4)
        return trainer

    through, first = make(), make()
    losses = [through.step() for _ in range(6)]
    for _ in range(3):
        first.step()
    again = make()
    again.load_state_dict(first.state_dict())
    assert [again.step() for _ in range(3)] == losses[3:]


@pytest.mark.parametrize("shortest", [1, 3])
def test_stops_as_terms_sample_words_of_any_length_exactly(shortest):
    words = Sequences("AC", 4, shortest)

    def log_reward(states):
        return 0.7 * (states[:, :4] == 0).sum(1) - 0.4 * states[:, -2]

    settings = TrainingSettings(
        steps=250, batch_size=32, hidden=48, lr=3e-3, objective="modified_sub_trajectory_balance", epsilon=0.1
    )
    trainer = Trainer(words, StateReward(log_reward), settings)
    for _ in range(settings.steps):
        trainer.step()
    states, p = terminal_distribution(words, trainer.policy)
    truth = log_reward(states).double()
    assert float((p - truth.softmax(0)).abs().sum()) < 0.08
    assert float(trainer.learner.log_z) == pytest.approx(float(truth.logsumexp(0)), abs=0.1)


def test_stops_as_terms_require_a_stop_and_a_reward_of_states():
    settings = TrainingSettings(objective="modified_sub_trajectory_balance")
    with pytest.raises(ValueError, match="stop action"):
        Trainer(BITS, StateReward(Energy()), settings)
    with pytest.raises(ValueError, match="StateReward"):
        Trainer(Sequences("AC", 4, 1), lambda objects: torch.zeros(len(objects)), settings)


def test_a_source_of_states_is_decoded_for_a_reward_of_objects():
    ones = lambda objects: torch.tensor([float(o.count("1")) for o in objects])  # noqa: E731
    data, heaps = DataSet(BITS.encode(["0110", "1111"])), ConditionHeaps(0)
    states = BITS.encode(["0111", "0000"])
    heaps.add([tuple(row) for row in states.tolist()], states, torch.zeros(2))
    trainer = Trainer(BITS, ones, TrainingSettings(batch_size=4, hidden=8), seed=0)
    for source in (data, heaps):
        trainer.learner.add_source(source, 2)
    assert set(data.sample(50, torch.Generator().manual_seed(0)).log_reward.tolist()) == {2, 4}
    assert heaps.heap(()).keys[0] == "0111"
    assert heaps.heap(()).log_reward.tolist() == [3, 0]
    trainer.step()


def test_states_alone_are_not_taken_for_objects():
    with pytest.raises(ValueError, match="requires the objects, and only their states are known"):
        DataSet(BITS.encode(["0110"])).rescore(lambda objects: torch.zeros(len(objects)))


def test_searches_start_from_the_present_values_of_a_live_reward():
    energy = Energy(0.3)
    training = TrainingSettings(batch_size=8, hidden=8, searches=(LocalSearch(size=4),))
    trainer = Trainer(BITS, StateReward(energy, is_live=True), training, seed=0)
    trainer.step()
    with torch.no_grad():
        energy.weight.fill_(5.0)
    parents = trainer.learner.jobs(0)[0].parents
    assert torch.equal(parents.log_reward, energy(parents.states))


def test_forward_looking_flows_leave_no_gradients_in_a_live_reward():
    energy = Energy(0.3)
    training = TrainingSettings(batch_size=8, hidden=8, objective="detailed_balance", forward_looking=True)
    Trainer(BITS, StateReward(energy, is_partial=True, is_live=True), training, seed=0).step()
    assert energy.weight.grad is None
