import pytest

from al_loop.config.locations import read_yaml
from al_loop.config.scalars import MisreadError, read_scalar

NUMBER, TEXT, BOOL, ANY = {"number"}, {"text"}, {"bool"}, {"any"}


@pytest.mark.parametrize(
    ("text", "types", "value"),
    [
        ("1e-3", NUMBER, 0.001),
        ("1E5", NUMBER, 1e5),
        ("-2e+1", ANY, -20.0),
        ("1e-3", TEXT, "1e-3"),
        ("1e-3", {"number", "text"}, 0.001),
        ("0x1F", NUMBER, 31),
        ("1_000", NUMBER, 1000),
        ("yes", BOOL, True),
        ("Off", BOOL, False),
        ("true", BOOL, True),
        ("2024-01-01", TEXT, "2024-01-01"),
        ("2024-01-01", ANY, "2024-01-01"),
        ("2,5", TEXT, "2,5"),
        ("~", {"number", "none"}, None),
        ("nan", TEXT, "nan"),
        ("'010'", TEXT, "010"),
        ("!!str 1:30", TEXT, "1:30"),
        ("0", NUMBER, 0),
        ("0.5", NUMBER, 0.5),
        ("y", TEXT, "y"),
    ],
)
def test_the_type_of_the_key_decides_what_a_scalar_means(text, types, value):
    result = read_scalar(read_yaml(text)[0], types)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize("types", [NUMBER, TEXT, ANY], ids=lambda types: next(iter(types)))
@pytest.mark.parametrize("text", ["010", "-07", "0o17", "1:30", "1:30:00", "-1:30.5", "yes", "NO", "on", "Off"])
def test_booleans_octals_and_base_60_are_refused_for_numbers_and_texts(text, types):
    with pytest.raises(MisreadError, match="write it in quotes"):
        read_scalar(read_yaml(text)[0], types)


@pytest.mark.parametrize(
    ("text", "types", "says"),
    [
        ("true", NUMBER, "true is a boolean, and a number is expected"),
        ("false", TEXT, 'write it in quotes if it is a text: "false"'),
        ("010", NUMBER, "octal number 8, because of the leading zero; write 10 if"),
        ("1:30", NUMBER, "base 60, 90"),
        ("2,5", NUMBER, r"write a decimal point \(2.5\)"),
        ("2024-01-01", NUMBER, "is a date"),
        ("0x1F", TEXT, "the number 31; write it in quotes"),
        ("5", TEXT, "5 is a number, and a text is expected; write it in quotes"),
        ("~", TEXT, "null .* means no value"),
        (".nan", NUMBER, "not a number"),
    ],
)
def test_what_could_be_taken_for_another_value_is_refused_with_the_remedy(text, types, says):
    with pytest.raises(MisreadError, match=says):
        read_scalar(read_yaml(text)[0], types)


def test_keys_are_texts_whatever_yaml_takes_them_for():
    assert read_yaml("{on: 1, NO: 2, 1:30: 3, 2024-01-01: 4, 5: 6}")[0] == {
        "on": 1,
        "NO": 2,
        "1:30": 3,
        "2024-01-01": 4,
        5: 6,
    }
