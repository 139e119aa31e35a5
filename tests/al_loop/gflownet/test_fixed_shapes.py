"""Fixed shapes, as on a GPU: the same terms and losses as on a CPU, and nothing that makes a GPU wait."""

import pytest
import torch

from al_loop.environments.assignment import Assignments
from al_loop.environments.fragments import Fragments
from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.sequence import Sequences
from al_loop.environments.set import Sets
from al_loop.gflownet.fixed_shapes import fixed_shapes, packs
from al_loop.gflownet.objectives import make_objective
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.trajectory_terms import compute_terms

ENVIRONMENTS = {
    "grid": Hypergrid(3, 4),
    "words": Sequences("ACG", 5, 2, "prepend_append"),
    "sets": Sets(6, 3),
    "assignments": Assignments("01", 4),
    "fragments": Fragments(max_fragments=3),
}
OBJECTIVES = [
    "trajectory_balance",
    "detailed_balance",
    "sub_trajectory_balance",
    "flow_matching",
    "log_partition_variance",
    "modified_sub_trajectory_balance",
]


def padded_index(actions, n_more):
    """Return the indices of the steps that happened, followed by padding."""
    happened = (actions >= 0).flatten()
    return torch.nn.functional.pad(happened.nonzero()[:, 0], (0, n_more), value=len(happened))


def losses_and_gradients(environment, policy, trajectories, kind, **options):
    objective = make_objective(kind)
    n = len(trajectories)
    log_reward = torch.linspace(-1, 1, n)
    policy.zero_grad()
    terms = compute_terms(
        environment,
        policy,
        trajectories,
        objective,
        log_z=torch.zeros(()),
        log_reward=log_reward,
        stopped_log_reward=(lambda states, rows: states.float().sum(1) / 10) if objective.uses_stops else None,
        **options,
    )
    losses = objective(terms)
    losses.mean().backward()
    return losses.detach(), [p.grad.clone() for p in policy.parameters() if p.grad is not None]


def test_a_cpu_packs_unless_shapes_are_fixed():
    cpu = torch.device("cpu")
    assert packs(cpu)
    with fixed_shapes():
        assert not packs(cpu)
        with fixed_shapes():
            assert not packs(cpu)
        assert not packs(cpu)
    assert packs(cpu)


@pytest.mark.parametrize("name", ENVIRONMENTS)
@pytest.mark.parametrize("kind", OBJECTIVES)
def test_losses_and_gradients_do_not_depend_on_the_mode(name, kind):
    environment, objective = ENVIRONMENTS[name], make_objective(kind)
    if objective.uses_stops and not environment.has_stop:
        pytest.skip("the objective requires a stop action")
    torch.manual_seed(0)
    policy = make_policy(environment, 16, 1)
    trajectories = rollout(environment, policy, 12, generator=torch.Generator().manual_seed(0))
    plain, gradients = losses_and_gradients(environment, policy, trajectories, kind)
    for index in (None, padded_index(trajectories.actions, 0), padded_index(trajectories.actions, 7)):
        with fixed_shapes():
            losses, others = losses_and_gradients(environment, policy, trajectories, kind, step_index=index)
        torch.testing.assert_close(losses, plain, rtol=1e-4, atol=1e-5)
        assert len(others) == len(gradients)
        for a, b in zip(others, gradients, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
