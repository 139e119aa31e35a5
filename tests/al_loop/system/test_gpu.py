"""Monitoring of GPUs, with a fake of torch.cuda, so that no GPU is needed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from al_loop.system.gpu import GpuWatch

ROOT = Path(__file__).parents[3]


class FakeGpu:
    """Answers with one value after the other, the last one for ever; ``seen`` is set when all were asked for."""

    def __init__(self, *answers: float) -> None:
        self.answers, self.n_asked, self.seen = answers, 0, threading.Event()
        self.devices: set[str] = set()

    def __call__(self, device: str) -> float:
        self.devices.add(device)
        answer = self.answers[min(self.n_asked, len(self.answers) - 1)]
        self.n_asked += 1
        if self.n_asked >= len(self.answers):
            self.seen.set()
        return answer


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def replace(**functions: object) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        for name, function in functions.items():
            monkeypatch.setattr(torch.cuda, name, function)

    return replace


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), "mps"])
def test_another_device_is_not_watched(device: str | torch.device) -> None:
    before = threading.active_count()
    with GpuWatch(device) as watch:
        assert threading.active_count() == before
    assert (watch.utilisation, watch.memory_gb, watch.metrics()) == (None, None, {})


def test_a_machine_without_cuda_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with GpuWatch("cuda:0") as watch:
        pass
    assert (watch.utilisation, watch.memory_gb) == (None, None)


def test_shares_are_averaged_and_the_highest_memory_kept(fake: Callable[..., None]) -> None:
    busy, held = FakeGpu(100, 50, 0), FakeGpu(1e9, 3e9, 2e9)
    fake(utilization=busy, memory_allocated=held, max_memory_allocated=FakeGpu(8e9))
    with GpuWatch("cuda:1", interval_s=0.001) as watch:
        assert busy.seen.wait(300)
        assert held.seen.wait(300)
    assert watch.utilisation == pytest.approx(1.5 / busy.n_asked)
    assert watch.memory_gb == 3.0
    assert busy.devices == held.devices == {"cuda:1"}


def test_a_peak_between_two_samples_is_seen(fake: Callable[..., None]) -> None:
    fake(utilization=FakeGpu(80), memory_allocated=FakeGpu(1e9), max_memory_allocated=FakeGpu(2e9, 7e9))
    with GpuWatch("cuda", interval_s=60) as watch:
        pass
    assert watch.metrics() == {"gpu_utilisation": 0.8, "gpu_memory_gb": 7.0}


def test_without_nvml_memory_is_told_alone(fake: Callable[..., None]) -> None:
    def refuse(device: str) -> float:
        raise ModuleNotFoundError("nvidia-ml-py does not seem to be installed")

    fake(utilization=refuse, memory_allocated=FakeGpu(2e9), max_memory_allocated=FakeGpu(2e9))
    with GpuWatch("cuda", interval_s=60) as watch:
        pass
    assert watch.metrics() == {"gpu_memory_gb": 2.0}


def test_it_ends_with_what_it_watches(fake: Callable[..., None]) -> None:
    fake(utilization=FakeGpu(10), memory_allocated=FakeGpu(0), max_memory_allocated=FakeGpu(0))
    before = threading.active_count()
    with pytest.raises(KeyError), GpuWatch("cuda", interval_s=60):
        raise KeyError("training failed")
    assert threading.active_count() == before


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="interval_s"):
        GpuWatch("cuda", interval_s=0)


def test_on_a_cpu_no_library_is_loaded() -> None:
    code = (
        "from al_loop.system.gpu import GpuWatch\nimport sys\n"
        "with GpuWatch('cpu') as watch: pass\n"
        "print(watch.utilisation, {'torch', 'ray', 'rdkit', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None set()"
