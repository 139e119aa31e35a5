"""Checks that several policy networks have in common."""

from __future__ import annotations

import torch
from torch import Tensor

from al_loop.gflownet.policies.base import Context, Policy


def assert_a_whole_pass_agrees(policy: Policy, states: Tensor, told: Context) -> None:
    """Check that the outputs along trajectories, and those of each half, are the outputs state by state.

    Args:
        policy: a policy that implements ``along``, on objects that have one parent.
        states: states of n trajectories, shape T + 1 x n x state_size.
        told: the context of the trajectories.
    """
    at_once = policy.along(states, told)
    for t, here in enumerate(states):
        one = policy.all_logits(here, told)
        for name in ("forward", "backward", "log_flow"):
            torch.testing.assert_close(getattr(at_once, name)[t], getattr(one, name), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(policy.forward_logits(here, told), one.forward)
        torch.testing.assert_close(policy.log_flow(here, told), one.log_flow)
        assert policy.backward_logits(here, told).shape == (len(here), 1)
