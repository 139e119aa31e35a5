"""The benchmark at 32 bits: a short run, the sum over all words on 16 of them, and its answer without a GPU."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from al_loop.energy.energies.mlp import MLPEnergy
from al_loop.energy.likelihood import PolicyLikelihood
from al_loop.environments.assignment import Assignments
from al_loop.gflownet.exact_distribution import terminal_states
from al_loop.gflownet.policies.masked_autoregressive import MaskedAutoregressivePolicy
from benchmarks.energy import energy_32bits


@pytest.mark.parametrize(("has_base", "error"), [(False, 1e-9), (True, 1e-6)])  # energies with a base add in float32
def test_log_z_is_that_of_all_words(has_base: bool, error: float) -> None:
    space = Assignments("01", 16, order="left_to_right")
    torch.manual_seed(0)
    energy = MLPEnergy(space, hidden=8, layers=1)
    if has_base:
        energy.base = PolicyLikelihood(space, MaskedAutoregressivePolicy(space, hidden=8, layers=1))
    with torch.no_grad():
        exact = float(energy(terminal_states(space)).double().logsumexp(0))
    for chunk in (1 << 14, 10_000, 1 << 20):
        assert energy_32bits.log_z_of_all_words(energy, 16, chunk=chunk) == pytest.approx(exact, abs=error)


def test_a_short_run_writes_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(energy_32bits, "N_TEST", 200)
    monkeypatch.setattr(energy_32bits, "N_DRAWS", 100)
    options = "--densities moons --base-steps 4 --steps 4 --batch 8 --words 10000 --hidden 8 --layers 1"
    monkeypatch.setattr(sys, "argv", ["energy_32bits.py", *options.split(), "--out", str(tmp_path)])
    energy_32bits.main()
    (row,) = pd.read_csv(tmp_path / "energy_32bits.csv").to_dict("records")
    assert 19.7 < row["sampler_nll"] < 30
    assert abs(row["energy_nll"] - row["sampler_nll"]) < 2
    assert "moons" in capsys.readouterr().out


def test_without_a_gpu_nothing_is_measured_on_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["energy_32bits.py", "--device", "cuda"])
    energy_32bits.main()
    assert capsys.readouterr().out == "not measured: this machine has no GPU\n"
