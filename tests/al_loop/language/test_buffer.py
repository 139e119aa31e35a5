import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_loop.environments.tokens import Tokens
from al_loop.errors import ConfigError
from al_loop.language.buffer import TextBuffer, edit_distance, read_seeds
from al_loop.language.checked import Checked
from al_loop.language.rewards import Falling
from tests.support.language import tiny_model

WORDS = st.text("abc", max_size=6)


def levenshtein(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row, last = [i, *row[1:]], row
        for j, y in enumerate(b, 1):
            row[j] = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y))
    return row[-1]


@given(WORDS, st.lists(WORDS, min_size=1, max_size=5))
def test_edit_distance_is_levenshtein_by_the_own_length(word, others):
    environment = Tokens(tiny_model(), ["a"], max_tokens=6, min_tokens=0)
    states = environment.encode([word, *others])[:, environment.condition_size :]
    expected = [levenshtein(word, other) / max(len(word), 1) for other in others]
    assert edit_distance(states[0], states[1:]).tolist() == pytest.approx(expected)


def make(reward=len, **options):
    environment = Tokens(tiny_model(), ["a", "b"], max_tokens=8)
    checked = Checked(reward, temperature=Falling(4.0, 1.0, 10))
    checked.bind(environment)
    return TextBuffer(environment, checked, **options), environment


def texts(buffer, environment, prompt):
    heap = buffer.heap(environment.prompt_tokens[prompt].tolist())
    return [] if heap is None else environment.texts(heap.states)


def test_of_two_close_texts_the_better_stays():
    scores = {"aaaaaaaa": 1.0, "aaaaaaab": 2.0, "aaaaaabb": 3.0, "cccccccc": 0.0, "aaaabbbb": 2.5}
    buffer, environment = make(scores.get, distance=0.3)
    assert buffer.seed([("a", "aaaaaaaa"), ("a", "aaaaaaab"), ("a", "cccccccc")]) == {}
    assert texts(buffer, environment, 0) == ["aaaaaaab", "cccccccc"]
    buffer.seed([("a", "aaaaaaaa"), ("a", "aaaaaabb"), ("a", "aaaabbbb")])
    assert texts(buffer, environment, 0) == ["aaaaaabb", "cccccccc"]
    assert texts(buffer, environment, 1) == []


@pytest.mark.parametrize(("distance", "expected"), [(0.6, ["aaaa"]), (0.5, ["aaaa", "aaaaaaaa"])])
@pytest.mark.parametrize("order", [1, -1])
def test_the_distance_is_a_share_of_the_length_of_the_worse_text(distance, expected, order):
    buffer, environment = make({"aaaaaaaa": 1.0, "aaaa": 2.0}.get, distance=distance)
    for text in ["aaaaaaaa", "aaaa"][::order]:
        buffer.seed([("a", text)])
    assert texts(buffer, environment, 0) == expected


def test_rewards_are_kept_at_temperature_one():
    buffer, environment = make(distance=0.0, capacity=2)
    buffer.seed([(None, "ab"), (None, "abc"), (None, "a"), (None, "xyz")])
    heap = buffer.heap(environment.prompt_tokens[1].tolist())
    assert heap.log_reward.tolist() == [3.0, 2.0]
    with pytest.raises(ConfigError, match="not one of the prompts"):
        buffer.seed([("c", "a")])


def test_seeds_are_read_from_lists_and_from_json_lines(tmp_path):
    (tmp_path / "seeds.txt").write_text("ab\nabc\n")
    assert read_seeds(tmp_path / "seeds.txt") == [(None, "ab"), (None, "abc")]
    (tmp_path / "seeds.jsonl").write_text('{"prompt": "a", "text": "b"}\n\n{"text": "c"}\n')
    assert read_seeds(tmp_path / "seeds.jsonl") == [("a", "b"), (None, "c")]
    (tmp_path / "seeds.jsonl").write_text('{"text": "b\u2028c"}\r\n{"text": "c"}', encoding="utf-8")
    assert read_seeds(tmp_path / "seeds.jsonl") == [(None, "b\u2028c"), (None, "c")]
    (tmp_path / "bad.jsonl").write_text('{"text": "c"}\n["b"]\n')
    with pytest.raises(ConfigError, match="line 2"):
        read_seeds(tmp_path / "bad.jsonl")
