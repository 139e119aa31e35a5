"""Back-and-forth moves: an object is taken apart by the backward policy and completed again by the policy.

The moves return the log-ratio of their proposal probabilities, so that Metropolis-Hastings makes them exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.backward_rollout import Backward, backward_rollout
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.rollout import Guide, rollout
from al_loop.gflownet.trajectories import Trajectories
from al_loop.gflownet.trajectory_terms import log_probabilities
from al_loop.system.checks import in_range, whole_number

#: number of steps to undo for each length of a history: n -> n, at most the length
UndoneSteps = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Move:
    """Proposed moves of n objects.

    Args:
        trajectories: trajectories of the proposed objects.
        log_ratio: log q(x' -> x) - log q(x -> x') along the path taken, shape n; -inf where the reverse move is not
            possible. None: not known.
    """

    trajectories: Trajectories
    log_ratio: Tensor | None = None

    @property
    def states(self) -> Tensor:
        """The proposed terminal states, shape n x state_size."""
        return self.trajectories.terminal


def fixed_steps(n: int) -> UndoneSteps:
    """Return the rule that undoes n steps, or the whole history where it is shorter.

    Args:
        n: number of steps, at least 1.

    Raises:
        ValueError: n is below 1, or no whole number.
    """
    whole_number("n", n, 1)
    return lambda length: length.clamp(max=n)


def share_of_steps(share: float) -> UndoneSteps:
    """Return the rule that undoes a share of the steps, rounded up.

    Args:
        share: above 0, at most 1.

    Raises:
        ValueError: the share is out of range.
    """
    in_range("share", share, 0, 1, above=True)
    # in double precision, and without what rounding adds: .3 of 100 steps are 30, not 31
    return lambda length: (share * (1 - 1e-12) * length.double()).ceil().long()


def random_shares(mean: float, n: int, generator: torch.Generator) -> UndoneSteps:
    """Return the rule that undoes a random share of the steps of each of n histories, rounded up.

    A fixed share never changes the first steps of an object with one history. Random ones do at times, so that moves
    reach every object.

    Args:
        mean: mean of the shares, above 0, at most 1; 0.5: the shares are uniform.
        n: number of histories.
        generator: source of all randomness, on the device of the histories.

    Raises:
        ValueError: the mean is out of range.
    """
    in_range("mean", mean, 0, 1, above=True)
    share = 1 - torch.rand(n, generator=generator, device=generator.device, dtype=torch.float64)  # above 0
    share = share ** (1 / mean - 1)
    return lambda length: (share * length).ceil().long()


def rebuild(
    environment: Environment,
    policy: Policy | None,
    history: Trajectories,
    undone: UndoneSteps,
    *,
    generator: torch.Generator,
    context: Context | None = None,
) -> Trajectories:
    """Return trajectories that follow the first steps of others, and then the policy.

    Args:
        environment: the space.
        policy: the policy; None: uniform.
        history: n trajectories.
        undone: the number of their last steps not to follow, by their length.
        generator: source of all randomness, on the device of the trajectories.
        context: context of each trajectory.
    """
    length = (history.actions >= 0).sum(0)
    n_first = length - undone(length)
    time = torch.arange(len(history.actions), device=length.device)[:, None]
    guide = Guide(torch.where(time < n_first, history.actions, -1))
    start = history.states[0]
    return rollout(environment, policy, len(history), generator=generator, context=context, guide=guide, start=start)


@torch.no_grad()
def back_and_forth(
    environment: Environment,
    policy: Policy,
    states: Tensor,
    undone: UndoneSteps,
    *,
    generator: torch.Generator,
    backward: Backward = "learned",
    context: Context | None = None,
) -> Move:
    """Undo the last steps of a random history of each object, and let the policy complete it again.

    Both directions share the first steps of the history, whose probabilities cancel. The reverse move exists if the
    rule undoes the same steps of the new history.

    Args:
        environment: the space, in which each object has one state.
        policy: the policy, on the device of the states.
        states: terminal states, shape n x state_size.
        undone: the number of steps to undo, by the length of the history.
        generator: source of all randomness, on the device of the states.
        backward: the backward policy.
        context: context of each state.

    Returns:
        The proposed moves.
    """
    history = backward_rollout(environment, policy, states, generator=generator, backward=backward, context=context)
    length = (history.actions >= 0).sum(0)
    n_first = length - undone(length)
    child = rebuild(environment, policy, history, undone, generator=generator, context=context)
    child_length = (child.actions >= 0).sum(0)
    pf, pb = _tails(environment, policy, history, n_first, backward, context)
    child_pf, child_pb = _tails(environment, policy, child, n_first, backward, context)
    is_reversible = child_length - undone(child_length) == n_first
    log_ratio = torch.where(is_reversible, (child_pb + pf) - (pb + child_pf), -torch.inf)
    return Move(child, log_ratio)


def _tails(
    environment: Environment,
    policy: Policy,
    trajectories: Trajectories,
    n_first: Tensor,
    backward: Backward,
    context: Context | None,
) -> tuple[Tensor, Tensor]:
    """Return the sums of log P_F and log P_B over the steps after the first ones, shape n each, in double precision."""
    log_pf, log_pb = log_probabilities(environment, policy, trajectories, backward=backward, context=context)
    is_tail = torch.arange(len(log_pf), device=n_first.device)[:, None] >= n_first
    return (log_pf.double() * is_tail).sum(0), (log_pb.double() * is_tail).sum(0)


def metropolis_hastings(log_ratio: Tensor, log_reward: Tensor, proposed: Tensor, generator: torch.Generator) -> Tensor:
    """Accept moves with probability min(1, exp(A)), where A = log R(x') - log R(x) + the log-ratio of the proposal.

    Args:
        log_ratio: log-ratios of the proposals, shape n.
        log_reward: log-rewards of the objects, shape n.
        proposed: log-rewards of the proposed objects, shape n.
        generator: source of all randomness, on the device of the log-ratios.

    Returns:
        A bool mask of the accepted moves, shape n. An object of zero reward moves to any other that can move back.
    """
    gain = torch.where(log_reward == -torch.inf, torch.inf, proposed.double() - log_reward.double())
    gain = torch.where(proposed == -torch.inf, -torch.inf, gain)
    log_a = torch.where(log_ratio == -torch.inf, -torch.inf, gain + log_ratio.double())
    uniform = torch.rand(len(log_a), generator=generator, device=log_a.device, dtype=torch.float64)
    return uniform.log() < log_a
