"""Every mistake in a config is refused in one line that names the file, the line, the key, the value and the remedy."""

import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from al_loop.campaign.building import build_oracle, oracle_identity
from al_loop.config import CampaignConfig, json_schema, load_config, parse_config
from al_loop.errors import ConfigError

ROOT = Path(__file__).parents[3]
SHIPPED = sorted((ROOT / "configs").glob("*.yaml"))
BASE = """\
name: words
seed: 1
environment: {kind: sequence, alphabet: ACGU, length: 6}
oracle:
  target: my_module_of_oracles:count
sampler:
  steps: 5
  pool: 32
rounds: {batch_size: 4, initial: 4}
constraints:
  - {kind: gc_content, min: 0.2}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my_module_of_oracles.py").write_text("def count(item: str) -> float:\n    return item.count('A')\n")
    return tmp_path


@pytest.fixture
def write(folder):
    def write(text=BASE, *replacements):
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = folder / "campaign.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refused(path, overrides=()):
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return str(caught.value)


def test_a_right_config_loads(write):
    config = load_config(write())
    assert config.name == "words"
    assert config.sampler.steps == 5
    assert config.environment.arguments == {"alphabet": "ACGU", "length": 6}


# ---- mistakes in the file ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("  steps: 5", "  stepps: 5", 7, ["sampler.stepps: unknown key", "did you mean 'steps'", "known here", "pool"]),
        ("seed: 1", "sead: 1", 2, ["sead: unknown key", "did you mean 'seed'"]),
        ("  steps: 5", "  steps: many", 7, ["sampler.steps", "'many'", "integer"]),
        ("  steps: 5", "  steps: 0", 7, ["sampler.steps", "0", "greater than or equal to 1"]),
        ("name: words\n", "", None, ["name: missing", "add it"]),
        ("name: words", "name: a b/c", 1, ["name", "'a b/c'"]),
        ("seed: 1", "goal: best", 2, ["goal", "'best'", "maximise", "minimise"]),
        ("length: 6}", "lenght: 6}", 3, ["environment.lenght: unknown key", "did you mean 'length'"]),
        ("length: 6}", "length: long}", 3, ["environment.length", "'long'", "integer"]),
        (", length: 6}", "}", 3, ["environment.length: missing"]),
        ("alphabet: ACGU", "alphabet: AAGU", 3, ["environment", "'AAGU'", "each letter once"]),
        (
            "kind: sequence",
            "kind: sequense",
            3,
            ["environment.kind", "'sequense'", "fragments", "hypergrid", "sequence"],
        ),
        ("kind: gc_content", "kind: nothing", 11, ["constraints.0.kind", "'nothing'", "gc_content", "qed"]),
        (", min: 0.2", "", 11, ["constraints.0", "'min', 'max' or both"]),
        ("min: 0.2", "min: 0.8, max: 0.3", 11, ["constraints.0", "min (0.8) is above max (0.3)"]),
        ("kind: sequence, ", "", 3, ["environment", "either 'kind'", "or 'target'"]),
        ("kind: sequence", "kind: sequence, target: a:b", 3, ["environment", "either 'kind'", "or 'target'"]),
        (
            "my_module_of_oracles:count",
            "my_missing_module:count",
            5,
            ["oracle.target", "cannot import", "beside the config"],
        ),
        ("oracles:count", "oracles:cuont", 5, ["oracle.target", "has no 'cuont'"]),
        ("my_module_of_oracles:count", "count", 5, ["oracle.target", "'count'", "package.module:Name"]),
        ("seed: 1", "surrogate: {kind: gp, x: 1}", 2, ["surrogate.x: unknown key"]),
        ("seed: 1", "features: {kind: morgan}", 2, ["features", "'morgan'", "molecules", "sequences"]),
        ("kind: gc_content, min: 0.2", "kind: qed, min: 0.2", 11, ["constraints.0", "'qed'", "molecules", "sequences"]),
        ("  pool: 32", "  pool: 2", 8, ["sampler.pool: 2", "rounds.batch_size (4)", "raise it"]),
        ("rounds: {batch_size: 4, initial: 4}", "rounds: 3", 9, ["rounds", "3"]),
    ],
)
def test_a_mistake_is_refused_where_it_stands(write, old, new, line, says):
    path = write(BASE, (old, new))
    message = refused(path)
    for words in says:
        assert words in message, message
    assert str(path) in message
    if line is not None:
        assert f"line {line})" in message, message


def test_rna_oracle_on_fragments_is_refused(write):
    pytest.importorskip("RNA")
    path = write("name: x\nenvironment: {kind: fragments}\noracle: {kind: rna}\n")
    message = refused(path)
    assert re.search(r"oracle: 'rna' works on sequences, but the environment 'fragments' makes molecules", message)
    assert f"({path}, line 3)" in message


def test_a_grid_without_features_is_refused(write):
    path = write("name: x\nenvironment: {kind: hypergrid}\noracle: {target: my_module_of_oracles:count}\n")
    message = refused(path)
    assert "features: missing" in message
    assert "morgan" in message


def test_a_module_that_raises_at_import_is_named(write, folder):
    (folder / "raising_module.py").write_text("raise RuntimeError('no licence')")
    message = refused(write(BASE, ("my_module_of_oracles", "raising_module")))
    assert "oracle.target" in message
    assert "RuntimeError: no licence" in message


def test_all_mistakes_are_told_at_once(write):
    message = refused(
        write(BASE, ("steps: 5", "stepps: 5"), ("seed: 1", "seed: x"), ("batch_size: 4", "batch_size: 0"))
    )
    assert len(message.splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: a\nseed: 1\nname: b\n", ["'name' stands twice", "line 3"]),
        ("name: a\nrounds: {count: 1,\n  count: 2}\n", ["'count' stands twice", "line 3"]),
        ("name: [a\nseed: 1\n", ["is not YAML", "line"]),
        ("name: a\n\tseed: 1\n", ["is not YAML", "line 2"]),
        ("- a\n- b\n", ["must be a mapping"]),
        ("", ["must be a mapping"]),
        ("just words", ["must be a mapping"]),
        ("? [a, b]\n: 1\n", ["campaign.yaml"]),
        ("1: 2\n", ["campaign.yaml"]),
        ("name: !!python/object:os.system x\n", ["is not YAML", "line 1"]),
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


# ---- overrides --------------------------------------------------------------------------------------------------


def test_overrides_change_nested_keys_and_list_items(write):
    config = load_config(
        write(),
        ["rounds.count=9", "constraints.0.min=0.3", "evaluation.workers=3", "name=other", "environment.alphabet=ACGT"],
    )
    assert (config.rounds.count, config.rounds.batch_size) == (9, 4)
    assert config.constraints[0].min == 0.3
    assert config.evaluation.workers == 3
    assert config.name == "other"
    assert config.environment.arguments["alphabet"] == "ACGT"


def test_an_override_may_be_a_whole_mapping(write):
    config = load_config(write(), ["acquisition={kind: ucb, kappa: 2.5}"])
    assert config.acquisition.arguments == {"kappa": 2.5}


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("rounds.count", "not of the form key=value"),
        ("=3", "not of the form key=value"),
        ("rounds..count=3", "not of the form key=value"),
        ("constraints.5.min=1", "no item 5"),
        ("constraints.1={kind: gc_content}", "no item 1"),
        ("seed.x=1", "'seed' holds 1"),
        ("rounds.count=[1", "not YAML"),
        ("constraints.min=1", "no item min"),
        ("constraints.x.min=1", "no item x"),
        ("0=1", "0"),
        ("rounds.0.x=1", "no item 0"),
    ],
)
def test_bad_overrides_are_named(write, override, says):
    message = refused(write(), [override])
    assert override in message
    assert says in message


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


# ---- what a campaign is -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "override",
    [
        "rounds.count=50",
        "evaluation={workers: 7, timeout_s: 3, attempts: 5}",
        "ledger='sqlite:///elsewhere.db'",
        "resources.sampler.num_gpus=1",
    ],
)
def test_length_and_place_are_not_the_identity(write, override):
    assert load_config(write(), [override]).fingerprint == load_config(write()).fingerprint


@pytest.mark.parametrize(
    "override",
    [
        "seed=2",
        "name=other",
        "goal=minimise",
        "environment.length=7",
        "oracle.n_calls=1",
        "constraints.0.min=0.25",
        "surrogate={kind: gp, kernel: hamming}",
        "acquisition.kappa=9",
        "selector={kind: greedy}",
        "reward.beta=3",
        "sampler.steps=6",
        "rounds.batch_size=5",
        "rounds.initial=5",
    ],
)
def test_all_else_is_the_identity(write, folder, override):
    (folder / "my_module_of_oracles.py").write_text("def count(item, n_calls=0):\n    return 1.0\n")
    path = write(BASE + "acquisition: {kind: ucb}\n")
    changed = CampaignConfig.model_validate(_with(yaml.safe_load(path.read_text()), override))
    assert changed.fingerprint != load_config(path).fingerprint


def _with(content, override):
    name, _, value = override.partition("=")
    *path, last = (int(p) if p.isdecimal() else p for p in name.split("."))
    target = content
    for key in path:
        target = target.setdefault(key, {}) if isinstance(target, dict) else target[key]
    target[last] = yaml.safe_load(value)
    return content


def test_the_order_of_keys_does_not_matter(write):
    first = load_config(write()).fingerprint
    lines = BASE.splitlines()
    assert load_config(write("\n".join([*lines[1:3], lines[0], *lines[3:]]))).fingerprint == first


# ---- shipped files and the schema -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_configs_load(path):
    if path.stem == "rna_binding":
        pytest.importorskip("RNA")
    assert load_config(path).name == path.stem


@pytest.fixture(scope="module")
def schema():
    return json_schema()


def test_the_schema_is_a_schema(schema):
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_the_schema_accepts_shipped_configs(schema, path):
    jsonschema.validate(yaml.safe_load(path.read_text()), schema)


@pytest.mark.parametrize(
    "change",
    [
        {"nmae": "x"},
        {"seed": "x"},
        {"sampler": {"steps": 0}},
        {"environment": {"kind": "nothing"}},
        {"environment": {"kind": "sequence", "alphabet": "AC", "lenght": 3}},
        {"constraints": [{"kind": "qed", "maximum": 3}]},
    ],
)
def test_the_schema_refuses_mistakes(schema, change):
    content = yaml.safe_load((ROOT / "configs" / "quickstart.yaml").read_text()) | change
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, schema)


def test_a_cache_tells_oracles_apart_by_all_that_changes_their_answers(tmp_path: Path) -> None:
    from importlib import metadata

    base = {"name": "x", "environment": {"kind": "sequence", "alphabet": "ACGU", "length": 4}}

    def identity(**oracle: object) -> str:
        config = parse_config({**base, "oracle": oracle})
        return oracle_identity(config, build_oracle(config))

    same = identity(kind="rna")
    assert same == identity(kind="rna")
    assert metadata.version("ViennaRNA") in same
    assert same != identity(kind="rna", score="energy")


def test_the_maximising_baseline_refuses_what_it_cannot_do(write):
    assert "sampler.searches: ppo" in refused(write(), ["sampler={kind: ppo, searches: [{kind: genetic}]}"])
    assert load_config(write(), ["sampler={kind: ppo}"]).fingerprint != load_config(write()).fingerprint
