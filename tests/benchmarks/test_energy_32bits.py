"""The sum over all words of the benchmark at 32 bits, on 16 of them; and its answer without a GPU."""

from __future__ import annotations

import sys

import pytest
import torch

from al_loop.energy.energies.mlp import MLPEnergy
from al_loop.environments.assignment import Assignments
from al_loop.gflownet.exact_distribution import terminal_states
from benchmarks.energy import energy_32bits


def test_log_z_is_that_of_all_words() -> None:
    space = Assignments("01", 16, order="left_to_right")
    torch.manual_seed(0)
    energy = MLPEnergy(space, hidden=8, layers=1)
    with torch.no_grad():
        exact = float(energy(terminal_states(space)).double().logsumexp(0))
    for chunk in (1 << 14, 10_000, 1 << 20):
        assert energy_32bits.log_z_of_all_words(energy, 16, chunk=chunk) == pytest.approx(exact, abs=1e-9)


def test_without_a_gpu_nothing_is_measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["energy_32bits.py"])
    energy_32bits.main()
    assert capsys.readouterr().out == "not measured: this machine has no GPU\n"
