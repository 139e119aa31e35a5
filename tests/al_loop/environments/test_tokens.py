import pytest
import torch

from al_loop.config import Part, build
from al_loop.environments.testing import EnvironmentContract
from al_loop.environments.tokens import Tokens
from al_loop.errors import ConfigError
from al_loop.gflownet.exact_distribution import terminal_states
from tests.support.language import needs, tiny_model


class TestContinuations(EnvironmentContract):
    invalid = ("", "abca", "x")
    is_small = True

    def make(self):
        return Tokens(tiny_model(), ["ab", "c"], max_tokens=3)


class TestOfAnyLength(EnvironmentContract):
    invalid = ("c", "abab")
    is_small = True

    def make(self):
        return Tokens(tiny_model(), ["a"], max_tokens=3, min_tokens=0, end="c")


class TestWithCalculator(EnvironmentContract):
    invalid = ("+1=1", "1=2")
    is_small = True

    def make(self):
        return Tokens(tiny_model("12+="), ["1", "+"], max_tokens=4, tool="calculator")


@pytest.mark.parametrize(
    ("prompt", "text", "after"),
    [
        ("2", "1+1=", "2"),  # 21 + 1 = 22, of which the first digit is written
        ("2", "1+1=2", "2"),
        ("2", "1+1=22", None),
        ("+", "1+1=", "2"),
        ("1+1", "=", "2"),
        ("1", "=1+1=", "2"),
        ("1", "+=", None),  # not an expression
        ("1", "+2=1", None),  # not what the calculator wrote: a state that no policy reaches
        ("1", "+2=", None),  # 3 is not a token
        ("1", "1+1", None),
    ],
)
def test_the_calculator_writes_the_value_of_the_expression_before_the_sign(prompt, text, after):
    environment = Tokens(tiny_model("12+="), [prompt], max_tokens=8, tool="calculator")
    state = environment.start(torch.tensor([0]))
    for letter in text:
        state = environment.step(state, torch.tensor(["12+=".index(letter)]))
    allowed = environment.forward_mask(state)[0].nonzero()[:, 0].tolist()
    assert allowed == (list(range(5)) if after is None else ["12+=".index(after)])


def test_a_text_that_the_calculator_would_write_otherwise_is_refused():
    environment = Tokens(tiny_model("12+="), ["1"], max_tokens=12, tool="calculator")
    index = torch.tensor([0])
    assert environment.decode(environment.finished(["+1=2+1+1+1"], index)) == ["+1=2+1+1+1"]
    for text in ("+1=1", "+1=", "+1=2=1", "+1=+"):
        with pytest.raises(ValueError, match="differs from what the calculator writes"):
            environment.finished([text], index)


def test_the_prompt_is_in_the_state_and_no_action_changes_it():
    environment = Tokens(tiny_model(), ["ab", "c"], max_tokens=2)
    states = environment.start(torch.tensor([0, 1]))
    assert states.tolist() == [[0, 2, 3, -1, -1, 0, 0], [-1, 0, 4, -1, -1, 0, 0]]
    after = environment.step(states, torch.tensor([2, 0]))
    assert after.tolist() == [[0, 2, 3, 4, -1, 1, 0], [-1, 0, 4, 2, -1, 1, 0]]
    assert environment.step(after, torch.tensor([3, 1]))[:, 3:].tolist() == [[4, -1, 1, 1], [2, 3, 2, 0]]
    assert environment.condition_size == 3


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        ({"allowed": ["a", "b"]}, {"a", "b", "aa", "ab", "ba", "bb"}),
        ({"forbidden": ["a"]}, {"b", "c", "bb", "bc", "cb", "cc"}),
        ({"end": "a"}, {"b", "c", "bb", "bc", "cb", "cc"}),
        ({"min_tokens": 2, "forbidden": ["c"]}, {"aa", "ab", "ba", "bb"}),
        ({"min_tokens": 0, "allowed": ["a"]}, {"", "a", "aa"}),
    ],
)
def test_vocabulary_and_lengths_bound_the_texts(options, texts):
    environment = Tokens(tiny_model(), ["c"], max_tokens=2, **options)
    assert set(environment.decode(terminal_states(environment))) == texts


def test_starts_are_of_random_prompts_in_groups():
    environment = Tokens(tiny_model(), ["a", "b", "c"], max_tokens=2)
    starts = environment.sample_starts(12, 4, torch.Generator().manual_seed(0))
    assert len(starts) == 12
    assert all(len(set(map(tuple, part.tolist()))) == 1 for part in starts.split(4))
    assert len(set(map(tuple, environment.sample_starts(50, 1, torch.Generator().manual_seed(0)).tolist()))) == 3


def test_texts_are_encoded_as_continuations_of_any_prompt():
    environment = Tokens(tiny_model(), ["a", "bb"], max_tokens=3)
    states = environment.finished(["ab", "cab"], torch.tensor([1, 0]))
    assert environment.texts(states) == ["ab", "cab"]
    assert states[0, :3].equal(environment.prompt_tokens[1])
    assert environment.is_terminal(states).all()


def test_molecules_are_decoded_to_canonical_smiles_and_other_texts_as_they_are():
    needs("annalog")
    environment = Tokens("annalog", ["OC(=O)C"], max_tokens=10)
    assert environment.object_type == "molecule"
    states = environment.encode(["OCC", "C1CC", "Clc1ccccc1"])
    assert environment.decode(states) == ["CCO", "C1CC", "Clc1ccccc1"]
    assert environment.texts(states)[0] == "OCC"


def test_a_file_of_molecules_is_the_prompts(tmp_path):
    needs("annalog")
    (tmp_path / "hits.smi").write_text("CCO ethanol\nc1ccccc1 benzene\n")
    part = Part(kind="tokens", model="annalog", prompts=str(tmp_path / "hits.smi"), max_tokens=20)
    assert build("environment", part).prompts == ["CCO", "c1ccccc1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_tokens": 5}, "between 0 and max_tokens"),
        ({"end": "ab"}, "^end: .*2 tokens of this model"),
        ({"allowed": ["ab"]}, "^allowed: .*2 tokens of this model"),
        ({"max_tokens": 0}, "^max_tokens: must be at least 1, got 0"),
        ({"allowed": ["a"], "forbidden": ["a"]}, "no token is left"),
        ({"prompts": []}, "at least one"),
        ({"prompts": ["ax"]}, "no token at 'x'"),
        (
            {"prompts": ["a" * 20]},
            "21 tokens, and with a continuation of max_tokens=3 it exceeds the 16 tokens that the model reads",
        ),
        ({"model": "no such/folder.gguf"}, "does not exist"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(arguments, message):
    with pytest.raises((ConfigError, ValueError), match=message):
        Tokens(**({"model": tiny_model(), "prompts": ["a"], "max_tokens": 3} | arguments))
