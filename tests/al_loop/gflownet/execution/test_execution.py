"""All ways of execution draw and train alike; those for a GPU run on the CPU with a substitute for its recordings."""

from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from al_loop.environments.assignment import Assignments
from al_loop.environments.fragments import Fragments
from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.sequence import Sequences
from al_loop.environments.set import Sets
from al_loop.environments.tokens import Tokens
from al_loop.gflownet import StateReward, Trainer, Training
from al_loop.gflownet.exact_distribution import object_distribution, terminal_distribution
from al_loop.gflownet.execution.choice import Execution, choose_execution
from al_loop.gflownet.execution.chunked_rollout import ChunkedRollout
from al_loop.gflownet.execution.compiled import compiled
from al_loop.gflownet.execution.fixed_batch_training import steps_that_happened
from al_loop.gflownet.execution.graphs import Recorded
from al_loop.gflownet.execution.steps import take_step
from al_loop.gflownet.fixed_shapes import fixed_shapes
from al_loop.gflownet.learner import Learner
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.policies.base import Context
from al_loop.gflownet.policies.language import LanguagePolicy
from al_loop.gflownet.policies.mlp import MLPPolicy
from al_loop.gflownet.policies.transformer import TransformerPolicy
from al_loop.gflownet.sampler import DrawRequest
from tests.support.engine import EagerCapture, no_waiting
from tests.support.language import tiny_model

ENVIRONMENTS = {
    "grid": Hypergrid(2, 5),
    "words": Sequences("AC", 4, 2),
    "two-ended words": Sequences("AC", 4, 2, "prepend_append"),
    "sets": Sets(6, 3),
    "assignments": Assignments("01", 4),
    "fragments": Fragments(max_fragments=3),
}
GRID = Hypergrid(2, 4)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def at_the_edge(states):
    return (states[:, :-1] * torch.arange(1, states.shape[1])).sum(1).float() / 3


def policy_for(environment, **options):
    torch.manual_seed(1)
    return make_policy(environment, 16, 1, **options)


# -- roll-outs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["grid", "words", "two-ended words", "sets", "assignments"])
def test_chunked_roll_outs_have_the_exact_distribution(name):
    environment = ENVIRONMENTS[name]
    policy = policy_for(environment)
    exact = object_distribution(environment, policy)
    n = 20_000
    drawn = ChunkedRollout(environment, policy, Execution(), chunk=2).draw(
        environment.initial(n), generator=generator()
    )
    counts = Counter(environment.decode(drawn.terminal))
    chi_square = sum((counts[o] - n * p) ** 2 / (n * p) for o, p in exact.items())
    freedom = len(exact) - 1
    assert chi_square < freedom + 4 * (2 * freedom) ** 0.5


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_neither_chunks_nor_plans_nor_recordings_change_a_draw(name):
    environment = ENVIRONMENTS[name]
    policy = policy_for(environment)

    def draws(**options):
        rollout = ChunkedRollout(environment, policy, **options)
        drawn = [rollout.draw(environment.initial(n), generator=generator(n), epsilon=0.1) for n in (300, 300, 7)]
        return [(environment.decode(d.terminal), int((d.actions >= 0).sum()), d.n_steps) for d in drawn], rollout

    expected, _ = draws(execution=Execution(), chunk=2, is_planned=False)
    assert all(count == known for _, count, known in expected)
    for execution in (Execution(), Execution(capture=EagerCapture())):
        planned, rollout = draws(execution=execution, chunk=2, is_planned=True)
        assert planned == expected
    rollout.n_reads = 0
    rollout.draw(environment.initial(300), generator=generator(300), epsilon=0.1)
    assert rollout.n_reads == 1


def test_a_plan_with_too_few_rows_is_corrected():
    policy = policy_for(GRID)
    stops, goes = policy.forward_head.linear.bias.data.clone(), policy.forward_head.linear.bias.data
    rollout = ChunkedRollout(GRID, policy, Execution(), chunk=2, is_planned=True)
    goes[-1] = 5.0  # short trajectories
    rollout.draw(GRID.initial(500), generator=generator())
    goes.copy_(stops)
    goes[-1] = -5.0  # long ones
    rollout.n_reads = 0
    planned = rollout.draw(GRID.initial(500), generator=generator())
    fresh = ChunkedRollout(GRID, policy, Execution(), chunk=2).draw(GRID.initial(500), generator=generator())
    assert rollout.n_reads > 1
    assert torch.equal(planned.terminal, fresh.terminal)


def test_several_roll_outs_in_progress_are_those_drawn_one_by_one():
    policy = policy_for(GRID)
    for execution in (Execution(), recorded_execution()):
        rollout = ChunkedRollout(GRID, policy, execution, chunk=2, is_planned=True)
        pending = [rollout.begin(GRID.initial(300), generator(seed)) for seed in range(4)]
        assert rollout.n_reads == 0
        found = [one.result() for one in pending]
        assert pending[0].is_repeated  # the first plan has one chunk
        for seed, drawn in enumerate(found):
            alone = ChunkedRollout(GRID, policy, Execution(), chunk=2).draw(
                GRID.initial(300), generator=generator(seed)
            )
            assert torch.equal(drawn.states, alone.states)
            assert torch.equal(drawn.actions, alone.actions)


@pytest.mark.parametrize("is_recordable", [False, True])
def test_draws_that_are_repeated_have_the_rewards_of_their_own_objects(is_recordable):
    trainer = Trainer(
        GRID,
        StateReward(at_the_edge, is_recordable=is_recordable),
        Training(batch_size=8, hidden=16, layers=1, replay_size=0, execution=recorded_execution()),
    )
    trainer.sampler._chunked._is_planned = True
    trainer.sampler._chunked._chunk = 2
    pending = [trainer.sampler.begin(DrawRequest(300, seed)) for seed in range(3)]
    assert (trainer.sampler._chunked.n_reads == 0) == is_recordable
    for one in pending:
        draw = one.result()
        assert GRID.is_terminal(draw.trajectories.terminal).all()
        assert torch.equal(draw.log_reward, at_the_edge(draw.trajectories.terminal))


def test_a_draw_that_is_repeated_has_the_weights_with_which_it_began():
    training = Training(batch_size=8, hidden=16, layers=1, replay_size=0, execution=recorded_execution())

    def draw(is_changed):
        sampler = Trainer(GRID, StateReward(at_the_edge, is_recordable=True), training, seed=3).sampler
        sampler._chunked._is_planned, sampler._chunked._chunk = True, 2
        pending = sampler.begin(DrawRequest(300, 1))
        if is_changed:
            sampler.set_weights({k: v + 1.0 for k, v in sampler._policy.trainable_state().items()})
        return pending.result().trajectories.states

    assert torch.equal(draw(is_changed=True), draw(is_changed=False))


def test_a_policy_with_a_memory_and_one_with_a_context_draw_in_chunks():
    environment = Sequences("ACG", 5, 2)
    torch.manual_seed(0)
    policy = TransformerPolicy(environment, 16, 1)
    exact = object_distribution(environment, policy)
    n = 10_000
    drawn = ChunkedRollout(environment, policy, Execution()).draw(environment.initial(n), generator=generator())
    counts = Counter(environment.decode(drawn.terminal))
    chi_square = sum((counts[o] - n * p) ** 2 / (n * p) for o, p in exact.items())
    assert chi_square < len(exact) + 4 * (2 * len(exact)) ** 0.5
    conditioned = policy_for(GRID, n_conditions=1, heads=2)
    context = Context(torch.linspace(-1, 1, 200)[:, None], torch.arange(200) % 2)
    both = [
        ChunkedRollout(GRID, conditioned, Execution(), chunk=k).draw(
            GRID.initial(200), generator=generator(), context=context
        )
        for k in (7, 7)
    ]
    assert torch.equal(both[0].terminal, both[1].terminal)


class DeadEnd(Hypergrid):
    """Its masks forbid everything."""

    def forward_mask(self, states):
        return torch.zeros_like(super().forward_mask(states))


def test_invalid_masks_logits_and_lengths_are_refused():
    with pytest.raises(ValueError, match="allows no action"):
        ChunkedRollout(DeadEnd(2, 4), policy_for(GRID), Execution()).draw(GRID.initial(4), generator=generator())
    policy = policy_for(GRID)
    policy.forward_head.linear.bias.data[-1] = -1e9  # never stops by itself
    endless = Hypergrid(2, 4)
    endless.max_steps = 3
    with pytest.raises(ValueError, match="max_steps"):
        ChunkedRollout(endless, policy, Execution(), chunk=2).draw(GRID.initial(4), generator=generator())


# -- nothing waits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_nothing_waits_in_the_steps_of_a_roll_out(name):
    environment = ENVIRONMENTS[name]
    policy, rollout = policy_for(environment), None
    rollout = ChunkedRollout(environment, policy, Execution(), chunk=2)
    rollout.draw(environment.initial(8), generator=generator())  # constants reach the device
    states = environment.initial(8)
    noise = torch.rand(3, 8, environment.n_actions if environment.n_actions <= 64 else 1, dtype=torch.float32)
    memory = policy.start_from(states)
    with torch.no_grad(), fixed_shapes(), no_waiting():
        for k in range(3):
            explores = torch.zeros(8, dtype=torch.bool)
            states, _ = take_step(environment, policy, states, noise[k], explores, None, memory, 1.0)


@pytest.mark.parametrize("name", ENVIRONMENTS)
@pytest.mark.parametrize("objective", ["trajectory_balance", "sub_trajectory_balance", "flow_matching"])
def test_nothing_waits_in_a_gradient_step(name, objective, monkeypatch):
    environment = ENVIRONMENTS[name]
    training = Training(
        batch_size=8, hidden=16, layers=1, objective=objective, replay_size=0, execution=recorded_execution()
    )
    trainer = Trainer(environment, StateReward(at_the_edge), training)
    trainer.step()
    learner, launches = trainer.learner, []
    draw = trainer.sampler.draw(8, seed=5)
    monkeypatch.setattr(
        learner._batches, "step", lambda batch, _: launches.append(learner._batches.launch(batch)) or 0.0
    )
    with no_waiting():
        learner.update(draw, seed=0)
    assert len(launches) == 1


def recorded_execution():
    return Execution(capture=EagerCapture())


# -- gradient steps ----------------------------------------------------------------------------------------------------

SETTINGS = {
    "plain": {},
    "replay": {"replay_size": 4},
    "average": {"ema": 0.9},
    "several updates": {"updates": 2},
    "likelihood": {"backward_loss": "likelihood"},
    "variance": {"objective": "log_partition_variance"},
    "flows": {"objective": "sub_trajectory_balance"},
    "stops": {"objective": "modified_sub_trajectory_balance"},
    "heads": {"heads": 2},
}


def train(execution, steps=6, **settings):
    training = Training(
        **{"batch_size": 8, "hidden": 16, "layers": 1, "replay_size": 0, **settings}, execution=execution
    )
    trainer = Trainer(GRID, StateReward(at_the_edge), training, seed=3)
    return [trainer.step() for _ in range(steps)], trainer


@pytest.mark.parametrize("name", SETTINGS)
def test_recorded_training_is_training(name):
    settings = SETTINGS[name]
    losses, trainer = train(Execution(), **settings)
    recorded_losses, recorded = train(recorded_execution(), **settings)
    assert recorded_losses == pytest.approx(losses, rel=1e-4)
    for a, b in zip(trainer.policy.parameters(), recorded.policy.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(trainer.learner.log_z, recorded.learner.log_z)


def test_plain_and_fixed_gradient_steps_are_equal():
    _, plain = train("plain", steps=0)
    _, fixed = train(Execution(), steps=0)
    draw = plain.sampler.draw(8, seed=1)
    for step in range(5):
        a, b = (t.learner.update(draw, seed=step) for t in (plain, fixed))
        assert b == pytest.approx(a, rel=1e-4)
    for a, b in zip(plain.policy.parameters(), fixed.policy.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_a_recorded_training_resumes_bit_for_bit_and_follows_a_schedule():
    _, whole = train(recorded_execution(), ema=0.9)
    _, first = train(recorded_execution(), steps=3, ema=0.9)
    _, rest = train(recorded_execution(), steps=2, ema=0.9)
    rest.load_state_dict(first.state_dict())
    for _ in range(3):
        rest.step()
    assert all(torch.equal(a, b) for a, b in zip(whole.policy.parameters(), rest.policy.parameters(), strict=True))
    before = [p.clone() for p in rest.learner.policy.parameters()]
    rest.learner.scale_rates(0.0)
    rest.step()
    assert all(torch.equal(a, b) for a, b in zip(before, rest.learner.policy.parameters(), strict=True))


@pytest.mark.parametrize("make", [Execution, recorded_execution])
def test_a_loss_that_is_not_finite_leaves_the_weights_unchanged(make):
    _, trainer = train(make(), steps=3)
    before = [p.clone() for p in trainer.learner.policy.parameters()]
    draw = trainer.sampler.draw(8, seed=9)
    trainer.learner.policy.backward_head.bias.data[0] = torch.nan
    before = [p.clone() for p in trainer.learner.policy.parameters()]
    with pytest.raises(ValueError, match="no gradient step is made"):
        trainer.learner.update(draw, seed=0)
    for a, b in zip(before, trainer.learner.policy.parameters(), strict=True):
        assert torch.equal(a.nan_to_num(), b.nan_to_num())


@pytest.mark.parametrize(
    ("objective", "precision"),
    [
        ("trajectory_balance", "float32"),
        ("trajectory_balance", "bfloat16"),
        ("detailed_balance", "float32"),
        ("sub_trajectory_balance", "float32"),
        ("flow_matching", "float32"),
        ("log_partition_variance", "float32"),
        ("modified_sub_trajectory_balance", "float32"),
    ],
)
def test_recorded_training_reaches_the_exact_distribution(objective, precision):
    training = Training(
        batch_size=32,
        hidden=32,
        layers=2,
        lr=1e-2,
        objective=objective,
        replay_size=0,
        epsilon=0.1,
        precision=precision,
        execution=recorded_execution(),
    )
    trainer = Trainer(Hypergrid(2, 3), StateReward(at_the_edge), training)
    for step in range(300):
        trainer.learner.scale_rates(max(1 - step / 300, 0.05))
        trainer.step()
    states, p = terminal_distribution(Hypergrid(2, 3), trainer.policy)
    target = at_the_edge(states).double().softmax(0)
    assert float((p - target).abs().sum()) < (0.12 if precision == "bfloat16" else 0.08)


@pytest.mark.parametrize(
    ("value", "message"), [(torch.nan, "NaN or"), (torch.inf, "NaN or"), (-torch.inf, "every log")]
)
def test_invalid_rewards_leave_the_weights_unchanged_and_are_named(value, message):
    _, trainer = train(recorded_execution(), steps=2)
    before = [p.clone() for p in trainer.learner.policy.parameters()]
    draw = trainer.sampler.draw(8, seed=9)
    with pytest.raises(ValueError, match=message):
        trainer.learner.update(replace(draw, log_reward=torch.full((8,), value)), seed=0)
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.learner.policy.parameters(), strict=True))


# -- parts -------------------------------------------------------------------------------------------------------------


def test_steps_that_happened_are_found_without_waiting():
    actions = torch.tensor([[0, 1, 2], [1, -1, 0], [-1, -1, 3]])
    with no_waiting():
        exact, padded = steps_that_happened(actions, 6), steps_that_happened(actions, 8)
    assert exact.tolist() == [0, 1, 2, 3, 5, 8]
    assert padded.tolist() == [0, 1, 2, 3, 5, 8, 9, 9]


def test_a_function_is_recorded_once_for_each_shape_and_what_it_changes_is_preserved():
    total = torch.zeros(())

    def add(x, y):
        total.add_(x.sum())
        return (x * 2 if y is None else x * y,)

    @contextmanager
    def preserved():
        before = total.clone()
        yield
        total.copy_(before)

    capture = EagerCapture()
    recorded = Recorded(add, capture, preserved)
    for n, y in ((2, None), (2, None), (3, None), (2, torch.tensor([5.0]))):
        (result,) = recorded(torch.ones(n), y)
        assert result.tolist() == [2.0 if y is None else 5.0] * n
    assert (len(recorded), capture.n_recorded, capture.n_replayed) == (3, 3, 4)
    assert total.item() == 9


def test_a_recording_that_failed_is_tried_once_more():
    capture, tries = EagerCapture(), []

    def fail_first(work, warm_ups):
        tries.append(work)
        if len(tries) == 1:
            raise RuntimeError("compiled in the middle of a recording")
        return capture(work, warm_ups)

    double = Recorded(lambda x: (2 * x,), fail_first)
    assert [double(torch.full((2,), i))[0].tolist() for i in (1, 2, 3)] == [[2, 2], [4, 4], [6, 6]]
    assert (len(tries), capture.n_replayed) == (2, 2)


def test_roll_outs_that_cannot_be_recorded_are_tried_for_one_plan_alone():
    tries = []

    def refuse(work, warm_ups):
        tries.append(work)
        raise RuntimeError("not permitted")

    rollout = ChunkedRollout(GRID, policy_for(GRID), Execution(capture=refuse), chunk=2, is_planned=True)
    for seed in range(4):
        rollout.draw(GRID.initial(50), generator=generator(seed))
    plain = ChunkedRollout(GRID, policy_for(GRID), Execution(), chunk=2)
    for n in (3, 500):
        drawn = [r.draw(GRID.initial(n), generator=generator()).terminal for r in (rollout, plain)]
        assert torch.equal(*drawn)
    assert len(tries) <= 4


def test_a_reward_that_is_recordable_is_recorded_and_gives_each_draw_its_own():
    capture = EagerCapture()
    training = Training(batch_size=8, hidden=16, layers=1, replay_size=0, execution=Execution(capture=capture))
    draws = {}
    for is_recordable in (False, True):
        trainer = Trainer(GRID, StateReward(at_the_edge, is_recordable=is_recordable), training)
        before = capture.n_recorded
        draws[is_recordable] = [trainer.sampler.draw(8, seed=seed).log_reward for seed in range(3)]
        draws[is_recordable].append(capture.n_recorded - before)
    assert draws[True].pop() == draws[False].pop() + 1
    assert all(torch.equal(a, b) for a, b in zip(draws[True], draws[False], strict=True))


def test_what_cannot_be_recorded_runs_as_it_is(caplog):
    def refuse(work, warm_ups):
        work()
        raise RuntimeError("operation not permitted when stream is capturing")

    losses, _ = train(Execution(), ema=0.9)
    unrecorded, _ = train(Execution(capture=refuse), ema=0.9)
    assert unrecorded == pytest.approx(losses, rel=1e-4)
    assert "cannot be recorded: operation not permitted" in caplog.text


def test_the_way_of_execution_suits_the_device():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert choose_execution("auto", cpu, 10_000) is None
    assert choose_execution("auto", gpu, 10) is None
    assert choose_execution("plain", gpu, 10_000) is None
    assert choose_execution("compiled", cpu, 10).capture is None
    with pytest.raises(ValueError, match="graphed requires a GPU"):
        choose_execution("graphed", cpu, 10)
    with pytest.raises(ValueError, match="did you mean 'plain'"):
        choose_execution("plan", cpu, 10)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backend"), [(name, "eager") for name in ENVIRONMENTS] + [("grid", "inductor")])
def test_compiled_training_is_training(name, backend):
    def run(execution):
        training = Training(batch_size=8, hidden=16, layers=1, replay_size=0, execution=execution)
        trainer = Trainer(ENVIRONMENTS[name], StateReward(at_the_edge), training)
        return [trainer.step() for _ in range(4)]

    one = run(Execution(lambda function: compiled(function, backend)))
    assert one == pytest.approx(run(Execution()), rel=1e-3)


@pytest.mark.parametrize("policy", ["language", "mlp"])
def test_what_reads_numbers_from_the_device_is_neither_compiled_nor_recorded(policy):
    texts = Tokens(tiny_model("12+="), ["1"], max_tokens=3, tool=None if policy == "language" else "calculator")
    made = MLPPolicy(texts, 8, 1) if policy == "mlp" else LanguagePolicy(texts)
    learner = Learner(texts, Training(batch_size=4, replay_size=0, execution=recorded_execution()), 0, made)
    assert learner.execution is None
