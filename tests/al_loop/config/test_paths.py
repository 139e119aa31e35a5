from pathlib import Path

import pytest

from al_loop.config import load_config
from al_loop.config.paths import located, with_folder

CONFIG = """
name: t
environment: {kind: pool, file: pool.csv}
oracle: {kind: command, command: [./run.sh, "{here}/score.py", --fast]}
evaluation: {cache: cache.db}
checkpoints: saved
ledger: sqlite:///ledger.db
sinks: [{kind: jsonl, path: metrics.jsonl}]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "pool.csv").write_text("smiles\nCC\nCO\n")
    (tmp_path / "configs" / "campaign.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paths_of(config):
    return [
        config.environment.arguments["file"],
        *config.oracle.arguments["command"],
        config.evaluation.cache,
        config.checkpoints,
        config.ledger.removeprefix("sqlite:///"),
        config.sinks[0].arguments["path"],
    ]


def test_relative_paths_and_here_mean_the_folder_of_the_config(project):
    assert paths_of(load_config("configs/campaign.yaml")) == [
        "configs/pool.csv",
        "configs/run.sh",
        "{here}/configs/score.py",
        "--fast",
        "configs/cache.db",
        "configs/saved",
        "configs/ledger.db",
        "configs/metrics.jsonl",
    ]


def test_relative_paths_are_found_from_a_folder_beside_the_configs(project, monkeypatch):
    (project / "elsewhere").mkdir()
    monkeypatch.chdir(project / "elsewhere")
    folder = str(project / "configs")
    assert paths_of(load_config("../configs/campaign.yaml"))[:4] == [
        f"{folder}/pool.csv",
        f"{folder}/run.sh",
        f"{folder}/score.py",
        "--fast",
    ]


def test_a_path_typed_in_a_shell_is_relative_to_the_working_directory(project):
    (project / "other.csv").write_text("smiles\nCC\n")
    config = load_config("configs/campaign.yaml", ["environment.file=other.csv"])
    assert config.environment.arguments["file"] == "other.csv"


@pytest.mark.parametrize("text", ["/data/a.csv", "s3://bucket/a", "postgresql://h/d", "tfbind8", "sqlite:////a.db", ""])
def test_what_is_no_relative_path_is_left_as_written(text, tmp_path):
    assert located(text, tmp_path, may_be_name=True) == text


def test_a_file_that_is_only_in_the_working_directory_is_still_found(project):
    (project / "old.csv").write_text("x")
    assert located("old.csv", project / "configs") == "old.csv"
    (project / "configs" / "old.csv").write_text("x")
    assert located("old.csv", project / "configs") == "configs/old.csv"


def test_here_is_the_working_directory_when_the_config_is_there(project):
    assert with_folder("{here}/a", Path.cwd()) == "{here}/a"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("seeds", "seeds: {}"),
        ("environment.prompts", "environment: {{kind: tokens, model: annalog, max_tokens: 9, prompts: {}}}"),
    ],
)
def test_where_a_file_or_a_list_is_expected_only_the_file_is_a_path(project, key, text):
    def read(value):
        path = project / "configs" / "list.yaml"
        content = CONFIG.replace("environment: {kind: pool, file: pool.csv}", "") + text.format(value)
        path.write_text(content + ("" if "environment" in text else "\nenvironment: fragments"))
        config = load_config("configs/list.yaml")
        return config.seeds if key == "seeds" else config.environment.arguments["prompts"]

    assert list(read("[CCO, CC(=O)Nc1ccccc1]")) == ["CCO", "CC(=O)Nc1ccccc1"]
    assert read("pool.csv") == "configs/pool.csv"
