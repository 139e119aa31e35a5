"""Samplers as Ray actors: the draws of one that dies or hangs are made by others."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from al_loop.config import CampaignConfig
from al_loop.errors import CampaignError
from tests.support.placed import length


@pytest.fixture
def samplers(ray_cluster: None, placed: CampaignConfig) -> Iterator[Any]:
    from al_loop.actors.cluster.samplers import RaySamplers
    from al_loop.campaign.sampler_training import make_sampler

    group = RaySamplers(placed)
    group.set_weights(make_sampler(placed)._policy.state_dict())
    group.set_reward(length)
    yield group
    group.close()


def draw_objects(samplers: Any, seeds: Sequence[int]) -> list[list[str]]:
    from al_loop.gflownet.sampler import DrawRequest

    return [draw.result().objects for draw in [samplers.begin(DrawRequest(8, seed)) for seed in seeds]]


@pytest.mark.slow
def test_draws_of_sampler_actors_are_those_of_a_sampler_here_though_some_die(
    samplers: Any, placed: CampaignConfig
) -> None:
    import ray

    from al_loop.campaign.sampler_training import make_sampler
    from al_loop.gflownet.pipeline import InlineSampler

    sampler = make_sampler(placed)
    sampler.set_reward(length)
    sampler.set_weights(make_sampler(placed)._policy.state_dict())
    here = InlineSampler(sampler)
    here.set_weights(ray.get(samplers._weights[0]))
    expected = draw_objects(here, range(12))
    assert draw_objects(samplers, range(12)) == expected
    ray.kill(samplers._ready[0].handle, no_restart=False)
    assert draw_objects(samplers, range(12)) == expected
    assert samplers.n_lost == 1
    for sampler_actor in samplers._ready:
        ray.kill(sampler_actor.handle, no_restart=False)
    assert draw_objects(samplers, range(12)) == expected


class _HangsOnce:
    """A reward that never comes back the first time that it sees a marked file."""

    def __init__(self, flag: Path) -> None:
        self._flag = flag

    def __call__(self, objects: Any) -> Any:
        if self._flag.exists():
            self._flag.unlink()
            time.sleep(3600)
        return length(objects)


@pytest.mark.slow
def test_a_sampler_that_hangs_is_ended_and_its_draw_made_by_another(
    samplers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = draw_objects(samplers, range(8))

    def limit_s(samplers: Any) -> float:
        """No time is too long until the draw that hangs, and what waits behind it, is all that is left."""
        n_busy = sum(bool(sampler.running) for sampler in samplers._ready)
        is_alone = n_busy == 1 and not samplers._waiting and not samplers._starting
        return 0.0 if is_alone and samplers.n_lost == 0 else math.inf

    monkeypatch.setattr("al_loop.actors.cluster.samplers.RaySamplers._hang_limit_s", limit_s)
    flag = tmp_path / "hang"
    samplers.set_reward(_HangsOnce(flag))
    flag.touch()
    assert draw_objects(samplers, range(8)) == expected
    assert samplers.n_lost == 1


def _raises(objects: Any) -> Any:
    raise ValueError("no such reward")


@pytest.mark.slow
def test_a_reward_that_raises_is_told_and_no_sampler_lost(samplers: Any) -> None:
    samplers.set_reward(_raises)
    with pytest.raises(ValueError, match="no such reward"):
        draw_objects(samplers, [1])
    samplers.set_reward(length)
    assert len(draw_objects(samplers, [1])[0]) == 8
    assert samplers.n_lost == 0


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("n_bad", [1, 2])
def test_a_sampler_that_cannot_be_made_leaves_the_work_to_the_others(
    placed: CampaignConfig, tmp_path: Path, n_bad: int
) -> None:
    from al_loop.actors.cluster.samplers import RaySamplers, SamplerActor
    from al_loop.campaign.sampler_training import make_sampler

    flags = [tmp_path / f"bad-{i}" for i in range(n_bad)]
    for flag in flags:
        flag.touch()

    class Bad(SamplerActor):
        def __init__(self, config: CampaignConfig, path: list[str]) -> None:
            for flag in flags:
                try:
                    flag.unlink()
                except FileNotFoundError:
                    continue
                raise ImportError("no module named rare")
            super().__init__(config, path)

    group = RaySamplers(placed, Bad)
    try:
        group.set_reward(length)
        group.set_weights(make_sampler(placed)._policy.state_dict())
        if n_bad == 2:
            with pytest.raises(CampaignError, match=r"a sampler could not be started: .*no module named rare"):
                draw_objects(group, range(4))
        else:
            assert len(draw_objects(group, range(4))) == 4
            assert group.n_lost == 1
    finally:
        group.close()
