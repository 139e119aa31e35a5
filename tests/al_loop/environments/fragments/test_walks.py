import math

import pytest
import torch

from al_loop.environments.fragments import Fragments
from al_loop.gflownet.action_choice import masked_log_softmax
from al_loop.gflownet.exact_distribution import terminal_states
from al_loop.gflownet.policies.fragments import FragmentPolicy
from al_loop.gflownet.rollout import rollout
from tests.support.fragments import vocabulary


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return vocabulary(tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture(scope="module", params=["own", "shipped"])
def drawn(request, path):
    """A space, and molecules of it of some size."""
    if request.param == "own":
        environment = Fragments(max_fragments=6, min_fragments=4, max_atoms=40, vocabulary=path)
    else:
        environment = Fragments(max_fragments=8, min_fragments=4, max_atoms=60)
    states = rollout(environment, None, 400, generator=torch.Generator().manual_seed(0)).terminal
    return environment, states


def walks(environment, states, seed):
    """Random backward walks: the states on the way (T + 1 x n x state_size) and the backward actions (T x n)."""
    generator = torch.Generator().manual_seed(seed)
    walked, choices = [states], []
    for _ in range(environment.max_steps):
        mask = environment.backward_mask(walked[-1])
        alive = mask.any(1)
        undo = torch.multinomial((mask | ~alive[:, None]).float(), 1, generator=generator)[:, 0]
        walked.append(torch.where(alive[:, None], environment.backward_step(walked[-1], undo), walked[-1]))
        choices.append(torch.where(alive, undo, -1))
    return torch.stack(walked), torch.stack(choices)


def log_pb(environment, policy, states, choices):
    log_p = masked_log_softmax(policy.backward_logits(states), environment.backward_mask(states))
    return log_p.gather(1, choices[:, None])[:, 0]


@pytest.mark.slow
def test_retraced_trajectories_go_through_the_same_molecules_as_the_walk(drawn):
    environment, terminal = drawn
    walked, choices = walks(environment, terminal, 1)
    states, actions = environment.retrace(terminal, choices)
    torch.manual_seed(0)
    policy = FragmentPolicy(environment, 16, 2)
    length = (choices >= 0).sum(0)
    n = len(terminal)
    for t in range(environment.max_steps):
        rows = (t < length).nonzero()[:, 0]
        before, after, action = states[t, rows], states[t + 1, rows], actions[t, rows]
        assert environment.forward_mask(before).gather(1, action[:, None]).all()
        assert torch.equal(environment.step(before, action), after)
        # walk step k leads from walked[k] to walked[k + 1], whose molecules the trajectory meets in turn
        k = length[rows] - 1 - t
        assert environment.decode(after) == environment.decode(walked[k, rows])
        assert environment.decode(before) == environment.decode(walked[k + 1, rows])
        with torch.no_grad():
            forwards = log_pb(environment, policy, after, environment.backward_action(before, action))
            backwards = log_pb(environment, policy, walked[k, rows], choices[k, rows])
        torch.testing.assert_close(forwards, backwards, rtol=1e-4, atol=1e-5)
    assert (states[-1] != terminal).any(1).sum() > n / 2  # most of them as other drawings


def test_retrace_of_the_order_of_building_gives_the_drawing_itself(drawn):
    environment, _ = drawn
    trajectories = rollout(environment, None, 200, generator=torch.Generator().manual_seed(2))
    n_blocks = (trajectories.terminal[:, : environment.max_fragments] > 0).sum(1)
    time = torch.arange(environment.max_steps)[:, None]
    choices = torch.where(time == 0, environment.max_fragments, (n_blocks - time).clamp(min=-1))
    states, actions = environment.retrace(trajectories.terminal, choices)
    steps = len(trajectories.actions)
    assert torch.equal(states[: steps + 1], trajectories.states)
    assert torch.equal(actions[:steps], trajectories.actions)
    assert (actions[steps:] == -1).all()


def test_retrace_does_not_depend_on_the_batch_or_on_padding(drawn):
    environment, terminal = drawn
    terminal = terminal[:40]
    _, choices = walks(environment, terminal, 3)
    states, actions = environment.retrace(terminal, choices)
    padded = torch.cat([choices, torch.full_like(choices[:2], -1)])
    more_states, more_actions = environment.retrace(terminal, padded)
    assert torch.equal(more_states[: len(states)], states)
    assert (more_states[len(states) :] == states[-1]).all()
    assert torch.equal(more_actions[: len(actions)], actions)
    assert (more_actions[len(actions) :] == -1).all()
    for i in range(0, 40, 7):
        one, taken = environment.retrace(terminal[i : i + 1], choices[:, i : i + 1])
        assert torch.equal(one, states[:, i : i + 1])
        assert torch.equal(taken, actions[:, i : i + 1])


def test_retrace_allows_no_molecule_and_molecules_of_one_block(path):
    environment = Fragments(max_fragments=1, min_fragments=1, vocabulary=path)
    terminal = terminal_states(environment)
    choices = torch.tensor([[1], [0]]).expand(2, len(terminal))
    states, actions = environment.retrace(terminal, choices)
    assert torch.equal(states[-1], terminal)
    assert torch.equal(environment.step(states[0], actions[0]), states[1])
    assert (actions[1] == environment.n_actions - 1).all()
    empty = environment.retrace(terminal[:0], choices[:, :0])
    assert [part.shape for part in empty] == [(3, 0, environment.state_size), (2, 0)]


def test_forward_action_leads_back_to_the_molecule(drawn):
    environment, terminal = drawn
    walked, _ = walks(environment, terminal[:100], 4)
    states = walked.flatten(0, 1)
    row, undo = environment.backward_mask(states).nonzero(as_tuple=True)
    before = environment.backward_step(states[row], undo)
    action = environment.forward_action(states[row], undo)
    assert environment.forward_mask(before).gather(1, action[:, None]).all()
    again = environment.step(before, action)
    assert torch.equal(environment.is_terminal(again), environment.is_terminal(states[row]))
    assert environment.decode(again) == environment.decode(states[row])
    assert ((undo == 0) & (before[:, 0] > 0)).any()  # roots that leave something behind are among them


def count_orders(environment, row, known):
    """Ways to build one state, by going back along every backward action."""
    key = tuple(row[0, :-1].tolist())
    if key not in known:
        undo = environment.backward_mask(row)[0, :-1].nonzero()[:, 0]
        parents = environment.backward_step(row.expand(len(undo), -1), undo)
        known[key] = sum(count_orders(environment, parent[None], known) for parent in parents) if len(undo) else 1
    return known[key]


def test_log_paths_counts_the_orders_of_building(drawn):
    environment, terminal = drawn
    unfinished = terminal[:60].clone()
    unfinished[:, -1] = 0
    counts = [count_orders(environment, row[None], {}) for row in unfinished]
    assert len(set(counts)) > 10
    for states in (unfinished, terminal[:60]):
        found = environment.log_paths(states)
        assert found.dtype == torch.float64
        torch.testing.assert_close(found.exp(), torch.tensor(counts, dtype=torch.float64))


def test_log_paths_knows_bonds_that_must_be_made(path):
    environment = Fragments(max_fragments=4, vocabulary=path)
    # a row of three: 4 orders; the sulfonamide can only follow the ring at its sulfur
    smiles = ["Cc1ccc(F)cc1", "CNS(=O)(=O)c1ccccc1", "NS(=O)(=O)c1ccccc1", "O=S(=O)(Nc1ccccc1)c1ccccc1"]
    with pytest.raises(ValueError, match="CN"):  # methyl on the nitrogen is another chain
        environment.encode([smiles[1]])
    states = environment.encode([smiles[0], *smiles[2:]])
    assert [round(math.exp(x)) for x in environment.log_paths(states)] == [4, 1, 1]


def test_nothing_in_a_roll_out_waits_for_the_device():
    """Tensors without data: whatever would have to read them (a count, an index by booleans) raises."""
    environment = Fragments()
    states = environment.initial(3, "meta")
    choices = torch.zeros(3, dtype=torch.int64, device="meta")
    for found in (
        environment.forward_mask(states),
        environment.backward_mask(states),
        environment.open_sites(states),
        environment.is_terminal(states),
        environment.step(states, choices),
        environment.backward_step(states, choices),
        environment.forward_action(states, choices),
        environment.backward_action(states, choices),
        environment.log_paths(states),
        environment.log_multiplicity(states),
        *environment.retrace(states, choices.expand(7, 3)),
    ):
        assert found.device.type == "meta"
    with pytest.raises(NotImplementedError):
        states.nonzero()
