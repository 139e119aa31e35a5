import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_loop.language_models.calculator import calculate


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3 + 4", 7), ("3+4*2", 11), ("(3 + 4) x 2", 14), ("2 × 3 - 10", -4), ("-3 - -4", 1), ("((7))", 7),
        ("10 - 4 - 3", 3),
        ("0", 0), ("3 -(2-5)*2", 9), (" 1 ", 1),
    ],
)  # fmt: skip
def test_integer_expressions_have_their_value(text, value):
    assert calculate(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3 +",
        "(3",
        "3)",
        "3 4",
        "x",
        "1/2",
        "2**3",
        "__import__('os')",
        "1.5",
        "a+1",
        "٣ + 1",
        "9" * 200,
        "(" * 900,
        "1;2",
        "1\n+",
    ],
)
def test_anything_else_has_none(text):
    assert calculate(text) is None


@given(st.lists(st.tuples(st.sampled_from("+-*"), st.integers(0, 99)), min_size=1, max_size=8), st.integers(0, 2**32))
def test_expressions_agree_with_python(parts, seed):
    rng = random.Random(seed)
    text = str(rng.randint(0, 99))
    for operator, number in parts:
        text = f"({text}) {operator} {number}" if rng.random() < 0.3 else f"{text} {operator} {number}"
    assert calculate(text) == eval(text)


def test_nested_brackets_have_a_limit_that_does_not_depend_on_the_stack():
    def nested(n):
        return "(" * n + "-" * 300 + "7" + ")" * n

    def deep(frames, text):
        return calculate(text) if not frames else deep(frames - 1, text)

    assert calculate(nested(50)) == deep(500, nested(50)) == 7
    assert calculate(nested(51)) is None
