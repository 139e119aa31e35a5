import io

import pytest
import torch

from al_loop.environments.sequence import Sequences
from al_loop.gflownet.replay import Replay
from al_loop.gflownet.rollout import rollout

ENVIRONMENT = Sequences("ACGU", 5, 2)


def drawn(n, seed=0):
    states = rollout(ENVIRONMENT, None, n, generator=torch.Generator().manual_seed(seed)).terminal
    objects = ENVIRONMENT.decode(states)
    return objects, states, torch.tensor([float(o.count("A")) + 0.01 * len(o) for o in objects])


def test_keeps_the_best_distinct_objects():
    replay = Replay(10)
    seen = {}
    for seed in range(5):
        objects, states, log_reward = drawn(20, seed)
        replay.add(objects, states, log_reward)
        seen.update(zip(objects, log_reward.tolist(), strict=True))
    assert [seen[o] for o in replay.objects] == sorted(seen.values(), reverse=True)[:10]
    assert len(replay) == len(set(replay.objects)) == 10


def test_recency_keeps_the_newest():
    replay = Replay(15, "recency")
    for seed in range(5):
        replay.add(*drawn(20, seed))
    newest = set(drawn(20, 4)[0])
    assert len(replay) == 15
    assert set(replay.objects) <= newest


def test_an_object_that_comes_again_takes_its_new_reward():
    replay = Replay(10)
    _, states, _ = drawn(2)
    replay.add(["a", "b"], states, torch.tensor([1.0, 2.0]))
    replay.add(["a", "a"], states, torch.tensor([5.0, 3.0]))
    assert replay.objects == ["a", "b"]
    assert replay.sample(64, torch.Generator().manual_seed(0)).log_reward.unique().tolist() == [2.0, 3.0]


def test_rewards_of_several_objectives_are_ranked_by_their_mean():
    replay = Replay(10)
    _, states, _ = drawn(3)
    replay.add(["a", "b", "c"], states, torch.tensor([[0.0, 1.0], [3.0, 2.0], [0.0, 0.0]]))
    assert replay.objects == ["b", "a", "c"]


def test_samples_come_with_their_own_states_and_rewards():
    replay = Replay(100)
    replay.add(*drawn(40))
    found = replay.sample(16, torch.Generator().manual_seed(0))
    assert ENVIRONMENT.decode(found.states) == found.keys
    assert found.log_reward.tolist() == pytest.approx([o.count("A") + 0.01 * len(o) for o in found.keys])
    assert len(found.keys) == 16
    assert set(found.keys) <= set(replay.objects)


def test_half_of_a_sample_comes_from_the_best_tenth():
    replay = Replay(1000)
    replay.add(*drawn(400))
    top = set(replay.objects[: len(replay) // 10])
    objects = replay.sample(1000, torch.Generator().manual_seed(0)).keys
    assert sum(o in top for o in objects) == 500
    assert set(objects) > top


def test_samples_from_a_replay_of_one():
    replay = Replay(5)
    objects, states, log_reward = drawn(1)
    replay.add(objects, states, log_reward)
    assert replay.sample(3, torch.Generator().manual_seed(0)).keys == objects * 3


def test_rescore_puts_the_objects_in_a_new_order():
    replay = Replay(50)
    replay.add(*drawn(40))
    before = set(replay.objects)
    replay.rescore(lambda objects: torch.tensor([-float(o.count("A")) for o in objects]))
    assert set(replay.objects) == before
    counts = [o.count("A") for o in replay.objects]
    assert counts == sorted(counts)
    assert (replay.sample(20, torch.Generator().manual_seed(0)).log_reward <= 0).all()


def test_an_empty_replay_is_rescored_without_a_call():
    Replay(5).rescore(lambda objects: pytest.fail("called with nothing"))


def test_state_survives_saving():
    replay = Replay(50)
    replay.add(*drawn(40))
    file = io.BytesIO()
    torch.save(replay.state_dict(), file)
    file.seek(0)
    copy = Replay(50)
    copy.load_state_dict(torch.load(file, weights_only=True))
    assert copy.objects == replay.objects
    a, b = (r.sample(8, torch.Generator().manual_seed(3)) for r in (replay, copy))
    assert a.keys == b.keys
    assert torch.equal(a.states, b.states)
    assert torch.equal(a.log_reward, b.log_reward)


def test_no_capacity_is_refused():
    with pytest.raises(ValueError, match="capacity"):
        Replay(0)
    with pytest.raises(ValueError, match="priority: 'best' is not one of reward, recency"):
        Replay(1, "best")


def test_objects_that_get_equal_names_are_one_object():
    replay = Replay(10)
    _, states, _ = drawn(3)
    replay.add([1, 2, 3], states, torch.tensor([3.0, 2.0, 1.0]))
    replay.rename(lambda rows: ["x", "y", "x"], are_objects=True)
    replay.rename(lambda rows: ["p", "q"], are_objects=True)  # they are objects already
    assert replay.objects == ["x", "y"]
    assert torch.equal(replay.states, states[:2])
    assert replay.state_dict()["log_reward"].tolist() == [3.0, 2.0]
