import pytest

from al_loop.config.locations import Locations, read_yaml
from tests.support.configs import refused


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("rounds.count=many", ["rounds.count", "'many'", "integer"]),
        ("sampler.stepps=3", ["sampler.stepps: unknown key", "did you mean 'steps'"]),
        ("environment.length=0", ["environment.length", "at least 1, got 0"]),
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


TEXT = """\
name: words
oracle:
  kind: table
  values: [a, b]
constraints:
  - {kind: qed,
     min: 0.5}
"""


def test_one_parse_gives_values_and_the_line_of_every_key_and_item():
    content, lines = read_yaml(TEXT)
    assert content["constraints"] == [{"kind": "qed", "min": 0.5}]
    assert lines[("name",)] == 1
    assert lines[("oracle", "values")] == lines[("oracle", "values", 1)] == 4
    assert lines[("constraints", 0)] == lines[("constraints", 0, "kind")] == 6
    assert lines[("constraints", 0, "min")] == 7


def test_an_empty_text_has_no_value():
    assert read_yaml("# nothing\n") == (None, {})


def test_a_list_that_contains_itself_is_refused():
    with pytest.raises(ValueError, match=r"an alias refers to itself \(line 1, column 4\)"):
        read_yaml("a: &a\n- *a\n- 1\n")


@pytest.mark.parametrize("text", ["a: 1\na: 2", "[1", "\x00", "a: !!python/object:os.system x"])
def test_what_is_no_yaml_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match=r"\w") as caught:
        read_yaml(text)
    assert len(str(caught.value).splitlines()) == 1


def test_a_key_without_a_line_is_described_by_the_nearest_key_around_it():
    locations = Locations("a.yaml", {("oracle",): 2}, {("oracle", "n"): "oracle.n=3", ("seed",): "seed=x"})
    assert locations.describe(("oracle", "missing", 0)) == "(a.yaml, line 2)"
    assert locations.describe(("oracle",)) == "(a.yaml, line 2, with 'oracle.n=3' on the command line)"
    assert locations.describe(("oracle", "n", "deeper")) == "(from 'oracle.n=3' on the command line)"
    assert locations.describe(("name",)) == "(a.yaml)"
