"""The CPUs and GPUs that campaigns take, and their distribution on this machine."""

from __future__ import annotations

import threading
from pathlib import Path

from al_loop.actors.sweeps.resources import Machine, Share, needs_of
from al_loop.config import load_config
from tests.support.sweeps import CONFIG


def test_a_campaign_asks_for_its_workers_and_never_for_more_than_a_machine_has(tmp_path: Path) -> None:
    (tmp_path / "swept.yaml").write_text(CONFIG.replace("sweep_oracle:sweep_score", "operator:length_hint"))
    config = load_config(tmp_path / "swept.yaml", ["evaluation.workers=3"])
    assert needs_of(config, {"CPU": 16.0, "GPU": 0.0}) == {"CPU": 4.0}
    assert needs_of(config, {"CPU": 2.0, "GPU": 0.0}) == {"CPU": 2.0}
    replicas = load_config(tmp_path / "swept.yaml", ["evaluation.workers=3", "resources.learner.replicas=2"])
    assert needs_of(replicas, {"CPU": 16.0, "GPU": 0.0}) == {"CPU": 5.0}
    cuda = load_config(tmp_path / "swept.yaml", ["sampler.device=cuda"])
    assert needs_of(cuda, {"CPU": 16.0, "GPU": 2.0}) == {"CPU": 2.0, "GPU": 1.0}


def test_a_campaign_waits_until_another_gives_its_cpus_back() -> None:
    machine, is_stopping = Machine(4.0), threading.Event()
    first = machine.take({"CPU": 3.0}, is_stopping)
    assert first == Share(3.0, {})
    assert machine.take({"CPU": 1.0}, is_stopping) == Share(1.0, {})
    shares: list[Share | None] = []
    waiting = threading.Thread(target=lambda: shares.append(machine.take({"CPU": 2.0}, is_stopping)))
    waiting.start()
    machine.give_back(first)
    waiting.join()
    assert shares == [Share(2.0, {})]
    is_stopping.set()
    assert machine.take({"CPU": 1.0}, is_stopping) is None


def test_parts_of_a_gpu_are_shared_and_whole_ones_are_not() -> None:
    machine, is_stopping = Machine(8.0, ("0", "1")), threading.Event()
    half = {"CPU": 1.0, "GPU": 0.5}
    assert [machine.take(half, is_stopping) for _ in range(3)] == [
        Share(1.0, {"0": 0.5}),
        Share(1.0, {"0": 0.5}),
        Share(1.0, {"1": 0.5}),
    ]
    machine.give_back(Share(1.0, {"1": 0.5}))
    assert machine.take({"CPU": 1.0, "GPU": 1.0}, is_stopping) == Share(1.0, {"1": 1.0})
    machine.give_back(Share(2.0, {"0": 1.0}))
    machine.give_back(Share(1.0, {"1": 1.0}))
    assert machine.take({"CPU": 1.0, "GPU": 2.0}, is_stopping) == Share(1.0, {"0": 1.0, "1": 1.0})


def test_a_machine_whose_fractions_came_back_has_room_for_a_campaign_that_takes_it_all() -> None:
    machine, is_stopping = Machine(4.0), threading.Event()
    shares = [machine.take({"CPU": cpus}, is_stopping) for cpus in (1.2, 1.1, 1.1)]
    for share in shares:
        assert share is not None
        machine.give_back(share)
    timer = threading.Timer(10, is_stopping.set)
    timer.start()
    assert machine.take({"CPU": 4.0}, is_stopping) == Share(4.0, {})
    timer.cancel()
