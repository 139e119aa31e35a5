"""A real Ray cluster of several nodes on this machine: placement of roles, and recovery from lost nodes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from al_loop import Campaign, open_run
from al_loop.campaign.reporter import Phase, Reporter
from al_loop.config import CampaignConfig, load_config
from al_loop.errors import ConfigError
from benchmarks.support.fault_injection import FAST_DETECTION
from tests.support.ports import free_port

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
CONFIG = """
name: nodes
seed: 5
environment: {kind: sequence, alphabet: ACGU, length: 6}
oracle: {target: "MODULE:measure", log: LOG}
surrogate: {target: "MODULE:SlowGP"}
sampler: {steps: 12, batch_size: 8, hidden: 16, pool: 32, staleness: 3}
rounds: {initial: 6, batch_size: 6, count: 5}
evaluation: {workers: 2, timeout_s: 60}
resources:
  sampler: {count: 2, num_cpus: 1}
  learner: {num_cpus: 1}
  surrogate: {num_cpus: 1}
  oracle: {num_cpus: 1}
"""
MODULE = """
import time
from al_loop.surrogates.gp import ExactGP

class SlowGP(ExactGP):
    def fit(self, X, Y, Yvar=None):
        time.sleep(1.5)
        return super().fit(X, Y, Yvar)

def measure(word, log):
    with open(log, "ab", buffering=0) as file:
        file.write(f"{word}\\n".encode())
    time.sleep(0.3)
    return word.count("G") + 0.5 * word.count("GA")
"""


class Nodes:
    """A head without any place for a role, and nodes that come and go."""

    def __init__(self) -> None:
        import ray
        from ray.cluster_utils import Cluster

        self.dashboard_port = free_port()
        head = {"num_cpus": 0, "include_dashboard": True, "dashboard_port": self.dashboard_port}
        head |= {"_system_config": FAST_DETECTION, "object_store_memory": 100_000_000}
        head |= {"dashboard_agent_listen_port": free_port()}  # jobs go through it; the default is taken by other tests
        self._cluster: Any = Cluster(initialize_head=True, head_node_args=head)
        self._nodes: dict[str, Any] = {}
        ray.init(address=self._cluster.address, log_to_driver=False, configure_logging=False)

    def add(self, **what: Any) -> str:
        node = self._cluster.add_node(object_store_memory=100_000_000, include_dashboard=False, **what)
        self._nodes[node.node_id] = node
        return str(node.node_id)

    def remove(self, node_id: str) -> None:
        self._cluster.remove_node(self._nodes.pop(node_id), allow_graceful=False)

    def remove_all(self) -> None:
        for node_id in list(self._nodes):
            self.remove(node_id)

    def of(self, role: str) -> list[str]:
        """Return the nodes of the living actors of a role."""
        from ray.util.state import list_actors

        filters = [("class_name", "=", role), ("state", "=", "ALIVE")]
        return [str(actor.node_id) for actor in list_actors(f"http://127.0.0.1:{self.dashboard_port}", filters)]

    def wait_for(self, role: str, n: int) -> list[str]:
        deadline = time.monotonic() + 600
        while len(found := self.of(role)) < n:
            assert time.monotonic() < deadline, f"{len(found)} of {n} {role} are there"
            time.sleep(0.2)
        return found

    def close(self) -> None:
        import ray

        ray.shutdown()
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    saved = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as home:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        # jobs find their cluster by a file in Ray's folder, and clusters of other tests write theirs to the default one
        os.environ |= {"RAY_TMPDIR": home, "HOME": home, "RAY_AUTH_MODE": "disabled"}
        os.environ |= {"PYTHONPATH": str(ROOT), "PATH": path}
        made = Nodes()
        yield made
        made.close()
    os.environ.clear()
    os.environ.update(saved)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CampaignConfig:
    module = f"nodes_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(MODULE)
    text = CONFIG.replace("MODULE", module).replace("LOG", str(tmp_path / "paid.log"))
    (tmp_path / "nodes.yaml").write_text(text)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    return load_config("nodes.yaml")


class Watching(Reporter):
    """Calls back at each step of each phase."""

    def __init__(self, on_step: Callable[[int, str, int], None]) -> None:
        self._on_step = on_step
        self.notes: list[str] = []

    @contextmanager
    def phase(self, round_number: int, name: str, total: int) -> Iterator[Phase]:
        on_step = self._on_step

        class Watched(Phase):
            done = 0

            def advance(self, detail: str = "") -> None:
                self.done += 1
                on_step(round_number, name, self.done)

        on_step(round_number, name, 0)
        yield Watched()
        on_step(round_number, name, -1)

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_a_node_killed_in_each_phase_of_a_round_loses_nothing_and_changes_nothing(
    nodes: Nodes, config: CampaignConfig, tmp_path: Path
) -> None:
    from al_loop.actors.cluster.executor import RayExecutor

    with Campaign(config, tmp_path / "here") as campaign:
        campaign.run()
    expected = open_run(tmp_path / "here").evaluations.sort_values("object")
    (tmp_path / "paid.log").unlink()

    nodes.remove_all()
    for _ in range(4):  # of two places each, so that a node takes few roles with it
        nodes.add(num_cpus=2)
    # round -> phase, step within it, the role whose node is killed, and how long after the step
    plan = {
        1: ("fit", 0, "SurrogateActor", 0.5),
        2: ("train", 3, "LearnerActor", 0.0),
        3: ("train", 3, "SamplerActor", 0.0),
        4: ("select", 0, "LearnerActor", 0.0),
        5: ("oracle", 1, "OracleActor", 0.1),
    }
    killed: list[str] = []

    def kill(role: str) -> None:
        nodes.remove(nodes.wait_for(role, 1)[0])
        killed.append(role)

    def on_step(round_number: int, name: str, step: int) -> None:
        phase, at, role, delay_s = plan.get(round_number, ("", 0, "", 0.0))
        if name == phase and step == at:
            if delay_s:
                threading.Timer(delay_s, kill, [role]).start()
            else:
                kill(role)
        if name == "select" and step == -1:
            for _ in range(4 - len(nodes._nodes)):
                nodes.add(num_cpus=2)

    reporter = Watching(on_step)
    with Campaign(config, tmp_path / "run", RayExecutor(config, "auto", reporter.note), reporter) as campaign:
        campaign.run()
    assert killed == [role for _, _, role, _ in plan.values()]
    run = open_run(tmp_path / "run")
    found = run.evaluations.sort_values("object")
    for column in ("object", "round", "measure"):
        assert found[column].tolist() == expected[column].tolist()
    assert found["predicted_mean"].to_numpy() == pytest.approx(expected["predicted_mean"].to_numpy(), nan_ok=True)
    paid = (tmp_path / "paid.log").read_text().split()
    assert set(paid) == set(found["object"])
    assert len(paid) <= len(set(paid)) + 2 * len(plan)  # what two workers were at when a node died
    assert any("learner died" in note for note in reporter.notes)


def test_every_role_is_placed_where_its_resources_and_labels_are(
    nodes: Nodes, config: CampaignConfig, tmp_path: Path
) -> None:
    from al_loop.actors.cluster.executor import RayExecutor

    nodes.remove_all()
    sampling = [nodes.add(num_cpus=4, num_gpus=1, labels={"zone": "sampling"}) for _ in range(2)]
    docking = [nodes.add(num_cpus=2, resources={"licence": 1}) for _ in range(2)]
    (tmp_path / "nodes.yaml").write_text(
        (tmp_path / "nodes.yaml").read_text().split("resources:")[0]
        + "resources:\n"
        + "  sampler: {count: 3, num_cpus: 0.5, num_gpus: 0.25, labels: {zone: sampling}}\n"
        + "  learner: {num_cpus: 1, num_gpus: 0.25, labels: {zone: sampling}}\n"
        + "  surrogate: {num_cpus: 1}\n"
        + "  oracle: {num_cpus: 0.5, custom: {licence: 1}}\n"
    )
    config = load_config("nodes.yaml", ["rounds.count=1"])
    seen: dict[str, list[str]] = {}

    def on_step(round_number: int, name: str, step: int) -> None:
        if (round_number, name, step) == (0, "oracle", 1):
            seen["OracleActor"] = nodes.wait_for("OracleActor", 2)
        if (round_number, name, step) == (1, "train", 6):
            for role, n in (("LearnerActor", 1), ("SamplerActor", 3), ("SurrogateActor", 1)):
                seen[role] = nodes.wait_for(role, n)

    with Campaign(config, tmp_path / "run", RayExecutor(config, "auto"), Watching(on_step)) as campaign:
        campaign.run()
    assert seen["LearnerActor"][0] in sampling
    assert seen["SamplerActor"] == [seen["LearnerActor"][0]] * 3  # packed beside the learner
    assert sorted(seen["OracleActor"]) == sorted(docking)  # spread
    assert len(open_run(tmp_path / "run").evaluations) == 12


def test_a_cluster_without_a_place_says_so_at_once_and_one_that_grows_is_waited_for(
    nodes: Nodes, config: CampaignConfig, tmp_path: Path
) -> None:
    from al_loop.actors.cluster.executor import RayExecutor

    nodes.remove_all()
    nodes.add(num_cpus=5, labels={"zone": "a"})
    path = tmp_path / "nodes.yaml"
    path.write_text(path.read_text() + "  wait_s: 0\n")
    wanting = load_config("nodes.yaml", ["resources.oracle={custom: {licence: 1}}"])
    with pytest.raises(ConfigError, match=r"resources\.oracle: 1 CPU, 1 licence is asked for") as error:
        RayExecutor(wanting, "auto")
    assert "5 CPU" in str(error.value)
    assert "zone=a" in str(error.value)

    notes: list[str] = []

    def grow(message: str) -> None:
        notes.append(message)
        nodes.add(num_cpus=2, resources={"licence": 2})

    waiting = load_config("nodes.yaml", ["resources.oracle={custom: {licence: 1}}", "resources.wait_s=60"])
    RayExecutor(waiting, "auto", grow).close()
    assert notes == ["the cluster has no place for: oracle; waiting up to 60 s for it to grow"]


def test_a_job_with_an_oracle_of_its_own_uses_the_nodes_that_its_config_names(nodes: Nodes, tmp_path: Path) -> None:
    nodes.remove_all()
    nodes.add(num_cpus=4)
    nodes.add(num_cpus=1, resources={"licence": 1})
    (tmp_path / "mine.py").write_text("def measure(word):\n    return float(word.count('G'))\n")
    (tmp_path / "far.yaml").write_text(
        "name: far\nenvironment: {kind: sequence, alphabet: ACGU, length: 5}\noracle: {target: 'mine:measure'}\n"
        "sampler: {steps: 3, batch_size: 8, pool: 16, hidden: 8}\nrounds: {count: 1, batch_size: 3, initial: 3}\n"
        "evaluation: {workers: 1}\nresources: {oracle: {custom: {licence: 1}}}\n"
    )
    command = [sys.executable, "-m", "al_loop.cli", "submit", "far.yaml", "--follow"]
    command += ["--address", f"http://127.0.0.1:{nodes.dashboard_port}", "--run-dir", str(tmp_path / "run")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(open_run(tmp_path / "run").evaluations) == 6
