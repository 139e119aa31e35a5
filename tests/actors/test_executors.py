"""The same campaign on this machine and on Ray; what dies is replaced."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.local import LocalExecutor, shares
from al_loop import Campaign, open_run
from al_loop.config import CampaignConfig, load_config
from al_loop.errors import ConfigError
from al_loop.execution import CallTimeout, Executor, MemoryExceeded, OracleWorker, WorkerLost
from oracles.base import Call, Outcome

CONFIG = """
name: placed
seed: 5
environment: {kind: sequence, alphabet: ACGU, length: 6}
oracle: {target: "placed_oracle:measure"}
sampler: {steps: 6, batch_size: 16, hidden: 16, pool: 32, count: 2}
rounds: {initial: 6, batch_size: 6, count: 2}
evaluation: {workers: 2, timeout_s: 20}
resources: {sampler_cpus: 0.5, oracle_cpus: 0.5}
"""
ORACLE = """
import os, subprocess, time

def measure(word):
    if word == "pid":
        return os.getpid()
    if word == "crash":
        os.kill(os.getpid(), 9)
    while word == "gate" and not os.path.exists("gate.file"):
        time.sleep(0.02)
    if word == "memory":
        held = bytearray(os.urandom(1)) * 1_000_000_000
        time.sleep(120)
    if word == "daemon":
        code = "import subprocess; print(subprocess.Popen(['sleep', '120'], start_new_session=True, stdout=2).pid)"
        pid = subprocess.run(["python3", "-c", code], stdout=subprocess.PIPE, text=True).stdout
        with open("child.pid", "w") as file:
            file.write(pid)
        time.sleep(120)
    if word == "hang":
        child = subprocess.Popen(["sleep", "120"])
        with open("child.pid", "w") as file:
            file.write(str(child.pid))
        time.sleep(120)
    return word.count("G") + 0.5 * word.count("GA")
"""


def _here(text: str, folder: Path) -> str:
    """The oracle's text with its files in a folder."""
    for name in ("child.pid", "gate.file"):
        text = text.replace(f'"{name}"', repr(str(folder / name)))
    return text


def call(worker: OracleWorker, objects: list[str], timeout_s: float) -> list[Outcome]:
    return list(worker.call(objects, timeout_s, Call()))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CampaignConfig:
    module = f"placed_oracle_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(_here(ORACLE, tmp_path))
    (tmp_path / "placed.yaml").write_text(CONFIG.replace("placed_oracle", module))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    return load_config("placed.yaml")


@pytest.fixture(scope="module")
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    import ray

    saved = dict(os.environ)
    os.environ |= {
        "HOME": str(tmp_path_factory.mktemp("home")),
        "RAY_AUTH_MODE": "disabled",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()
    os.environ.clear()
    os.environ.update(saved)


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.slow)])
def executor(request: pytest.FixtureRequest, config: CampaignConfig, tmp_path: Path) -> Iterator[Executor]:
    if request.param == "ray":
        request.getfixturevalue("ray_cluster")
        from actors.ray_executor import RayExecutor

        made: Executor = RayExecutor(config, "auto")
    else:
        made = LocalExecutor(config, tmp_path)
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


def test_a_call_that_is_ended_takes_the_programs_it_started_with_it(config: CampaignConfig, tmp_path: Path) -> None:
    worker = LocalExecutor(config, tmp_path).oracle_worker(0)
    call(worker, ["G"], 20)
    with pytest.raises(CallTimeout):
        call(worker, ["hang"], 2.0)
    child = int((tmp_path / "child.pid").read_text())
    deadline = time.monotonic() + 10
    while _is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_running(child)
    worker.close()


def test_a_program_in_a_session_of_its_own_is_ended_too(executor: Executor, tmp_path: Path) -> None:
    worker = executor.oracle_worker(0)
    try:
        worker.start()
        with pytest.raises(CallTimeout):
            call(worker, ["daemon"], 3.0)
        child = int((tmp_path / "child.pid").read_text())
        for _ in range(100):
            if not _is_running(child):
                break
            time.sleep(0.1)
        assert not _is_running(child)
    finally:
        worker.close()


def test_an_oracle_that_takes_too_much_memory_is_ended(config: CampaignConfig, tmp_path: Path) -> None:
    limited = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"memory_gb": 0.5})})
    worker = LocalExecutor(limited, tmp_path).oracle_worker(0)
    try:
        with pytest.raises(MemoryExceeded, match=r"memory_gb = 0\.5"):
            call(worker, ["memory"], 60.0)
        (after,) = call(worker, ["GA"], 60.0)
        assert after.values == (1.5,)
    finally:
        worker.close()


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_samplers_draw_the_same_for_the_same_seed(executor: Executor, config: CampaignConfig) -> None:
    from actors.local import make_sampler

    samplers = executor.samplers()
    samplers.set_weights(make_sampler(config)._policy.state_dict())
    samplers.set_reward(_length)
    draws = [samplers.draw(9, seed=4, epsilon=0.1).objects for _ in range(2)]
    assert len(draws[0]) == 9
    assert draws[0] == draws[1]
    assert samplers.draw(9, seed=5, epsilon=0.1).objects != draws[0]


def _length(objects: Any) -> Any:
    import torch

    return torch.tensor([float(len(o)) for o in objects])


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_the_same_campaign_runs_alike_on_this_machine_and_on_ray(config: CampaignConfig, tmp_path: Path) -> None:
    from actors.ray_executor import RayExecutor

    tables = []
    for name, executor in (("here", None), ("ray", RayExecutor(config, "auto"))):
        with Campaign(config, tmp_path / name, executor) as campaign:
            campaign.run()
        frame = open_run(tmp_path / name).evaluations
        tables.append(frame.sort_values("object")[["round", "object", "measure", "predicted_mean"]])
    here, there = (t.reset_index(drop=True) for t in tables)
    assert len(here) == 18
    assert here["object"].tolist() == there["object"].tolist()
    assert here["round"].tolist() == there["round"].tolist()
    assert here["measure"].tolist() == there["measure"].tolist()
    assert there["predicted_mean"].dropna().to_numpy() == pytest.approx(here["predicted_mean"].dropna().to_numpy())


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_sampler_actor_that_dies_is_replaced(config: CampaignConfig) -> None:
    import ray

    from actors.local import make_sampler
    from actors.ray_executor import RayExecutor

    samplers = RayExecutor(config, "auto").samplers()
    samplers.set_weights(make_sampler(config)._policy.state_dict())
    samplers.set_reward(_length)
    before = samplers.draw(8, seed=1, epsilon=0.0).objects
    ray.kill(samplers._actors[0])  # type: ignore[attr-defined]
    assert samplers.draw(8, seed=1, epsilon=0.0).objects == before


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_resources_that_the_cluster_does_not_have_are_refused_at_once(config: CampaignConfig) -> None:
    from actors.ray_executor import RayExecutor

    wanting = config.model_copy(update={"resources": config.resources.model_copy(update={"sampler_gpus": 1.0})})
    with pytest.raises(ConfigError, match=r"resources\.sampler_gpus: 2 are asked for, the whole cluster has 0"):
        RayExecutor(wanting, "auto")


def test_a_worker_does_not_outlive_a_driver_that_was_killed(config: CampaignConfig, tmp_path: Path) -> None:
    read, write = os.pipe()
    driver = os.fork()
    if driver == 0:
        worker = LocalExecutor(config, tmp_path).oracle_worker(0)
        answer = call(worker, ["pid"], 20)[0].values
        assert answer is not None
        os.write(write, f"{answer[0]:.0f}\n".encode())
        time.sleep(60)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        pid = int(pipe.readline())
    os.kill(driver, signal.SIGKILL)
    os.waitpid(driver, 0)
    deadline = time.monotonic() + 10
    while _is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_running(pid)


def test_shares_differ_by_one_at_the_most() -> None:
    assert shares(10, 3) == [4, 3, 3]
    assert shares(2, 3) == [1, 1, 0]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_oracle_workers_without_a_place_in_the_cluster_hold_nothing_up(config: CampaignConfig, tmp_path: Path) -> None:
    from actors.ray_executor import RayExecutor

    crowded = config.model_copy(
        update={
            "rounds": config.rounds.model_copy(update={"count": 0}),
            "evaluation": config.evaluation.model_copy(update={"workers": 4}),
            "resources": config.resources.model_copy(update={"oracle_cpus": 2.5}),
        }
    )
    with Campaign(crowded, tmp_path / "run", RayExecutor(crowded, "auto")) as campaign:
        campaign.run()
    assert len(open_run(tmp_path / "run").evaluations) == 6
