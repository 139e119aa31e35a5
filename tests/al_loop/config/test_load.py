import pytest

from al_loop.config import load_config
from tests.support.configs import SHIPPED, refused


def test_a_right_config_loads(write):
    config = load_config(write())
    assert config.name == "words"
    assert config.sampler.steps == 5
    assert config.environment.arguments == {"alphabet": "ACGU", "length": 6}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: a\nseed: 1\nname: b\n", ["duplicate key 'name'", "line 3"]),
        ("name: a\nrounds: {count: 1,\n  count: 2}\n", ["duplicate key 'count'", "line 3"]),
        ("name: [a\nseed: 1\n", ["is not valid YAML", "line"]),
        ("name: a\n\tseed: 1\n", ["is not valid YAML", "line 2"]),
        ("name: a\nscaffold: [*]c1ccccc1\n", ["a text that contains * or &", "must be in quotes (line 2"]),
        ("- a\n- b\n", ["must be a mapping"]),
        ("", ["must be a mapping"]),
        ("just words", ["must be a mapping"]),
        ("? [a, b]\n: 1\n", ["campaign.yaml"]),
        ("1: 2\n", ["campaign.yaml"]),
        ("name: !!python/object:os.system x\n", ["is not valid YAML", "line 1"]),
        ("base: &b {seed: 1}\n<<: *b\nname: a\n", ["base"]),
    ],
)
def test_broken_files_are_refused(write, text, says):
    path = write(text)
    message = refused(path)
    assert str(path) in message
    for words in says:
        assert words in message, message


def test_unreadable_files_are_refused(tmp_path):
    assert "cannot read the config" in refused(tmp_path / "missing.yaml")
    assert "cannot read the config" in refused(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    assert "UTF-8" in refused(tmp_path / "binary.yaml")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_configs_load(path):
    if path.stem == "rna_binding":
        pytest.importorskip("RNA")
    assert load_config(path).name == path.stem
