"""Reports: exact ones by enumeration, and estimates that agree with them."""

from __future__ import annotations

import pytest
import torch

from al_loop.energy.energies.mlp import MLPEnergy
from al_loop.energy.report import count_states, estimated_report, exact_report
from al_loop.environments.assignment import Assignments
from al_loop.environments.fragments import Fragments
from al_loop.environments.sequence import Sequences
from al_loop.gflownet.policies.mlp import MLPPolicy


def test_estimates_agree_with_the_exact_report() -> None:
    space = Assignments("01", 5)
    torch.manual_seed(0)
    energy, policy = MLPEnergy(space, hidden=8), MLPPolicy(space, 8, 1)
    held_out = torch.randint(2, (300, 5))
    exact = exact_report(space, energy, policy, held_out, 1.0, 7)
    generator = torch.Generator().manual_seed(1)
    estimate = estimated_report(space, energy, policy, held_out, 1.0, 7, backward="learned", generator=generator)
    assert exact.is_exact
    assert not estimate.is_exact
    assert estimate.log_z == pytest.approx(exact.log_z, abs=5 * estimate.log_z_error)
    assert estimate.energy_nll == pytest.approx(exact.energy_nll, abs=0.05)
    assert estimate.sampler_nll == pytest.approx(exact.sampler_nll, abs=5 * estimate.sampler_nll_error)
    assert estimate.kl_bound > exact.kl_bound - 0.05
    assert exact.lag == pytest.approx(exact.sampler_nll - exact.energy_nll)
    assert "L1" in str(exact)
    assert "effective share" in str(estimate)


def test_small_spaces_are_counted_and_large_ones_given_up() -> None:
    assert count_states(Assignments("01", 4), 100) == 3**4
    assert count_states(Sequences("AC", 2, 1), 100) == 1 + 2 + 2 + 4
    assert count_states(Assignments("01", 16, order="left_to_right"), 200_000) == 2**17 - 1
    assert count_states(Assignments("01", 16), 200_000) is None
    assert count_states(Fragments(), 200) is None
