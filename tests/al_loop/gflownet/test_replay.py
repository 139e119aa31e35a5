import io

import pytest
import torch

from al_loop.environments.sequence import Sequences
from al_loop.gflownet.replay import Replay
from al_loop.gflownet.rollout import rollout

ENVIRONMENT = Sequences("ACGU", 5, 2)


def drawn(n, seed=0):
    trajectories = rollout(ENVIRONMENT, None, n, generator=torch.Generator().manual_seed(seed))
    objects = ENVIRONMENT.decode(trajectories.terminal)
    return objects, trajectories, torch.tensor([float(o.count("A")) + 0.01 * len(o) for o in objects])


def test_keeps_the_best_distinct_objects():
    replay = Replay(10)
    seen = {}
    for seed in range(5):
        objects, trajectories, log_reward = drawn(20, seed)
        replay.add(objects, trajectories, log_reward)
        seen.update(zip(objects, log_reward.tolist(), strict=True))
    best = sorted(seen, key=lambda o: (-seen[o], o))[:10]
    assert replay.objects == best
    assert len(replay) == len(set(replay.objects)) == 10


def test_samples_come_with_their_own_trajectories_and_rewards():
    replay = Replay(100)
    replay.add(*drawn(40))
    objects, trajectories, log_reward = replay.sample(16, torch.Generator().manual_seed(0))
    assert ENVIRONMENT.decode(trajectories.terminal) == objects
    assert log_reward.tolist() == pytest.approx([o.count("A") + 0.01 * len(o) for o in objects])
    assert len(objects) == 16
    assert set(objects) <= set(replay.objects)


def test_half_of_a_sample_comes_from_the_best_tenth():
    replay = Replay(1000)
    replay.add(*drawn(400))
    top = set(replay.objects[: len(replay) // 10])
    objects, _, _ = replay.sample(1000, torch.Generator().manual_seed(0))
    assert sum(o in top for o in objects) == 500
    assert set(objects) > top


def test_samples_from_a_replay_of_one():
    replay = Replay(5)
    objects, trajectories, log_reward = drawn(1)
    replay.add(objects, trajectories, log_reward)
    assert replay.sample(3, torch.Generator().manual_seed(0))[0] == objects * 3


def test_rescore_puts_the_objects_in_a_new_order():
    replay = Replay(50)
    replay.add(*drawn(40))
    before = set(replay.objects)
    replay.rescore(lambda objects: torch.tensor([-float(o.count("A")) for o in objects]))
    assert set(replay.objects) == before
    counts = [o.count("A") for o in replay.objects]
    assert counts == sorted(counts)
    _, _, values = replay.sample(20, torch.Generator().manual_seed(0))
    assert (values <= 0).all()


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
    assert a[0] == b[0]
    assert torch.equal(a[1].states, b[1].states)
    assert torch.equal(a[1].actions, b[1].actions)
    assert torch.equal(a[2], b[2])


def test_no_capacity_is_refused():
    with pytest.raises(ValueError, match="capacity"):
        Replay(0)
