"""Oracle workers on this machine and on Ray: workers that die or hang are replaced."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from al_loop.actors.local import LocalExecutor
from al_loop.campaign.executor import CallTimeout, Executor, WorkerLost
from al_loop.config import CampaignConfig
from al_loop.oracles.base import Call
from tests.support.placed import call, time_out, wait_until_ended


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.slow)])
def executor(request: pytest.FixtureRequest, placed: CampaignConfig, tmp_path: Path) -> Iterator[Executor]:
    if request.param == "ray":
        request.getfixturevalue("ray_cluster")
        from al_loop.actors.cluster.executor import RayExecutor

        made: Executor = RayExecutor(placed, "auto")
    else:
        made = LocalExecutor(placed, tmp_path)
    yield made
    made.close()


def test_an_oracle_worker_answers_and_keeps_its_process(executor: Executor) -> None:
    worker = executor.oracle_worker(0)
    first, second = call(worker, ["GGA"], 20)[0], call(worker, ["pid", "pid"], 20)
    assert first.values == (2.5,)
    assert second[0].values == second[1].values
    assert second[0].values != (os.getpid(),)
    worker.close()


def test_an_oracle_worker_that_dies_is_started_again(executor: Executor) -> None:
    worker = executor.oracle_worker(0)
    before = call(worker, ["pid"], 20)[0].values
    with pytest.raises(WorkerLost):
        call(worker, ["crash"], 20)
    after = call(worker, ["pid"], 20)[0].values
    assert after not in (None, before)
    worker.close()


def test_an_answer_arrives_before_the_next_object_is_measured(executor: Executor, tmp_path: Path) -> None:
    worker = executor.oracle_worker(0)
    answers = worker.call(["GA", "gate", "crash"], 20, Call())
    assert next(answers).values == (1.5,)
    (tmp_path / "gate.file").touch()  # only now can the second be measured
    assert next(answers).values == (0.0,)
    with pytest.raises(WorkerLost):
        next(answers)
    worker.close()


def test_a_call_that_is_given_up_half_way_does_not_answer_the_next_one(executor: Executor) -> None:
    worker = executor.oracle_worker(0)
    answers = worker.call(["G", "gate", "GGG"], 20, Call())
    assert next(answers).values == (1.0,)
    answers.close()
    assert [o.values for o in call(worker, ["GA"], 20)] == [(1.5,)]
    worker.close()


def test_an_oracle_worker_that_hangs_is_ended_and_started_again(executor: Executor) -> None:
    worker = executor.oracle_worker(0)
    call(worker, ["G"], 20)
    with pytest.raises(CallTimeout):
        call(worker, ["hang"], 1.0)
    assert call(worker, ["GA"], 20)[0].values == (1.5,)
    worker.close()


def test_a_program_in_a_session_of_its_own_is_ended_too(executor: Executor, tmp_path: Path) -> None:
    worker = executor.oracle_worker(0)
    try:
        wait_until_ended(time_out(worker, "daemon", tmp_path / "child.pid"))
    finally:
        worker.close()
