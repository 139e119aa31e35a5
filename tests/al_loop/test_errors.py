import pytest
import sqlalchemy.exc

from al_loop.errors import not_one_of, summary


def test_the_first_line_of_the_message_is_the_summary():
    assert summary(ValueError("  no such file\nand a page of details")) == "no such file"
    assert summary("already text\nsecond line") == "already text"


def test_an_error_without_a_message_is_named_by_its_type():
    assert summary(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_an_error_of_sqlalchemy_is_that_of_its_driver():
    error = sqlalchemy.exc.OperationalError("SELECT 1", {}, RuntimeError("disk full\nmore"))
    assert summary(error) == "disk full"


def test_a_summary_is_bounded():
    assert len(summary("x" * 1000)) == 300
    assert summary("x" * 1000, max_length=5) == "xxxxx"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("gpp", "'gpp' is not one of gp, deep_kernel; did you mean 'gp'?"),
        ("Deep_Kernal", "'Deep_Kernal' is not one of gp, deep_kernel; did you mean 'deep_kernel'?"),
        ("forest", "'forest' is not one of gp, deep_kernel"),
    ],
)
def test_an_unknown_name_is_followed_by_the_nearest_valid_one(value, says):
    assert not_one_of(value, ["gp", "deep_kernel"]) == says
