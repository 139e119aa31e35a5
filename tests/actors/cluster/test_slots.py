"""Oracle actors and the search share a cluster that has no room for all of them."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import pytest

from al_loop import Campaign, open_run
from al_loop.config import CampaignConfig
from tests.support.placed import call, changed, length


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("num_cpus", [2.5, 1.0])
def test_oracle_workers_without_a_place_in_the_cluster_hold_nothing_up(
    placed: CampaignConfig, tmp_path: Path, num_cpus: float
) -> None:
    """They never take the place of the search either, which starts later; nor do those without work keep it."""
    from al_loop.actors.cluster.executor import RayExecutor

    crowded = changed(placed, "rounds", count=1)
    crowded = changed(crowded, "evaluation", workers=5)
    crowded = changed(crowded, "resources", oracle={"num_cpus": num_cpus}, sampler={"num_cpus": 1.0})
    with Campaign(crowded, tmp_path / "run", RayExecutor(crowded, "auto")) as campaign:
        campaign.run()
    assert len(open_run(tmp_path / "run").evaluations) == 12


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_oracle_actors_without_work_make_room_for_a_search_that_lost_its_place(
    placed: CampaignConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    from al_loop.actors.cluster.learner import RayTraining
    from al_loop.actors.cluster.oracles import RayWorker
    from al_loop.actors.cluster.slots import OracleSlots

    monkeypatch.setattr("al_loop.actors.cluster.slots.STARVED_S", 1.0)
    crowded = changed(placed, "resources", oracle={"num_cpus": 1.0}, sampler={"num_cpus": 1.0})
    crowded = changed(crowded, "evaluation", workers=4)
    slots = OracleSlots(crowded, print)
    slots._is_open = True  # as if a search had been there before
    workers = [RayWorker(crowded, i, slots) for i in range(4)]
    for worker in workers:
        worker.start()
    assert ray.available_resources().get("CPU", 0) == 0
    try:
        with RayTraining(crowded, print, slots) as training:
            assert len(list(training.train(1, length, ["GGGGGG"]))) == 6
            assert sum(worker._actor is not None for worker in workers) == 2  # beside two samplers
            assert call(workers[0], ["GAGGGG"], 30)[0].values == (5.5,)
    finally:
        for worker in workers:
            worker.close()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_an_oracle_actor_that_died_without_work_costs_no_attempt(placed: CampaignConfig) -> None:
    import ray

    from al_loop.actors.cluster.oracles import RayWorker
    from al_loop.actors.cluster.slots import OracleSlots

    worker = RayWorker(placed, 0, OracleSlots(placed, print))
    try:
        assert call(worker, ["GGGGGG"], 30)[0].values == (6.0,)
        ray.kill(worker._actor)
        with suppress(ray.exceptions.RayActorError):
            while ray.get(worker._actor.ready.remote()) is None:
                time.sleep(0.05)
        assert call(worker, ["GAGGGG"], 30)[0].values == (5.5,)
    finally:
        worker.close()
