"""Per-trajectory log-probabilities and flows from which losses are computed, with gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.action_choice import masked_log_softmax
from al_loop.gflownet.backward_rollout import Backward
from al_loop.gflownet.fixed_shapes import packs
from al_loop.gflownet.objectives.base import Objective, Terms
from al_loop.gflownet.policies.base import ChosenSteps, Context, Logits, Policy
from al_loop.gflownet.trajectories import Trajectories
from al_loop.gflownet.unique_rows import unique_rows

#: log-rewards of m states, each under the condition of a trajectory: m x state_size, m (rows of the batch) -> m
LogRewardOfStates = Callable[[Tensor, Tensor], Tensor]


def log_probabilities(
    environment: Environment,
    policy: Policy,
    trajectories: Trajectories,
    *,
    backward: Backward = "learned",
    context: Context | None = None,
) -> tuple[Tensor, Tensor]:
    """Return log P_F and log P_B of each step, with gradients.

    Args:
        environment: the space.
        policy: the policy.
        trajectories: n trajectories of at most T steps.
        backward: the backward policy.
        context: context of each trajectory.

    Returns:
        Log-probabilities, shape T x n each, 0 beyond the end of a trajectory.
    """
    steps = _Steps(environment, trajectories, context)
    log_pf, log_pb, _ = _step_terms(steps, policy, _chosen(steps, policy, False), backward, uses_flows=False)
    return log_pf, log_pb


def compute_terms(
    environment: Environment,
    policy: Policy,
    trajectories: Trajectories,
    objective: Objective,
    *,
    log_z: Tensor,
    log_reward: Tensor,
    backward: Backward = "learned",
    context: Context | None = None,
    reference: Policy | None = None,
    partial_log_reward: LogRewardOfStates | None = None,
    stopped_log_reward: LogRewardOfStates | None = None,
    group: Tensor | None = None,
    step_index: Tensor | None = None,
) -> Terms:
    """Return the terms that an objective requires of trajectories.

    Args:
        environment: the space.
        policy: the policy in training.
        trajectories: n trajectories, from any source.
        objective: the objective, which determines the terms.
        log_z: log of the total flow, shape n or a scalar.
        log_reward: log-rewards of the objects, shape n (the multiplicity of their states is subtracted here).
        backward: the backward policy.
        context: context of each trajectory.
        reference: the frozen policy, if the objective requires one.
        partial_log_reward: log-rewards of partial objects for forward-looking flows (Pan et al. 2023), to which the
            network's flows are added.
        stopped_log_reward: log-rewards of terminal states, if the objective requires the reward of stopping.
        group: the number of each trajectory's condition, shape n; None: all have the same.
        step_index: with fixed shapes, the indices into T x n of all steps that happened, padded with T n; None: all
            indices.

    Raises:
        ValueError: the objective requires flows that the policy does not model, a reference policy that is missing, or
            the reward of stopping where the environment or the reward has none.
    """
    steps = _Steps(environment, trajectories, context, step_index)
    chosen = _chosen(steps, policy, objective.uses_flows)
    log_pf, log_pb, network_flow = _step_terms(steps, policy, chosen, backward, objective.uses_flows)
    # relative balance compares two policies on the same trajectory: the multiplicity of the states cancels
    weight = 0.0 if objective.uses_reference else environment.log_multiplicity(trajectories.terminal)
    log_reward = log_reward.to(log_pf) - weight
    log_z = log_z.expand(len(trajectories))
    extra: dict[str, Any] = {}
    if network_flow is not None:
        extra["log_flow"] = _flows(steps, network_flow, log_z, log_reward, partial_log_reward)
    elif objective.uses_flows:
        raise ValueError(
            f"{type(objective).__name__} requires flows of partial objects, and {type(policy).__name__} does not model "
            "them; implement its log_flow, or use an objective without flows, such as trajectory_balance"
        )
    if objective.uses_stops:
        extra["log_stop"], extra["log_reward_stopped"] = _stops(steps, policy, chosen, log_reward, stopped_log_reward)
    if objective.uses_edges:
        extra["log_inflow"], extra["log_outflow"] = _edge_flows(steps, policy, log_reward)
    if objective.uses_reference:
        if reference is None:
            raise ValueError("a relative objective requires a prior; train one with `al-loop pretrain`")
        with torch.no_grad():
            own = _chosen(steps, reference, False)
            extra["log_reference"], _, _ = _step_terms(steps, reference, own, "uniform", uses_flows=False)
    return Terms(steps.is_step, log_pf, log_pb, log_z, log_reward, group=group, **extra)


def divergence(
    environment: Environment,
    policy: Policy,
    other: Policy,
    trajectories: Trajectories,
    context: Context | None = None,
) -> Tensor:
    """Return the KL divergence of a policy from another one before each step, shape T x n, with the first's gradients.

    Args:
        environment: the space.
        policy: the policy.
        other: the other policy.
        trajectories: n trajectories of at most T steps.
        context: context of each trajectory.
    """
    steps = _Steps(environment, trajectories, context)
    mask, own_context = steps.forward_mask, steps.context_of(steps.index)
    log_p = masked_log_softmax(policy.forward_logits(steps.before, own_context), mask).masked_fill(~mask, 0.0)
    with torch.no_grad():
        log_q = masked_log_softmax(other.forward_logits(steps.before, own_context), mask).masked_fill(~mask, 0.0)
    return steps.spread((log_p.exp() * mask * (log_p - log_q)).sum(1))


class _Steps:
    """The steps of trajectories in one flat list: only those that happened, or with fixed shapes others, too."""

    def __init__(
        self,
        environment: Environment,
        trajectories: Trajectories,
        context: Context | None,
        index: Tensor | None = None,
    ) -> None:
        self.environment, self.trajectories, self.context = environment, trajectories, context
        self.is_step = trajectories.actions >= 0  # T x n
        self.n_steps, self.n = self.is_step.shape
        self.packs = packs(self.is_step.device)
        happened = self.is_step.flatten()
        self.is_padded = index is not None
        if index is not None:  # into T x n, and T n for padding
            self.slots, self.happened = index, index < len(happened)
            self.index = index.clamp(max=len(happened) - 1)
        else:
            all_steps = torch.arange(len(happened), device=happened.device)
            self.slots = self.index = happened.nonzero()[:, 0] if self.packs else all_steps
            self.happened = happened[self.index]
        self.flat = trajectories.states.flatten(0, 1)  # (T + 1) n x state_size
        self.before, self.after = self.flat[self.index], self.flat[self.index + self.n]
        self.actions = trajectories.actions.flatten()[self.index].clamp(min=0)
        self.backward_actions = environment.backward_action(self.before, self.actions)
        self._forward_mask: Tensor | None = None
        if not self.packs:
            self.backward_actions = torch.where(self.happened, self.backward_actions, 0)

    @property
    def forward_mask(self) -> Tensor:
        """The actions that are allowed before each step, computed on first use."""
        if self._forward_mask is None:  # not a cached_property, whose lock torch.compile does not understand
            mask = self.environment.forward_mask(self.before)
            # steps that did not happen allow every action, and are dropped later
            self._forward_mask = mask if self.packs else mask | ~self.happened[:, None]
        return self._forward_mask

    def context_of(self, index: Tensor) -> Context | None:
        """Return the context at indices into T x n, or into (T + 1) x n."""
        return None if self.context is None else self.context.rows(index % self.n)

    def spread(self, values: Tensor) -> Tensor:
        """Arrange values of the flat list as T x n, with 0 beyond the end of a trajectory."""
        return self.place(values, 0.0)

    def place(self, values: Tensor, elsewhere: float) -> Tensor:
        """Arrange values of the flat list as T x n, with a constant elsewhere."""
        if self.packs or self.is_padded:
            table = values.new_full((self.n_steps * self.n + int(self.is_padded),), elsewhere)  # the last: for padding
            table = table.index_copy(0, self.slots, values)
            return table[: self.n_steps * self.n].view(self.n_steps, self.n)
        return torch.where(self.happened, values, elsewhere).view(self.n_steps, self.n)


def _chosen(steps: _Steps, policy: Policy, uses_flows: bool) -> ChosenSteps | None:
    """Return what a policy says of the chosen actions alone, or None if it has no way of its own to do so."""
    trajectories = steps.trajectories
    return policy.chosen_steps(trajectories.states, trajectories.actions, steps.index, steps.context, uses_flows)


def _step_terms(
    steps: _Steps, policy: Policy, chosen: ChosenSteps | None, backward: Backward, uses_flows: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return log P_F and log P_B of each step, and the network's log-flow after it, shape T x n each.

    The log-flow is None if it is not used, or if the policy does not model flows.
    """
    environment = steps.environment
    learns_backward = backward == "learned" and environment.n_backward_actions > 1
    backward_mask = environment.backward_mask(steps.after) if environment.n_backward_actions > 1 else None
    if backward_mask is not None and not steps.packs:
        backward_mask = backward_mask | ~steps.happened[:, None]
    flow: Tensor | None = None
    logits = None if chosen is not None else _all_logits(steps, policy, backward_mask, learns_backward, uses_flows)
    step_context = steps.context_of(steps.index) if logits is None else None
    if chosen is not None:
        log_pf, flow = chosen.log_pf, chosen.log_flow
        backward_logits = policy.backward_logits(steps.after, step_context) if learns_backward else None
    elif logits is None:
        log_pf = policy.forward_log_prob(steps.before, steps.forward_mask, steps.actions, step_context)
        backward_logits = policy.backward_logits(steps.after, step_context) if learns_backward else None
        flow = policy.log_flow(steps.after, step_context) if uses_flows else None
    else:
        log_p = masked_log_softmax(logits.forward, steps.forward_mask)
        log_pf = log_p.gather(1, steps.actions[:, None])[:, 0]
        backward_logits = logits.backward
        flow = logits.log_flow if uses_flows else None

    if backward_mask is None:
        log_pb = torch.zeros_like(log_pf)
    elif backward == "uniform":
        log_pb = -backward_mask.sum(1).to(log_pf.dtype).log()
    elif backward == "maximum_entropy":
        log_pb = (environment.log_paths(steps.before) - environment.log_paths(steps.after)).to(log_pf.dtype)
    else:
        assert backward_logits is not None
        log_p = masked_log_softmax(backward_logits, backward_mask)
        log_pb = log_p.gather(1, steps.backward_actions[:, None])[:, 0]
    return steps.spread(log_pf), steps.spread(log_pb), None if flow is None else steps.spread(flow)


def _all_logits(
    steps: _Steps, policy: Policy, backward_mask: Tensor | None, learns_backward: bool, uses_flows: bool
) -> Logits | None:
    """Return the logits of the steps from one pass over trajectories or their states; None: that would not pay."""
    logits = policy.along(steps.trajectories.states, steps.context)
    if logits is not None:
        return _pick(
            logits.forward.flatten(0, 1),
            logits.backward.flatten(0, 1),
            None if logits.log_flow is None else logits.log_flow.flatten(0, 1),
            steps.index,
            steps.index + steps.n,
        )
    if policy.shares_trunk and (learns_backward or uses_flows):
        return _in_one_pass(steps, policy, backward_mask if learns_backward else None, uses_flows)
    return None


def _pick(forward: Tensor, backward: Tensor, log_flow: Tensor | None, before: Tensor, after: Tensor) -> Logits:
    """Return the logits of steps from the logits of states, by the indices of the states before and after each step."""
    return Logits(forward[before], backward[after], None if log_flow is None else log_flow[after])


def _in_one_pass(steps: _Steps, policy: Policy, backward_mask: Tensor | None, uses_flows: bool) -> Logits:
    """Return the logits of the steps from one pass over their distinct states."""
    n_all = len(steps.flat)
    rank = torch.arange(n_all, device=steps.flat.device)
    index = rank
    if steps.is_padded:  # the states before all steps, then the last states
        last = steps.is_step.sum(0) * steps.n + rank[: steps.n]
        index = torch.cat([steps.index, last])
        slots = torch.cat([torch.where(steps.happened, steps.index, n_all), last])
        number = torch.arange(len(index), device=rank.device)
        rank = number.new_zeros(n_all + 1).scatter(0, slots, number)
    elif steps.packs:
        # the backward probability of a state with a single parent does not depend on the network
        is_used = torch.zeros(n_all, dtype=torch.bool)
        is_used[steps.index] = True
        after = steps.index + steps.n
        if uses_flows:
            is_used[after] = True
        elif backward_mask is not None:
            is_used[after[backward_mask.sum(1) > 1]] = True
        index = is_used.nonzero()[:, 0]
        if steps.context is None:  # a state that several trajectories share is evaluated once
            representative, group = unique_rows(steps.flat[index])
            rank = torch.zeros(n_all, dtype=torch.int64).index_copy(0, index, group)
            index = index[representative]
        else:
            rank = is_used.cumsum(0) - 1
    logits = policy.all_logits(steps.flat[index], steps.context_of(index))
    # an arbitrary state replaces a skipped one, whose single parent has probability 1 whatever the logits
    after = rank[steps.index + steps.n].clamp(min=0)
    before = torch.arange(len(steps.index), device=rank.device) if steps.is_padded else rank[steps.index]
    return _pick(logits.forward, logits.backward, logits.log_flow, before, after)


def _flows(
    steps: _Steps,
    network_flow: Tensor,
    log_z: Tensor,
    log_reward: Tensor,
    partial_log_reward: LogRewardOfStates | None,
) -> Tensor:
    """Return log-flows of states, shape T + 1 x n: log Z, the network's flows, and the reward from the end on."""
    environment = steps.environment
    flow = network_flow - steps.spread(environment.log_multiplicity(steps.after).to(network_flow.dtype))
    if partial_log_reward is not None:
        with torch.no_grad():  # a live reward is trained by whoever changes it
            partial = partial_log_reward(steps.after, steps.index % steps.n)
        flow = flow + steps.spread(partial.to(flow.dtype))
    is_inside = torch.cat([steps.is_step[1:], torch.zeros_like(steps.is_step[:1])])  # another step follows
    return torch.cat([log_z[None], torch.where(is_inside, flow, log_reward)])


def _stops(
    steps: _Steps,
    policy: Policy,
    chosen: ChosenSteps | None,
    log_reward: Tensor,
    stopped_log_reward: LogRewardOfStates | None,
) -> tuple[Tensor, Tensor]:
    """Return the log-probability of stopping in each state, and the log-reward of doing so, shape T + 1 x n each."""
    environment, stop = steps.environment, steps.environment.n_actions - 1
    if stopped_log_reward is None or not environment.has_stop:
        lacks = (
            "a StateReward" if environment.has_stop else f"an environment with a stop action, not {environment.name}"
        )
        raise ValueError(f"the objective requires the reward of stopping at each step, and therefore {lacks}")
    is_allowed = steps.forward_mask[:, stop] if chosen is None else chosen.log_stop.detach() > -torch.inf
    may_stop = is_allowed & steps.happened
    rows = may_stop.nonzero()[:, 0] if steps.packs else torch.arange(len(may_stop), device=may_stop.device)
    before, context = steps.before[rows], steps.context_of(steps.index[rows])
    actions = torch.full_like(steps.actions[rows], stop)
    if chosen is None:
        log_stop = policy.forward_log_prob(before, steps.forward_mask[rows], actions, context)
    else:
        log_stop = chosen.log_stop[rows]
    stopped = environment.step(before, actions)
    with torch.no_grad():
        reward = stopped_log_reward(stopped, steps.index[rows] % steps.n).to(log_stop) - environment.log_multiplicity(
            stopped
        ).to(log_stop)
    never = log_stop.new_full((len(may_stop),), -torch.inf)
    log_stop = torch.where(may_stop, never.index_copy(0, rows, log_stop), -torch.inf)
    reward = torch.zeros_like(never).index_copy(0, rows, reward).masked_fill(~may_stop, 0.0)
    log_stop, reward = steps.place(log_stop, -torch.inf), steps.place(reward, 0.0)
    # the end counts as a state of its own where no stop led to it
    length = steps.is_step.sum(0)
    ends_by_stop = steps.trajectories.actions.gather(0, (length - 1)[None])[0] == stop
    end = torch.where(ends_by_stop, -torch.inf, 0.0).to(log_stop)
    is_end = torch.arange(steps.n_steps + 1, device=length.device)[:, None] == length
    log_stop, reward = (
        torch.nn.functional.pad(x, (0, 0, 0, 1), value=v) for x, v in ((log_stop, -torch.inf), (reward, 0.0))
    )
    return torch.where(is_end, end, log_stop), torch.where(is_end, log_reward, reward)


def _edge_flows(steps: _Steps, policy: Policy, log_reward: Tensor) -> tuple[Tensor, Tensor]:
    """Return log-flows into and out of each state after the first, shape T x n each.

    If an object has several states, flows refer to the object: an edge of one of its states counts as many times as the
    object has states.
    """
    environment, after = steps.environment, steps.after
    step_context = steps.context_of(steps.index)
    mask = environment.backward_mask(after)
    if steps.packs:
        row, choice = mask.nonzero(as_tuple=True)
    else:  # every parent; a step back that is not allowed is replaced by the first that is
        every, first = torch.arange(mask.numel(), device=mask.device), mask.int().argmax(1, keepdim=True)
        row = every // mask.shape[1]
        choice = torch.where(mask, every.view(mask.shape) % mask.shape[1], first).flatten()
    parents = environment.backward_step(after[row], choice)
    actions = environment.forward_action(after[row], choice)
    context = None if step_context is None else step_context.rows(row)
    edges = policy.forward_logits(parents, context).gather(1, actions[:, None])[:, 0]
    # the same object, but perhaps in a state other than `after`
    edges = edges + environment.log_multiplicity(environment.step(parents, actions)).to(edges.dtype)
    if steps.packs:
        table = edges.new_full(mask.shape, -torch.inf).index_put((row, choice), edges)
    else:
        table = edges.view(mask.shape).masked_fill(~mask, -torch.inf)
    inflow = table.logsumexp(1) if steps.packs else table.masked_fill(~steps.happened[:, None], 0.0).logsumexp(1)
    forward_mask = environment.forward_mask(after)
    is_end = environment.is_terminal(after)
    outgoing = policy.forward_logits(after, step_context).masked_fill(~forward_mask & ~is_end[:, None], -torch.inf)
    multiplicity = environment.log_multiplicity(after).to(edges.dtype)
    owner = steps.index % steps.n
    end = log_reward[owner] + multiplicity
    outflow = torch.where(is_end, end, outgoing.logsumexp(1) + multiplicity)
    return steps.spread(inflow), steps.spread(outflow)
