import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_loop.language_models.calculator import Calculator, calculate
from al_loop.language_models.tokenizers import ListedTokens


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


LETTERS = ListedTokens(["<s>", "</s>", *string.printable, "×"], start="<s>", end="</s>")


def written_after(text):
    """Return what the calculator writes after a text that ends with an equality sign."""
    calculator = Calculator(LETTERS, range(2, LETTERS.size))
    tokens = LETTERS.encode(text[-1:])
    while (token := calculator.next_token(LETTERS.encode(text[:-1]), tokens)) is not None:
        tokens.append(token)
    return LETTERS.decode(tokens[1:])


@pytest.mark.parametrize(
    "text",
    [
        "3.5 + 1 =", "10/2+3 =", "10 / 5 - 1 =", "2^3 + 1 =", "2 ^ 3 + 1 =", "1,000 + 1 =", "1 000 + 1 =", "x + 3 =",
        "a - 3 =", "5!+2=", "5! - 2=", "3\n+4=", "3\n-4=", "f(3 + 4)=", "f(1) 3 =", "a3 + 4=", "2 x 3.5 - 1 =",
        "$3 + 4 =", "x 3 =", "2x 3 + y x 4 =", "10 : 5 - 1 =", "12:5 - 1 =", "3,5 + 1 =", "x = 3,5 + 1 =", "* 3 =",
        "10 /\n5 - 1 =", "1+1=3,4-1=", "3 + 4)=", "=", " =", "1+1==", "7%3 + 1 =", "3. - 1 =",
    ],
)  # fmt: skip
def test_nothing_is_written_after_the_rest_of_a_longer_expression(text):
    assert written_after(text) == ""


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("3 + 4 =", " 7"), ("3+4=", "7"), ("1) 3 + 4 =", " 7"), ("(b) 3 + 4 =", " 7"), ("1. 3 + 4 =", " 7"),
        ("sum: -3 + 5 =", " 2"), ("What is (3 + 4) x 2 =", " 14"), ("1 + 1 = 2\n2 + 3 =", " 5"), ("2+3 = 5 =", " 5"),
        ("7 + 1\n3 + 4 =", " 7"), ("3+4=7,7-2=", "5"), ("2+3=5,5-4=1,1+1=", "2"), ("3+4=7, 7-2=", "5"),
        ("<<3*4=", "12"), ("+1+1=", "2"), ("is the max 3 + 4 =", " 7"), ("9. 3 + (4 - 5)=", "2"),
    ],
)  # fmt: skip
def test_the_value_of_a_whole_expression_is_written(text, written):
    assert written_after(text) == written
