import pickle
from functools import partial

import pytest
import torch

from al_loop.environments.tokens import Tokens
from al_loop.errors import ConfigError
from al_loop.gflownet.exact_distribution import terminal_states
from al_loop.language.checked import Checked
from al_loop.language.rewards import Chain, Continuation, Falling, Gap, Infill
from al_loop.language_models.loading import load_language_model
from tests.support.language import tiny_model


def log_p(tokens, given):
    """Log-probability of tokens after others, from one full forward over both."""
    model = load_language_model(tiny_model())
    row = torch.tensor([[*given, *tokens]])
    memory, _ = model.read_prompts(row[:, :1], torch.ones(1, 1, dtype=torch.bool))
    hidden = torch.cat([model.read_prompts(row[:, :1], torch.ones(1, 1, dtype=torch.bool))[1][:, None],
                        model.read(memory, row[:, 1:])], 1)  # fmt: skip
    log_probs = model.logits(hidden)[0].log_softmax(-1)
    return float(sum(log_probs[i - 1, row[0, i]] for i in range(len(given), row.shape[1])))


def states_of(environment):
    return torch.cat([
        environment.finished(environment.texts(terminal_states(environment)), torch.full((n,), index))
        for index in range(len(environment.prompts))
        for n in [len(terminal_states(environment))]
    ])  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_a_continuation_is_rewarded_by_its_likelihood_and_that_of_its_end(temperature):
    environment = Tokens(tiny_model(), ["ab", "c", "abcab"], max_tokens=3, min_tokens=0)
    reward = Continuation(temperature)
    reward.bind(environment)
    states = states_of(environment)
    got = reward(states)
    encode = environment.language_model.tokenizer.encode
    for row, (state, text) in enumerate(zip(states.tolist(), environment.texts(states), strict=True)):
        prompt = [token for token in state[: environment.condition_size] if token >= 0]
        expected = log_p([*encode(text), environment.end], prompt) / temperature
        assert float(got[row]) == pytest.approx(expected, abs=1e-4)


def test_all_prefixes_of_a_text_come_from_one_pass(monkeypatch):
    environment = Tokens(tiny_model(), ["ab"], max_tokens=3, min_tokens=0)
    reward = Continuation()
    reward.bind(environment)
    shapes = []
    model = environment.language_model
    read = type(model).read
    monkeypatch.setattr(
        type(model), "read", lambda self, memory, tokens: (shapes.append(tokens.shape), read(self, memory, tokens))[1]
    )
    states = environment.encode(["abc", "ab", "a", "", "b", "abb"])
    together = reward(states)
    assert shapes == [(3, 3)]  # abc, abb and b
    reward(states)
    assert len(shapes) == 1  # known by now
    apart = Continuation()
    apart.bind(environment)
    assert torch.allclose(together, torch.cat([apart(state[None]) for state in states]), atol=1e-5)


@torch.no_grad()
def test_a_filled_gap_is_rewarded_by_the_joint_likelihood():
    gaps = [Gap("ab", "ca", prompt="cab"), Gap("c", "b")]
    reward = Infill(gaps)
    environment = Tokens(tiny_model(), reward.prompts, max_tokens=2, min_tokens=0)
    reward.bind(environment)
    assert reward.prompts == ["cab", "c"]
    states = states_of(environment)
    got, half = reward(states), len(states) // 2
    tokenizer = environment.language_model.tokenizer
    for row, text in enumerate(environment.texts(states)):
        gap = gaps[row // half]
        expected = log_p(tokenizer.encode(text + gap.after), tokenizer.encode_prompt(gap.before))
        assert float(got[row]) == pytest.approx(expected, abs=1e-4)


def test_a_chain_is_what_fills_the_gap_between_a_question_and_its_answer():
    chain, infill = Chain([("ab", "ca")], 0.5), Infill([Gap("ab", "ca")], 0.5)
    environment = Tokens(tiny_model(), chain.prompts, max_tokens=2)
    chain.bind(environment)
    infill.bind(environment)
    states = environment.encode(["a", "bc"])
    assert chain(states).equal(infill(states))


def test_gaps_that_the_sampler_could_not_tell_apart_are_refused():
    reward = Infill([Gap("a", "b"), Gap("a", "c")])
    with pytest.raises(ConfigError, match="two different gaps"):
        reward.bind(Tokens(tiny_model(), reward.prompts, max_tokens=2))
    with pytest.raises(ConfigError, match="one for each of the 2 gaps"):
        reward.bind(Tokens(tiny_model(), ["a"], max_tokens=2))


def test_gaps_belong_to_prompts_by_their_text():
    gaps = [Gap("ab", "c"), Gap("c", "a")]
    values = []
    for order in (1, -1):
        reward = Infill(gaps[::order])
        reward.bind(environment := Tokens(tiny_model(), ["c", "ab"], max_tokens=2))
        values.append(reward(environment.finished(["a", "a", "bb"], torch.tensor([0, 1, 1]))))
    assert values[0].equal(values[1])
    for prompts, message in ((["ab", "a"], "'a' is the prompt of no gap; expected 'ab', 'c'"), (["c", "c"], "'ab' is")):
        with pytest.raises(ConfigError, match=f"prompts: .*{message}"):
            Infill(gaps).bind(Tokens(tiny_model(), prompts, max_tokens=2))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda text: len(text), [1.0, 2.0]),
        (lambda text: None if text == "a" else 0.5, [-7.0, 0.5]),
        (lambda text: float("-inf") if text == "a" else 0.5, [-7.0, 0.5]),
        (lambda text: float("nan") if text == "a" else 0.5, [-7.0, 0.5]),
        (lambda text, prompt: float(prompt == "cb") + len(text), [2.0, 3.0]),
        (lambda x, y: float(y == "cb") + len(x), [2.0, 3.0]),
        (lambda text, prompt="": float(prompt == "cb") + len(text), [2.0, 3.0]),
        (lambda text, k=3: k, [3.0, 3.0]),
        (lambda text, **k: len(k), [0.0, 0.0]),
        (lambda text, *, k=1: k, [1.0, 1.0]),
        (lambda *texts: len(texts), [1.0, 1.0]),
    ],
)
def test_any_function_of_the_text_is_a_reward(function, expected):
    environment = Tokens(tiny_model(), ["cb"], max_tokens=3)
    reward = Checked(function, invalid=-7.0)
    reward.bind(environment)
    states = environment.encode(["a", "ab"])
    assert reward(states).tolist() == expected
    likely = Checked(function, invalid=-7.0, likelihood=0.5)
    likely.bind(environment)
    base = Continuation()
    base.bind(environment)
    assert torch.allclose(likely(states), torch.tensor(expected) + 0.5 * base(states), atol=1e-5)


@pytest.mark.parametrize("value", [float("inf"), "hello", "1.0", 1j, [1.0]])
def test_rewards_that_are_no_finite_numbers_are_refused(value):
    reward = Checked(lambda text: value)
    reward.bind(environment := Tokens(tiny_model(), ["a"], max_tokens=2))
    with pytest.raises(ConfigError, match=r"log-reward of 'a' is .*must be finite"):
        reward(environment.encode(["a"]))


def test_settings_of_rewards_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="must be finite"):
        Checked(len, invalid=float("-inf"))
    with pytest.raises(ConfigError, match="must be finite"):
        Checked(len, likelihood=float("inf"))
    for function in (3, Continuation(), lambda: 1.0, lambda a, b, c: 1.0, lambda text, *, k: 1.0, lambda **k: 1.0):
        with pytest.raises(ConfigError, match="reward: expected a function"):
            Checked(function)
    with pytest.raises(ConfigError, match=r"reward: expected Continuation\(...\), got the class"):
        Checked(Continuation)
    for temperature in (0.0, float("inf"), Falling(1.0, float("nan"), 3)):
        with pytest.raises(ConfigError, match="above 0"):
            Continuation(temperature)
    with pytest.raises(ConfigError, match="at least 0"):
        Continuation(Falling(2.0, 1.0, -3))


def test_a_gap_must_fit_the_model_with_what_follows_it():
    infill = Infill([Gap("ab", "abcabcabcabca")])
    with pytest.raises(ConfigError, match=r"'ab' has 3 tokens.*13 tokens after it.*the 16 tokens that the model reads"):
        infill.bind(Tokens(tiny_model(), infill.prompts, max_tokens=1))
    unknown = Infill([Gap("ab", "xyz")])
    with pytest.raises(ConfigError, match="examples: 'xyz' has no token"):
        unknown.bind(Tokens(tiny_model(), unknown.prompts, max_tokens=1))


def test_the_temperature_falls_linearly_and_travels_as_the_only_weight():
    reward = Checked(len, temperature=Falling(2.0, 1.0, 10))
    reward.bind(environment := Tokens(tiny_model(), ["a"], max_tokens=2))
    states = environment.encode(["ab"])
    values = []
    for step in (0, 5, 10, 99):
        reward.set_step(step)
        values.append(float(reward(states)))
    assert values == pytest.approx([1.0, 2 / 1.5, 2.0, 2.0])
    assert set(reward.state_dict()) == {"temperature"}
    other = Checked(len)
    other.load_state_dict(reward.state_dict())
    assert float(other.temperature) == 1.0


def test_a_reward_is_sent_without_the_model():
    reward = Continuation()
    reward.bind(environment := Tokens(tiny_model(), ["a"], max_tokens=2))
    value = reward(environment.encode(["ab"]))
    content = pickle.dumps(reward)
    assert len(content) < 5000
    assert pickle.loads(content)(environment.encode(["ab"])).equal(value)


def test_a_function_is_called_once_for_a_text_and_known_by_its_code():
    environment = Tokens(tiny_model(), ["a", "b"], max_tokens=2)
    calls = []
    reward = Checked(lambda text: calls.append(text) or 1.0)
    reward.bind(environment)
    reward(environment.finished(["a", "a", "b"], torch.tensor([0, 1, 0])))
    assert calls == ["a", "b"]
    same = [Checked(lambda text: float(text == "a")).code() for _ in range(2)]
    other = [lambda text: float(text == "b"), lambda text: int(text == "a"), partial(max, "a"), lambda text, k=2: k]
    codes = [Checked(function).code() for function in other]
    assert same[0] == same[1]
    assert len({same[0], *codes}) == 5
