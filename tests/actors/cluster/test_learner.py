"""The learner as a Ray actor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from al_loop.actors.local import LocalExecutor
from al_loop.config import CampaignConfig
from al_loop.errors import CampaignError
from tests.support.placed import length


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_learner_that_dies_in_the_middle_comes_to_the_same_result(placed: CampaignConfig) -> None:
    import ray

    from al_loop.actors.cluster.learner import RayTraining
    from al_loop.actors.cluster.slots import OracleSlots

    notes: list[str] = []
    objects = ["GGGGGG", "ACGUAC"]
    with (
        LocalExecutor(placed, Path()).training() as here,
        RayTraining(placed, notes.append, OracleSlots(placed, print)) as there,
    ):
        losses = {"here": [s.loss for s in here.train(1, length, objects)]}
        losses["there"] = [s.loss for s in there.train(1, length, objects)]
        assert losses["there"] == losses["here"]
        losses = {"here": [s.loss for s in here.train(2, length, objects)], "there": []}
        for step in there.train(2, length, objects):
            losses["there"].append(step.loss)
            if step.number == 2:
                ray.kill(there._actor)
        assert losses["there"] == losses["here"]
        ray.kill(there._actor)
        assert there.draw(40, seed=3) == here.draw(40, seed=3)
        assert there.best_seen() == here.best_seen()
        assert there.state() == here.state()
    assert len([note for note in notes if "learner died" in note]) == 2


def _refuses(objects: Any) -> Any:
    raise CampaignError("the licence server is gone")


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_damaged_state_leaves_fresh_weights_and_a_failed_search_is_one_line(placed: CampaignConfig) -> None:
    from al_loop.actors.cluster.learner import RayTraining
    from al_loop.actors.cluster.slots import OracleSlots

    with (
        LocalExecutor(placed, Path()).training() as here,
        RayTraining(placed, print, OracleSlots(placed, print)) as there,
    ):
        with pytest.raises(Exception, match=r"."):
            there.load(b"not a checkpoint")
        assert there.draw(8, seed=1) == here.draw(8, seed=1)
        with pytest.raises(CampaignError) as told:
            list(there.train(1, _refuses, ["GGGGGG"]))
        assert str(told.value) == "the licence server is gone"


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_replicas_train_as_on_one_machine_and_one_that_dies_changes_nothing(placed: CampaignConfig) -> None:
    import psutil

    from al_loop.actors.cluster.learner import RayTraining
    from al_loop.actors.cluster.slots import OracleSlots

    learner = placed.resources.learner.model_copy(update={"replicas": 2})
    placed = placed.model_copy(update={"resources": placed.resources.model_copy(update={"learner": learner})})
    notes: list[str] = []
    objects = ["GGGGGG", "ACGUAC"]
    with (
        LocalExecutor(placed, Path()).training() as here,
        RayTraining(placed, notes.append, OracleSlots(placed, print)) as there,
    ):
        assert [s.loss for s in there.train(1, length, objects)] == [s.loss for s in here.train(1, length, objects)]
        family = psutil.Process().children(recursive=True)
        (replica,) = [process for process in family if "ray::ReplicaActor" in " ".join(process.cmdline())]
        replica.kill()  # before a round, since the learner may be done with one before its first step is read here
        replica.wait()
        assert [s.loss for s in there.train(2, length, objects)] == [s.loss for s in here.train(2, length, objects)]
        assert there.draw(20, seed=3) == here.draw(20, seed=3)
    assert len([note for note in notes if "learner died" in note]) == 1
