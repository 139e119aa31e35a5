"""Policy gradients of the entropy-regularised return, against enumerated expectations and distributions."""

from dataclasses import replace

import pytest
import torch

from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.sequence import Sequences
from al_loop.environments.set import Sets
from al_loop.gflownet import Conditioning, Learner, StateReward, Trainer, TrainingSettings, train
from al_loop.gflownet.exact_distribution import terminal_distribution
from al_loop.gflownet.objectives.entropic_ppo import EntropicPPO
from al_loop.gflownet.objectives.vanilla_policy_gradient import VanillaPolicyGradient
from al_loop.gflownet.policies.mlp import MLPPolicy
from al_loop.gflownet.sources import DataSet
from al_loop.gflownet.trajectories import Trajectories
from al_loop.gflownet.trajectory_terms import compute_terms, divergence
from tests.support.replicas import ThreadReplicas

SETTINGS = TrainingSettings(steps=150, batch_size=48, hidden=32, lr=5e-3, replay_size=0, backward_loss="likelihood")
SETS = Sets("abcd", 2, 1)


GRID = Hypergrid(2, 4)


def at_the_edge(states):
    return (states[:, 0] == 3).float() - 0.5 * states[:, 1].float()


def doubled(states):
    return 0.8 * (states[:, 0] == 0).float() + (states[:, 1] == states[:, 0]).float()


def all_trajectories(environment):
    """Return every trajectory of a small space."""
    start = environment.initial(1)
    begun, done = [(start, [], [start])], []
    while begun:
        state, actions, states = begun.pop()
        if environment.is_terminal(state)[0]:
            missing = environment.max_steps - len(actions)
            done.append((torch.cat([*states, *[state] * missing]), torch.tensor(actions + [-1] * missing)))
            continue
        for action in environment.forward_mask(state)[0].nonzero()[:, 0].tolist():
            after = environment.step(state, torch.tensor([action]))
            begun.append((after, [*actions, action], [*states, after]))
    return Trajectories(torch.stack([s for s, _ in done], 1), torch.stack([a for _, a in done], 1))


def log_reward(states):
    return 0.7 * states[:, 0].float() - 0.3 * states[:, 1].float() * states[:, 2].float()


def terms_of(policy, trajectories, objective, log_z):
    return compute_terms(
        SETS,
        policy,
        trajectories,
        objective,
        log_z=log_z,
        log_reward=log_reward(trajectories.terminal),
        backward="uniform",
    )


def policy_with(seed):
    torch.manual_seed(seed)
    return MLPPolicy(SETS, 8, 1)


def gradient(value, policy):
    weights = list(policy.parameters())
    grads = torch.autograd.grad(value, weights, allow_unused=True, retain_graph=True)
    return torch.cat(
        [torch.zeros(p.numel()) if g is None else g.flatten() for p, g in zip(weights, grads, strict=True)]
    )


@pytest.mark.parametrize("objective", [VanillaPolicyGradient(trace=1.0), EntropicPPO(trace=1.0)])
def test_the_expected_gradient_is_that_of_the_divergence_from_the_target(objective):
    policy, trajectories = policy_with(0), all_trajectories(SETS)
    terms = terms_of(policy, trajectories, objective, torch.tensor(0.3))
    terms = replace(terms, drawn=terms.detached(), divergence=torch.zeros_like(terms.log_pf))
    log_p = terms.log_pf.sum(0)
    kl = (log_p.exp() * (log_p - terms.log_pb.sum(0) - terms.log_reward)).sum()
    losses = objective(terms) - objective.value_loss(terms, terms, objective.advantages(terms))
    expected_loss = (log_p.detach().exp() * losses).sum()
    torch.testing.assert_close(gradient(expected_loss, policy), gradient(kl, policy), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("trace", [0.0, 0.7, 1.0])
def test_advantages_are_discounted_sums_of_surpluses(trace):
    objective = VanillaPolicyGradient(trace=trace)
    terms = terms_of(policy_with(1), all_trajectories(SETS), objective, torch.tensor(0.5))
    advantages, flow = objective.advantages(terms), terms.log_flow
    for i in range(terms.is_step.shape[1]):
        later = 0.0
        for t in reversed(range(int(terms.is_step[:, i].sum()))):
            surplus = terms.log_pb[t, i] - terms.log_pf[t, i] + flow[t + 1, i] - flow[t, i]
            later = float(surplus.detach()) + trace * later
            assert float(advantages[t, i]) == pytest.approx(later, abs=1e-5)


def test_a_policy_that_moved_is_held_by_the_clip_and_the_divergence():
    objective = EntropicPPO(clip=0.1)
    old, new, trajectories = policy_with(0), policy_with(1), all_trajectories(SETS)
    drawn = terms_of(old, trajectories, objective, torch.tensor(0.3)).detached()
    moved = divergence(SETS, new, old, trajectories)
    terms = replace(terms_of(new, trajectories, objective, torch.tensor(0.3)), drawn=drawn, divergence=moved)
    advantages = objective.advantages(drawn)
    ratio, losses = (terms.log_pf - drawn.log_pf).exp(), objective(terms)
    for i in range(len(trajectories)):
        loss = float(objective.value_loss(terms, drawn, advantages)[i])
        for t in range(int(terms.is_step[:, i].sum())):
            a, rho = float(advantages[t, i]), float(ratio[t, i])
            state = trajectories.states[t, i : i + 1]
            mask = SETS.forward_mask(state)
            p, q = (m.forward_logits(state).masked_fill(~mask, -torch.inf).softmax(1)[mask] for m in (new, old))
            loss -= min(rho * a, min(max(rho, 0.9), 1.1) * a) - float((p * (p / q).log()).sum())
        assert float(losses[i]) == pytest.approx(loss, abs=1e-4)
    assert float(moved[0, 0]) > 0


def l1(environment, policy, function):
    states, p = terminal_distribution(environment, policy)
    return float((p - function(states).double().softmax(0)).abs().sum())


@pytest.mark.parametrize(
    ("environment", "function", "objective", "more"),
    [
        (GRID, at_the_edge, "vanilla_policy_gradient", {}),
        (GRID, at_the_edge, "vanilla_policy_gradient", {"backward": "uniform", "backward_loss": "balance"}),
        (GRID, at_the_edge, "entropic_ppo", {"epochs": 4, "steps": 60}),
        (GRID, at_the_edge, "entropic_ppo", {"epochs": 2, "updates": 2, "batch_size": 24, "steps": 80}),
        (Sequences("AC", 3), doubled, "entropic_ppo", {"epochs": 4, "steps": 60}),
    ],
    ids=["vpg", "vpg uniform", "ppo", "ppo in parts", "words"],
)
def test_objects_are_sampled_in_proportion_to_the_reward(environment, function, objective, more):
    learner, _ = train(environment, StateReward(function), replace(SETTINGS, objective=objective, **more))
    assert l1(environment, learner.policy, function) < 0.1
    states, _ = terminal_distribution(environment, None)
    assert float(learner.log_z) == pytest.approx(float(function(states).logsumexp(0)), abs=0.1)


def test_a_second_pass_over_a_draw_needs_no_reward():
    calls = []

    def counted(objects):
        calls.append(len(objects))
        return torch.zeros(len(objects))

    settings = replace(SETTINGS, objective="entropic_ppo", epochs=5, batch_size=8)
    trainer = Trainer(GRID, counted, settings)
    before = [p.clone() for p in trainer.policy.parameters()]
    trainer.step()
    assert calls == [8]
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.policy.parameters(), strict=True))


def test_temperatures_condition_a_policy_gradient():
    settings = replace(SETTINGS, objective="entropic_ppo", epochs=2, conditioning=Conditioning(beta=(0.5, 2.0)))
    trainer = Trainer(SETS, StateReward(log_reward), settings)
    losses = [trainer.step() for _ in range(60)]
    assert abs(sum(losses[-10:])) < abs(sum(losses[:10]))


def test_several_processes_take_the_same_passes():
    settings = replace(SETTINGS, objective="entropic_ppo", epochs=3, batch_size=9, lr_log_z=1e-9)
    moments = []
    for replicas in (None, ThreadReplicas(2)):
        learner = Learner(SETS, settings, 0, replicas=replicas)
        trainer = Trainer(SETS, StateReward(log_reward), settings)
        learner.start(StateReward(log_reward))
        learner.updates(trainer.sampler.draw(9, seed=0), seed=0)
        moments.append(learner.state_dict()["optimizer"]["state"])
    for one, two in zip(*(m.values() for m in moments), strict=True):
        torch.testing.assert_close(one["exp_avg"], two["exp_avg"], atol=2e-4, rtol=1e-2)


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"replay_size": 4}, "replay_size: 0"),
        ({"measured_size": 4}, "measured_size: 0"),
        ({"staleness": 1}, "staleness: 0"),
        ({"ema": 0.9}, "ema: 0"),
        ({"heads": 2}, "heads: 1"),
        ({"epochs": 2}, "epochs: 1"),
        ({"backward_loss": "balance", "replay_size": 1}, "replay_size: 0, backward_loss: likelihood"),
    ],
)
def test_trajectories_of_another_policy_are_refused_with_the_remedy(settings, remedy):
    with pytest.raises(ValueError, match=f"of the present policy alone.*set {remedy}"):
        Learner(SETS, replace(SETTINGS, objective="vanilla_policy_gradient", **settings), 0)


def test_sources_are_refused():
    learner = Learner(SETS, replace(SETTINGS, objective="entropic_ppo"), 0)
    with pytest.raises(ValueError, match="learns from its own draws alone"):
        learner.add_source(DataSet(terminal_distribution(SETS, None)[0]), 4)


@pytest.mark.parametrize("settings", [{"trace": 1.5}, {"clip": 0.0}, {"value_weight": 0.0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        EntropicPPO(**settings)
