"""A campaign's metrics, read where Prometheus would read them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from al_loop.sinks import Sinks
from tests.support.local_ray import start_ray
from tests.support.ports import free_port

ROOT = Path(__file__).parents[3]
Expected = dict[tuple[str, str, str], float]


@pytest.fixture(scope="module")
def metrics_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import ray

    saved = dict(os.environ)
    os.environ |= {"HOME": str(tmp_path_factory.mktemp("home")), "RAY_AUTH_MODE": "disabled"}
    port = free_port()
    start_ray(
        num_cpus=1,
        object_store_memory=80_000_000,
        _metrics_export_port=port,
        _system_config={"metrics_report_interval_ms": 1000},
    )
    yield f"http://127.0.0.1:{port}/metrics"
    ray.shutdown()
    os.environ.clear()
    os.environ.update(saved)


def scrape(url: str, campaign: str) -> Expected:
    """Values by (name, role, what else tells them apart) of one campaign."""
    try:
        text = requests.get(url, timeout=5).text
    except requests.RequestException:  # the agent of the node is not up yet
        return {}
    found = {}
    for line in text.splitlines():
        match = re.fullmatch(r"(ray_al_loop_\w+)\{(.*)\} (\S+)", line)
        if match:
            tags = dict(re.findall(r'(\w+)="([^"]*)"', match[2]))
            if tags.get("campaign") == campaign:
                found[match[1], tags["role"], tags.get("phase") or tags.get("le", "")] = float(match[3])
    return found


def scrape_until(url: str, campaign: str, expected: Expected) -> Expected:
    """Those of the expected values that can be read, once they are all as expected or a while has passed."""
    deadline = time.monotonic() + 600
    while True:
        found = scrape(url, campaign)
        if found.items() >= expected.items() or time.monotonic() > deadline:
            return {key: value for key, value in found.items() if key in expected}
        time.sleep(0.5)


@pytest.mark.slow
def test_what_the_loop_tells_is_what_prometheus_reads(metrics_url: str) -> None:
    from al_loop.actors.cluster.metrics import RayMetrics

    metrics = RayMetrics("screening")
    notes: list[str] = []
    sinks = Sinks([metrics], notes.append)
    sinks.begin("screening", "uid1", {"rounds": {"count": 3}})
    sinks.log(2, {"best": -9.5, "calls": 40, "seconds_fit": 1.5, "seconds_train": 20})
    for step, loss in enumerate((1.0, 0.5, 0.25)):
        sinks.log(step, {"train/loss": loss})
    sinks.log(1, {"training/trajectories": 64, "training/staleness_mean": 1.5})
    sinks.log(2, {"training/trajectories": 32, "training/staleness_mean": 0.5, "training/learner_utilisation": 0.75})
    for number, (seconds, failed) in enumerate(((0.25, 0), (0, 0), (70, 1))):
        sinks.log(number, {"oracle/seconds": seconds, "oracle/failed": failed, "oracle/open": 2 - number})
    other = RayMetrics("another")
    other.log(1, {"oracle/seconds": 5000, "oracle/failed": 0, "oracle/open": 7})
    sinks.end("finished")
    assert notes == []
    expected: Expected = {
        ("ray_al_loop_oracle_seconds_total", "oracle", ""): 70.25,
        ("ray_al_loop_oracle_call_seconds_bucket", "oracle", "0.5"): 2,
        ("ray_al_loop_oracle_call_seconds_bucket", "oracle", "60.0"): 2,
        ("ray_al_loop_oracle_call_seconds_bucket", "oracle", "300.0"): 3,
        ("ray_al_loop_rounds_planned", "campaign", ""): 3,
        ("ray_al_loop_round", "campaign", ""): 2,
        ("ray_al_loop_best", "campaign", ""): -9.5,
        ("ray_al_loop_calls", "campaign", ""): 40,
        ("ray_al_loop_phase_seconds", "campaign", "fit"): 1.5,
        ("ray_al_loop_phase_seconds", "campaign", "train"): 20,
        ("ray_al_loop_oracle_calls_total", "oracle", ""): 3,
        ("ray_al_loop_oracle_failures_total", "oracle", ""): 1,
        ("ray_al_loop_open_candidates", "oracle", ""): 0,
        ("ray_al_loop_oracle_call_seconds_count", "oracle", ""): 3,
        ("ray_al_loop_trajectories_total", "sampler", ""): 96,
        ("ray_al_loop_learner_steps_total", "learner", ""): 3,
        ("ray_al_loop_loss", "learner", ""): 0.25,
        ("ray_al_loop_training_staleness_mean", "learner", ""): 0.5,
        ("ray_al_loop_training_learner_utilisation", "learner", ""): 0.75,
    }
    assert scrape_until(metrics_url, "screening", expected) == expected
    others: Expected = {
        ("ray_al_loop_open_candidates", "oracle", ""): 7,
        ("ray_al_loop_oracle_calls_total", "oracle", ""): 1,
    }
    assert scrape_until(metrics_url, "another", others) == others


def test_without_ray_running_nothing_is_sent_and_nothing_fails() -> None:
    code = (
        "from al_loop.actors.cluster.metrics import RayMetrics\nimport ray\n"
        "metrics = RayMetrics('screening')\n"
        "metrics.begin('screening', 'uid1', {})\n"
        "metrics.log(0, {'best': 1.0, 'seconds_fit': 2.0})\n"
        "metrics.log(1, {'oracle/seconds': 0.5, 'oracle/failed': 1})\n"
        "metrics.log(1, {'train/loss': 0.5})\n"
        "metrics.end('stopped')\n"
        "print(ray.is_initialized())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr
