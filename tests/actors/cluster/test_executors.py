"""The same campaign on this machine and on Ray; what dies is replaced."""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from al_loop import Campaign, open_run
from al_loop.actors.local import LocalExecutor
from al_loop.campaign.executor import CallTimeout, Executor, MemoryExceeded, OracleWorker, WorkerLost
from al_loop.config import CampaignConfig, load_config
from al_loop.errors import CampaignError, ConfigError
from al_loop.oracles.base import Call, Outcome

CONFIG = """
name: placed
seed: 5
environment: {kind: sequence, alphabet: ACGU, length: 6}
oracle: {target: "placed_oracle:measure"}
sampler: {steps: 6, batch_size: 16, hidden: 16, pool: 32, staleness: 2, shares: 2, searches: [{kind: genetic, size: 4}]}
rounds: {initial: 6, batch_size: 6, count: 2}
evaluation: {workers: 2, timeout_s: 20}
resources: {sampler: {count: 2, num_cpus: 0.5}, oracle: {num_cpus: 0.5}}
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


def _with(config: CampaignConfig, section: str, **changes: Any) -> CampaignConfig:
    """A config with some keys of a section changed."""
    content = getattr(config, section).model_dump()
    for key, value in changes.items():
        content[key] = {**content[key], **value} if isinstance(value, dict) else value
    return config.model_copy(update={section: type(getattr(config, section)).model_validate(content)})


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
        "PYTHONPATH": str(Path(__file__).parents[3]),
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
        from al_loop.actors.cluster.executor import RayExecutor

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
        call(worker, ["hang"], 4.0)
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
            call(worker, ["daemon"], 8.0)  # two interpreters start within it, also on a busy machine
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


def _length(objects: Any) -> Any:
    import torch

    return torch.tensor([float(len(o)) for o in objects])


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_the_same_campaign_runs_alike_on_this_machine_and_on_ray(config: CampaignConfig, tmp_path: Path) -> None:
    from al_loop.actors.cluster.executor import RayExecutor

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


@pytest.fixture
def samplers(ray_cluster: None, config: CampaignConfig) -> Iterator[Any]:
    from al_loop.actors.cluster.samplers import RaySamplers
    from al_loop.campaign.sampler_training import make_sampler

    group = RaySamplers(config)
    group.set_weights(make_sampler(config)._policy.state_dict())
    group.set_reward(_length)
    yield group
    group.close()


def _objects(samplers: Any, seeds: Sequence[int]) -> list[list[str]]:
    from al_loop.gflownet.sampler import DrawRequest

    return [draw.result().objects for draw in [samplers.begin(DrawRequest(8, seed)) for seed in seeds]]


@pytest.mark.slow
def test_draws_of_sampler_actors_are_those_of_a_sampler_here_though_some_die(
    samplers: Any, config: CampaignConfig
) -> None:
    import ray

    from al_loop.campaign.sampler_training import make_sampler
    from al_loop.gflownet.pipeline import InlineSampler

    sampler = make_sampler(config)
    sampler.set_reward(_length)
    sampler.set_weights(make_sampler(config)._policy.state_dict())
    here = InlineSampler(sampler)
    here.set_weights(ray.get(samplers._weights[0]))
    expected = _objects(here, range(12))
    assert _objects(samplers, range(12)) == expected
    ray.kill(samplers._ready[0].handle, no_restart=False)
    assert _objects(samplers, range(12)) == expected
    assert samplers.n_lost == 1
    for sampler_actor in samplers._ready:
        ray.kill(sampler_actor.handle, no_restart=False)
    assert _objects(samplers, range(12)) == expected


class _HangsOnce:
    """A reward that never comes back the first time that it sees a marked file."""

    def __init__(self, flag: Path) -> None:
        self._flag = flag

    def __call__(self, objects: Any) -> Any:
        if self._flag.exists():
            self._flag.unlink()
            time.sleep(3600)
        return _length(objects)


@pytest.mark.slow
def test_a_sampler_that_hangs_is_ended_and_its_draw_made_by_another(
    samplers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("al_loop.actors.cluster.samplers._HUNG_S", 5.0)
    expected = _objects(samplers, range(8))
    flag = tmp_path / "hang"
    samplers.set_reward(_HangsOnce(flag))
    flag.touch()
    assert _objects(samplers, range(8)) == expected
    assert samplers.n_lost == 1


@pytest.mark.slow
def test_a_reward_that_raises_is_told_and_no_sampler_lost(samplers: Any) -> None:
    samplers.set_reward(_raises)
    with pytest.raises(ValueError, match="no such reward"):
        _objects(samplers, [1])
    samplers.set_reward(_length)
    assert len(_objects(samplers, [1])[0]) == 8
    assert samplers.n_lost == 0


def _refuses(objects: Any) -> Any:
    raise CampaignError("the licence server is gone")


def _raises(objects: Any) -> Any:
    raise ValueError("no such reward")


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_learner_that_dies_in_the_middle_comes_to_the_same_result(config: CampaignConfig) -> None:
    import ray

    from al_loop.actors.cluster.learner import RayTraining
    from al_loop.actors.cluster.oracles import OraclePlaces

    notes: list[str] = []
    objects = ["GGGGGG", "ACGUAC"]
    with (
        LocalExecutor(config, Path()).training() as here,
        RayTraining(config, notes.append, OraclePlaces(config, print)) as there,
    ):
        losses = {"here": [s.loss for s in here.train(1, _length, objects)]}
        losses["there"] = [s.loss for s in there.train(1, _length, objects)]
        assert losses["there"] == losses["here"]
        losses = {"here": [s.loss for s in here.train(2, _length, objects)], "there": []}
        for step in there.train(2, _length, objects):
            losses["there"].append(step.loss)
            if step.number == 2:
                ray.kill(there._actor)
        assert losses["there"] == losses["here"]
        ray.kill(there._actor)
        assert there.draw(40, seed=3) == here.draw(40, seed=3)
        assert there.met() == here.met()
        assert there.state() == here.state()
    assert len([note for note in notes if "learner died" in note]) == 2


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_damaged_state_is_refused_and_leaves_fresh_weights(config: CampaignConfig) -> None:
    from al_loop.actors.cluster.learner import RayTraining
    from al_loop.actors.cluster.oracles import OraclePlaces

    with (
        LocalExecutor(config, Path()).training() as here,
        RayTraining(config, print, OraclePlaces(config, print)) as there,
    ):
        with pytest.raises(Exception, match=r"."):
            there.load(b"not a checkpoint")
        assert there.draw(8, seed=1) == here.draw(8, seed=1)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_campaign_of_the_maximising_baseline_runs_alike_here_and_on_ray(
    tmp_path: Path, config: CampaignConfig
) -> None:
    from al_loop.actors.cluster.executor import RayExecutor

    maximising = load_config("placed.yaml", ["sampler.kind=ppo", "sampler.searches=[]"])
    tables = []
    for name, executor in (("here", None), ("ray", RayExecutor(maximising, "auto"))):
        with Campaign(maximising, tmp_path / name, executor) as campaign:
            campaign.run()
        tables.append(open_run(tmp_path / name).evaluations.sort_values("object")["object"].tolist())
    assert len(tables[0]) == 18
    assert tables[0] == tables[1]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_samplers_that_would_have_nothing_to_do_are_told_of(config: CampaignConfig) -> None:
    from al_loop.actors.cluster.executor import RayExecutor

    idle = _with(_with(config, "sampler", staleness=0, shares=1, searches=[]), "resources", sampler={"count": 3})
    notes: list[str] = []
    executor = RayExecutor(idle, "auto", notes.append)
    executor.training().close()
    executor.close()
    assert [note for note in notes if "sampler.staleness=5" in note]


def test_a_client_connection_is_refused_with_what_to_do_instead(config: CampaignConfig) -> None:
    from al_loop.actors.cluster.executor import RayExecutor

    with pytest.raises(ConfigError, match="al-loop submit"):
        RayExecutor(config, "ray://head:10001")


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_role_that_fits_on_no_node_is_refused_at_once_with_what_the_cluster_has(config: CampaignConfig) -> None:
    from al_loop.actors.cluster.executor import RayExecutor

    wanting = _with(config, "resources", sampler={"num_cpus": 1, "num_gpus": 0.5, "labels": {"zone": "a"}})
    with pytest.raises(ConfigError, match=r"resources\.sampler: 1 CPU, 0\.5 GPU with the labels zone=a") as error:
        RayExecutor(wanting, "auto")
    assert "has 4 CPU" in str(error.value)


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


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("num_cpus", [2.5, 1.0])
def test_oracle_workers_without_a_place_in_the_cluster_hold_nothing_up(
    config: CampaignConfig, tmp_path: Path, num_cpus: float
) -> None:
    """They never take the place of the search either, which starts later; nor do those without work keep it."""
    from al_loop.actors.cluster.executor import RayExecutor

    crowded = _with(config, "rounds", count=1)
    crowded = _with(crowded, "evaluation", workers=5)
    crowded = _with(crowded, "resources", oracle={"num_cpus": num_cpus}, sampler={"num_cpus": 1.0})
    with Campaign(crowded, tmp_path / "run", RayExecutor(crowded, "auto")) as campaign:
        campaign.run()
    assert len(open_run(tmp_path / "run").evaluations) == 12


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_oracle_actors_without_work_make_room_for_a_search_that_lost_its_place(
    config: CampaignConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    from al_loop.actors.cluster.learner import RayTraining
    from al_loop.actors.cluster.oracles import OraclePlaces, RayWorker

    monkeypatch.setattr("al_loop.actors.cluster.oracles._STARVED_S", 1.0)
    crowded = _with(config, "resources", oracle={"num_cpus": 1.0}, sampler={"num_cpus": 1.0})
    crowded = _with(crowded, "evaluation", workers=4)
    places = OraclePlaces(crowded, print)
    places._is_open = True  # as if a search had been there before
    workers = [RayWorker(crowded, i, places) for i in range(4)]
    for worker in workers:
        worker.start()
    assert ray.available_resources().get("CPU", 0) == 0
    try:
        with RayTraining(crowded, print, places) as training:
            assert len(list(training.train(1, _length, ["GGGGGG"]))) == 6
            assert sum(worker._actor is not None for worker in workers) == 2  # beside two samplers
            assert call(workers[0], ["GAGGGG"], 30)[0].values == (5.5,)
    finally:
        for worker in workers:
            worker.close()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_an_oracle_actor_that_died_without_work_costs_no_attempt(config: CampaignConfig) -> None:
    import ray

    from al_loop.actors.cluster.oracles import OraclePlaces, RayWorker

    worker = RayWorker(config, 0, OraclePlaces(config, print))
    try:
        assert call(worker, ["GGGGGG"], 30)[0].values == (6.0,)
        ray.kill(worker._actor)
        with suppress(ray.exceptions.RayActorError):
            while ray.get(worker._actor.ready.remote()) is None:
                time.sleep(0.05)
        assert call(worker, ["GAGGGG"], 30)[0].values == (5.5,)
    finally:
        worker.close()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_surrogate_that_is_always_killed_ends_the_campaign_with_the_reason(
    config: CampaignConfig, tmp_path: Path
) -> None:
    from al_loop.actors.cluster.executor import RayExecutor

    module = f"deadly_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(
        "import os\nfrom al_loop.surrogates.gp import ExactGP\n\n"
        "class Deadly(ExactGP):\n    def fit(self, X, Y, Yvar=None):\n        os._exit(9)\n"
    )
    deadly = load_config("placed.yaml", [f"surrogate={{target: '{module}:Deadly'}}"])
    notes: list[str] = []
    with (
        pytest.raises(CampaignError, match=r"the surrogate died 4 times.*resources\.surrogate"),
        Campaign(deadly, tmp_path / "run", RayExecutor(deadly, "auto", notes.append)) as campaign,
    ):
        campaign.run()
    assert len([note for note in notes if "the surrogate died" in note]) == 3
    assert len(open_run(tmp_path / "run").evaluations) == 6


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("n_bad", [1, 2])
def test_a_sampler_that_cannot_be_made_leaves_the_work_to_the_others(
    config: CampaignConfig, tmp_path: Path, n_bad: int
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

    group = RaySamplers(config, Bad)
    try:
        group.set_reward(_length)
        group.set_weights(make_sampler(config)._policy.state_dict())
        if n_bad == 2:
            with pytest.raises(CampaignError, match=r"a sampler could not be started: .*no module named rare"):
                _objects(group, range(4))
        else:
            assert len(_objects(group, range(4))) == 4
            assert group.n_lost == 1
    finally:
        group.close()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_what_goes_wrong_in_the_search_is_one_line(config: CampaignConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    from al_loop.actors.cluster.learner import RayTraining
    from al_loop.actors.cluster.oracles import OraclePlaces

    with RayTraining(config, print, OraclePlaces(config, print)) as training:
        with pytest.raises(CampaignError) as told:
            list(training.train(1, _refuses, ["GGGGGG"]))
        assert str(told.value) == "the licence server is gone"
