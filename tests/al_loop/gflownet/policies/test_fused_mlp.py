"""The kernel that computes an MLP policy in roll-outs on a GPU: its choice, its arguments, and its values."""

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

from al_loop.environments.assignment import Assignments
from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.sequence import Sequences
from al_loop.environments.set import Sets
from al_loop.gflownet.execution.choice import Execution
from al_loop.gflownet.execution.chunked_rollout import ChunkedRollout
from al_loop.gflownet.policies import _fused_mlp
from al_loop.gflownet.policies.mlp import MLPPolicy

ENVIRONMENTS = {"grid": Hypergrid(3, 5), "words": Sequences("ACG", 4), "assignments": Assignments("01", 5)}
CPU = torch.device("cpu")


def policy_for(environment, hidden=16, layers=2, **options):
    torch.manual_seed(0)
    return MLPPolicy(environment, hidden, layers, **options)


@pytest.fixture
def fused_on_a_cpu(monkeypatch):
    """Take the way of a GPU, with what the kernel computes computed by torch; return its calls."""
    calls = []

    def compute(*inputs):
        calls.append(inputs)
        return _fused_mlp.reference(*inputs)

    monkeypatch.setattr(_fused_mlp, "fused_mlp", compute, raising=False)
    monkeypatch.setattr(MLPPolicy, "_is_fused", lambda *_: True)
    return calls


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_roll_outs_by_the_kernel_are_those_of_the_network(name, fused_on_a_cpu, monkeypatch):
    environment = ENVIRONMENTS[name]
    policy = policy_for(environment)

    def draw():
        rollout = ChunkedRollout(environment, policy, Execution(), chunk=2, is_planned=True)
        return rollout.draw(environment.initial(50), generator=torch.Generator().manual_seed(1))

    fused = draw()
    assert fused_on_a_cpu
    monkeypatch.undo()
    assert torch.equal(draw().states, fused.states)
    states = fused.states[:-1].flatten(0, 1)
    with torch.no_grad():
        memory = policy.start_from(states)
        expected = policy.forward_logits(states)
        torch.testing.assert_close(policy.next_logits(states, None, memory, None), expected)
    inputs = fused_on_a_cpu[-1]
    torch.testing.assert_close(_fused_mlp.reference(*inputs), policy.forward_logits(inputs[0]).detach())


def test_only_networks_that_the_kernel_computes_use_it(monkeypatch):
    tried = []
    monkeypatch.setattr(_fused_mlp, "works", lambda *shape: tried.append(shape) or True)
    gpu, dtype = torch.device("cuda"), torch.float32
    monkeypatch.setattr(Hypergrid, "feature_offsets", lambda self, _: self._offsets.on(CPU))
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "high")
    grid = ENVIRONMENTS["grid"]
    assert policy_for(grid)._is_fused(gpu, dtype)
    assert tried == [(gpu, dtype, 3, 15, 16, 4)]
    assert not policy_for(grid)._is_fused(CPU, dtype)
    assert not policy_for(grid, layers=3)._is_fused(gpu, dtype)
    assert not policy_for(grid, heads=2)._is_fused(gpu, dtype)
    assert not policy_for(grid, n_conditions=1)._is_fused(gpu, dtype)
    assert not policy_for(Sets(6, 3))._is_fused(gpu, dtype)
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "highest")
    assert not policy_for(grid)._is_fused(gpu, dtype)


def test_a_kernel_that_fails_or_differs_is_not_used(monkeypatch, caplog):
    monkeypatch.setattr(_fused_mlp, "HAS_TRITON", True)

    def works(compute):
        monkeypatch.setattr(_fused_mlp, "fused_mlp", compute, raising=False)
        _fused_mlp.works.cache_clear()
        return _fused_mlp.works(CPU, torch.float32, 3, 15, 16, 4)

    def refuse(*_):
        raise RuntimeError("out of resource: shared memory")

    assert works(_fused_mlp.reference)
    assert not caplog.text
    assert not works(refuse)
    assert "since one cannot be used: out of resource" in caplog.text
    assert not works(lambda *inputs: 1.1 * _fused_mlp.reference(*inputs))
    assert "its result differs by 0.1" in caplog.text
    assert not works(lambda *inputs: torch.nan * _fused_mlp.reference(*inputs))
    assert not _fused_mlp.works(CPU, torch.float32, 3, 15, 2 * _fused_mlp.MAX_HIDDEN, 4)
    _fused_mlp.works.cache_clear()


INTERPRETED = """
import torch
from al_loop.gflownet.policies import _fused_mlp
shapes = [(4, 80, 64, 5), (6, 30, 48, 33), (2, 10, 16, 3)]
print([_fused_mlp.works(torch.device("cpu"), torch.float32, *shape) for shape in shapes])
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_the_kernel_computes_the_network():
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    command = [sys.executable, "-c", INTERPRETED]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.split() == ["[True,", "True,", "True]"], done.stderr
