import pytest

from tests.support.configs import refused


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("rounds.count=many", ["rounds.count", "'many'", "integer"]),
        ("sampler.stepps=3", ["sampler.stepps: unknown key", "did you mean 'steps'"]),
        ("environment.length=0", ["environment", "min_length"]),
        ("sampler.pool=2", ["sampler.pool: 2"]),
        ("environment.kind=sequense", ["'sequense'", "hypergrid"]),
    ],
)
def test_a_wrong_value_names_the_override_and_not_a_line(write, override, says):
    message = refused(write(), [override])
    for words in says:
        assert words in message, message
    assert f"{override!r} on the command line" in message


def test_a_whole_mapping_as_override_is_named_for_its_keys(write):
    message = refused(write(), ["sampler={stepps: 3}"])
    assert "from 'sampler={stepps: 3}' on the command line" in message
