import copy
import io

import pytest
import torch

from al_loop.environments.sequence import Sequences
from al_loop.environments.tokens import Tokens
from al_loop.errors import ConfigError
from al_loop.gflownet import Training, trajectory_terms
from al_loop.gflownet import rollout as rollout_module
from al_loop.gflownet.exact_distribution import terminal_distribution
from al_loop.gflownet.learner import Learner
from al_loop.gflownet.objectives import make_objective
from al_loop.gflownet.policies.base import Context
from al_loop.gflownet.policies.language import LanguagePolicy
from al_loop.gflownet.policies.mlp import MLPPolicy
from al_loop.gflownet.policies.transformer import TransformerPolicy
from al_loop.gflownet.reward import StateReward
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.sampler import Sampler
from al_loop.gflownet.trainer import Trainer
from al_loop.gflownet.trajectory_terms import compute_terms, log_probabilities
from al_loop.language_models.loading import load_language_model
from tests.support.language import change_adapters, tiny_model

pytest.importorskip("peft")

PROMPTS = ["ab", "c", "abcab"]


def make(prompts=PROMPTS, max_tokens=3, **options):
    torch.manual_seed(0)
    environment = Tokens(tiny_model(), prompts, max_tokens=max_tokens, min_tokens=0)
    return environment, change_adapters(LanguagePolicy(environment, **{"lora": 2, **options}))


def draw(environment, policy, n=24, **options):
    generator = torch.Generator().manual_seed(0)
    start = environment.sample_starts(n, 1, generator)
    return rollout(environment, policy, n, generator=generator, start=start, **options)


def by_full_forwards(environment, policy, state):
    """Log-probabilities of the actions in a state, from one pass over its unpadded text."""
    size = environment.condition_size
    text = torch.tensor([[t for t in state[: size + environment.max_tokens].tolist() if t >= 0]])
    _, hidden = policy.trunk.read_prompts(text, torch.ones_like(text, dtype=torch.bool))
    tokens = [*environment.allowed.tolist(), environment.end]
    logits = policy.trunk.logits(hidden)[0, tokens]
    return logits.masked_fill(~environment.forward_mask(state[None])[0], -torch.inf).log_softmax(0)


@torch.no_grad()
@pytest.mark.parametrize("lora", [2, 0, None], ids=["adapters", "frozen", "all weights"])
def test_cached_log_probabilities_equal_full_forwards_at_every_prefix(lora):
    environment, policy = make(lora=lora)
    trajectories = draw(environment, policy)
    log_pf, _ = log_probabilities(environment, policy, trajectories)
    assert len({tuple(row) for row in trajectories.states[0].tolist()}) == 3
    for t, n in (trajectories.actions >= 0).nonzero().tolist():
        expected = by_full_forwards(environment, policy, trajectories.states[t, n])
        assert float(log_pf[t, n]) == pytest.approx(float(expected[trajectories.actions[t, n]]), abs=1e-5)


@torch.no_grad()
def test_a_roll_out_sees_the_logits_of_full_forwards(monkeypatch):
    environment, policy = make()
    seen = []
    step = policy.next_logits

    def spy(states, context, memory, rows):
        logits = step(states, context, memory, rows)
        seen.append((states.clone(), logits.clone()))
        return logits

    monkeypatch.setattr(policy, "next_logits", spy)
    draw(environment, policy)
    assert len(seen) == 3
    for states, logits in seen:
        for state, row in zip(states, logits, strict=True):
            mask = environment.forward_mask(state[None])[0]
            got = row.masked_fill(~mask, -torch.inf).log_softmax(0)
            assert torch.allclose(got, by_full_forwards(environment, policy, state), atol=1e-5)


def test_each_distinct_prompt_is_read_once(monkeypatch):
    environment, policy = make()
    sizes = []
    read = type(policy.trunk).read_prompts

    def spy(self, tokens, is_token):
        sizes.append(len(tokens))
        return read(self, tokens, is_token)

    monkeypatch.setattr(type(policy.trunk), "read_prompts", spy)
    trajectories = draw(environment, policy, n=40)
    assert sizes == [3]
    log_probabilities(environment, policy, trajectories)
    assert sizes == [3, 3]


@torch.no_grad()
def test_roll_outs_may_start_within_texts():
    environment, policy = make()
    start = environment.step(environment.start(torch.tensor([0, 1, 2])), torch.tensor([0, 1, 2]))
    start[1] = environment.start(torch.tensor([1]))[0]
    trajectories = rollout(environment, policy, 3, generator=torch.Generator().manual_seed(0), start=start)
    assert trajectories.terminal[[0, 2], environment.condition_size].tolist() == [2, 4]
    got = policy.forward_logits(start)
    expected = torch.stack([by_full_forwards(environment, policy, state) for state in start])
    assert torch.allclose(got.log_softmax(-1), expected, atol=1e-5)


@torch.no_grad()
def test_probabilities_of_each_prompt_add_up_to_one():
    environment, policy = make()
    states, p = terminal_distribution(environment, policy, environment.start(torch.tensor([0, 1, 2])))
    for prompt in environment.prompt_tokens:
        assert float(p[(states[:, :6] == prompt).all(1)].sum()) == pytest.approx(1)


@torch.no_grad()
def test_a_gpus_way_to_roll_out_and_to_train_gives_the_same(monkeypatch):
    environment, policy = make()
    trajectories = draw(environment, policy)
    expected, _ = log_probabilities(environment, policy, trajectories)
    for module in (rollout_module, trajectory_terms):
        monkeypatch.setattr(module, "packs", lambda device: False)
    got, _ = log_probabilities(environment, policy, trajectories)
    assert torch.allclose(got, expected, atol=1e-5)
    whole = draw(environment, policy)
    log_pf, _ = log_probabilities(environment, policy, whole)
    for t, n in (whole.actions >= 0).nonzero().tolist():
        exact = by_full_forwards(environment, policy, whole.states[t, n])
        assert float(log_pf[t, n]) == pytest.approx(float(exact[whole.actions[t, n]]), abs=1e-5)


@torch.no_grad()
def test_logits_are_float32_also_in_bfloat16_training():
    environment, policy = make()
    words = Sequences("ab", 3)
    with torch.autocast("cpu", torch.bfloat16):
        start = environment.start(torch.tensor([0, 1]))
        assert policy.forward_logits(start).dtype == torch.float32
        assert policy.next_logits(start, None, policy.start_from(start), None).dtype == torch.float32
        log_pf, _ = log_probabilities(environment, policy, draw(environment, policy))
        assert log_pf.dtype == torch.float32
        for kind in (MLPPolicy, TransformerPolicy):
            assert kind(words, 8, 1).forward_logits(words.initial(2)).dtype == torch.float32


@torch.no_grad()
def test_stop_and_flow_come_from_the_same_pass():
    environment, policy = make()
    trajectories = draw(environment, policy)
    reward = StateReward(lambda states: states[:, -2].float())
    terms = compute_terms(
        environment, policy, trajectories, make_objective("modified_sub_trajectory_balance"), log_z=torch.zeros(()),
        log_reward=reward.function(trajectories.terminal),
        stopped_log_reward=lambda states, rows: reward.function(states),
    )  # fmt: skip
    flows = compute_terms(
        environment, policy, trajectories, make_objective("sub_trajectory_balance"), log_z=torch.zeros(()),
        log_reward=reward.function(trajectories.terminal),
    )  # fmt: skip
    for t, n in (trajectories.actions >= 0).nonzero().tolist():
        expected = by_full_forwards(environment, policy, trajectories.states[t, n])
        assert float(terms.log_stop[t, n]) == pytest.approx(float(expected[-1]), abs=1e-5)
        if t:
            flow = policy.log_flow(trajectories.states[t, n][None])
            assert float(flows.log_flow[t, n]) == pytest.approx(float(flow), abs=1e-5)


@pytest.mark.parametrize("objective", ["modified_sub_trajectory_balance", "sub_trajectory_balance"])
def test_training_reaches_the_posterior_of_each_prompt(objective):
    environment = Tokens(tiny_model(), ["a", "bc"], max_tokens=2, min_tokens=0, forbidden=["c"])
    target = torch.randn(8, 2, 3, 3, generator=torch.Generator().manual_seed(3))

    def log_reward(states):  # a random table of prompts and texts
        size = environment.condition_size
        row = (states[:, size - 1] - 2, states[:, size].clamp(min=1) - 1, states[:, size + 1].clamp(min=1) - 1)
        return 1.5 * target.view(8, 2, 9).flatten()[row[0] * 18 + row[1] * 3 + row[2]]

    training = Training(
        objective=objective, batch_size=24, replay_size=0, epsilon=0.1, lr=0.02, per_condition=4, clip_norm=1.0
    )
    torch.manual_seed(0)
    trainer = Trainer(environment, StateReward(log_reward), training, policy=LanguagePolicy(environment, lora=8))
    for _ in range(150):
        trainer.step()
    states, p = terminal_distribution(environment, trainer.policy, environment.start(torch.tensor([0, 1])))
    for prompt in environment.prompt_tokens:
        of_prompt = (states[:, : environment.condition_size] == prompt).all(1)
        exact = log_reward(states[of_prompt]).double().softmax(0)
        assert float((p[of_prompt] * (p[of_prompt] / exact).log()).sum()) < 0.05


def test_relative_balance_uses_the_model_without_adapters_as_reference():
    environment, policy = make()
    learner = Learner(environment, Training(objective="relative_trajectory_balance", replay_size=0), 0, policy)
    base = LanguagePolicy(environment, lora=0)
    states = environment.start(torch.tensor([0, 1, 2]))
    reference = learner.policy.reference()
    assert reference.forward_logits(states).equal(base.forward_logits(states))
    assert not reference.forward_logits(states).equal(policy.forward_logits(states))
    learner.start(StateReward(lambda states: torch.zeros(len(states))))
    sampler = Sampler(environment, learner.policy)
    sampler.set_reward(StateReward(lambda states: torch.zeros(len(states))))
    assert learner.update(sampler.draw(8, seed=0), seed=0) > 0


# -- what travels and is saved


def storages(module):
    return {weight.data_ptr() for weight in module.parameters()}


def test_policies_of_a_process_share_the_frozen_weights():
    environment, policy = make()
    model = load_language_model(tiny_model())
    assert storages(model) <= storages(policy)
    copied = copy.deepcopy(policy)
    assert storages(model) <= storages(copied)
    own = {w.data_ptr() for w in copied.parameters() if w.requires_grad}
    assert own
    assert not own & storages(policy)
    assert not any(weight.requires_grad for weight in model.parameters())
    everything = LanguagePolicy(environment, lora=None)
    assert not storages(model) & storages(everything)


def test_only_trainable_weights_travel_and_are_saved():
    environment, policy = make()
    training = Training(objective="modified_sub_trajectory_balance", replay_size=0, ema=0.9)
    learner = Learner(environment, training, 0, policy)
    names = set(learner.weights())
    assert names == {name for name, weight in policy.named_parameters() if weight.requires_grad}
    assert all("lora" in name or "flow" in name for name in names)
    state = learner.state_dict()
    assert set(state["policy"]) == names
    assert {name.removeprefix("module.") for name in state["average"]} - {"n_averaged"} == names


def test_a_checkpoint_resumes_bit_for_bit():
    reward = StateReward(lambda states: states[:, -2].float())
    training = Training(objective="modified_sub_trajectory_balance", batch_size=8, replay_size=4, ema=0.5)

    def trainer(seed):
        environment = Tokens(tiny_model(), PROMPTS, max_tokens=3, min_tokens=0)
        return Trainer(environment, reward, training, seed=seed)

    first = trainer(0)
    first.step()
    buffer = io.BytesIO()
    torch.save(first.state_dict(), buffer)
    second = trainer(1)
    buffer.seek(0)
    second.load_state_dict(torch.load(buffer, weights_only=True))
    second._seed = 0
    assert [first.step() for _ in range(2)] == [second.step() for _ in range(2)]
    for name, weight in first.learner.weights().items():
        assert weight.equal(second.learner.weights()[name])


def test_a_sampler_takes_the_learners_weights():
    environment, policy = make()
    other = LanguagePolicy(environment, lora=2)
    Sampler(environment, other).set_weights(Learner(environment, Training(), 0, policy).weights())
    states = environment.start(torch.tensor([0, 1]))
    assert other.forward_logits(states).equal(policy.forward_logits(states))


def test_a_state_of_another_model_is_refused(tmp_path):
    model = copy.deepcopy(load_language_model(tiny_model()))
    paths = [tmp_path / "a.pt", tmp_path / "b.pt"]
    model.save(paths[0])
    with torch.no_grad():
        model.output.weight.mul_(2)
    model.save(paths[1])
    learners = [
        Learner(environment, Training(replay_size=0), 0, LanguagePolicy(environment, lora=2))
        for environment in (Tokens(str(path), ["a"], max_tokens=2) for path in paths)
    ]
    state = learners[0].state_dict()
    assert len(state["frozen"]) == 64
    learners[0].load_state_dict(state)
    with pytest.raises(ValueError, match="use the model that it was trained with"):
        learners[1].load_state_dict(state)


def test_conditions_of_the_reward_change_the_logits():
    environment, policy = make(n_conditions=2)
    trajectories = draw(environment, policy, context=Context(torch.rand(24, 2)))
    values = torch.rand(24, 2)
    log_pf, _ = log_probabilities(environment, policy, trajectories, context=Context(values))
    other, _ = log_probabilities(environment, policy, trajectories, context=Context(1 - values))
    assert not torch.allclose(log_pf, other)
    first = policy.forward_logits(trajectories.states[0], Context(values)).log_softmax(-1)
    assert torch.allclose(first.gather(1, trajectories.actions[0][:, None])[:, 0], log_pf[0], atol=1e-5)


@pytest.mark.parametrize(
    ("environment", "options", "message"),
    [
        (lambda: Sequences("ab", 3), {}, "requires environment"),
        (lambda: Tokens(tiny_model(), ["a"], 2), {"heads": 2}, "must be 1"),
        (lambda: Tokens(tiny_model(), ["a"], 2), {"lora": -1}, "at least 0"),
    ],
)
def test_what_does_not_fit_is_refused(environment, options, message):
    with pytest.raises(ConfigError, match=message):
        LanguagePolicy(environment(), **options)
