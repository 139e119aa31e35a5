import os
from pathlib import Path

import pytest

from al_loop import Campaign, open_run
from al_loop.campaign import provenance
from al_loop.campaign.building import build_oracle, oracle_identity
from al_loop.campaign.provenance import module_files, origins
from al_loop.config import load_config, parse_config
from al_loop.errors import ConfigError
from tests.support.project import Notes, Project, enter_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return enter_project(tmp_path, monkeypatch)


def test_a_rewritten_oracle_is_refused_until_the_change_is_accepted(project: Project) -> None:
    project.run("rounds.count=0")
    project.set_oracle("def measure(word):\n    return 100.0 * word.count('G')\n")
    with pytest.raises(ConfigError, match=r"changed since the last start.*--accept-change REASON") as caught:
        project.run("rounds.count=1")
    assert f"oracle: {project.module}.py" in str(caught.value)
    config = load_config(project.config, ["rounds.count=1"])
    with Campaign(config, project / "run", reporter=Notes(), accept_change="only the unit test knows"):
        pass
    with open_run(project / "run") as run:
        row = run.changes[run.changes["kind"] == "oracle"].iloc[0]
    assert (row["round"], row["reason"]) == (1, "only the unit test knows")
    project.run("rounds.count=1")  # accepted once is enough


def test_another_version_of_a_library_is_said_and_recorded(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.run("rounds.count=0")
    real = provenance.versions()
    monkeypatch.setattr(provenance, "versions", lambda: {**real, "rdkit": "1999.1"})
    notes = project.run("rounds.count=1")
    assert any("changed since the last start: rdkit" in note and "-> 1999.1" in note for note in notes.notes)
    with open_run(project / "run") as run:
        assert "rdkit" in {*run.changes["key"]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with an oracle that imports a package and a module beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "helped_oracle.py").write_text(
        "import json\nfrom helper_of_oracle import scale\nfrom parts_of_oracle import deep\n"
        "def f(word):\n    return scale\n"
    )
    (tmp_path / "helper_of_oracle.py").write_text("import deeper_of_oracle\nscale = 1.0\n")
    (tmp_path / "deeper_of_oracle.py").write_text("")
    (tmp_path / "parts_of_oracle").mkdir()
    (tmp_path / "parts_of_oracle" / "__init__.py").write_text("")
    (tmp_path / "parts_of_oracle" / "deep.py").write_text("import numpy\n")
    (tmp_path / "unrelated.py").write_text("")
    return tmp_path


def test_a_module_depends_on_the_modules_beside_it_that_it_imports(folder: Path) -> None:
    names = {str(path.relative_to(folder)) for path in module_files("helped_oracle")}
    assert names == {
        "helped_oracle.py",
        "helper_of_oracle.py",
        "deeper_of_oracle.py",
        "parts_of_oracle/__init__.py",
        "parts_of_oracle/deep.py",
    }
    assert module_files("json") == module_files("al_loop.oracles.table") == module_files("no_such_module") == []


def _config(**oracle: object) -> dict[str, object]:
    return {"name": "x", "environment": {"kind": "sequence", "alphabet": "ACGU", "length": 4}, "oracle": oracle}


def test_the_key_of_the_cache_depends_on_a_helper_module(folder: Path) -> None:
    config = parse_config(_config(target="helped_oracle:f"))
    before = oracle_identity(config, build_oracle(config))
    (folder / "helper_of_oracle.py").write_text("import deeper_of_oracle\nscale = 2.0\n")
    assert oracle_identity(config, build_oracle(config)) != before


@pytest.mark.parametrize("changed", ["score.sh", "weights.dat"])
def test_a_programs_script_and_its_files_belong_to_the_oracle(folder: Path, changed: str) -> None:
    for name in ("score.sh", "weights.dat"):
        (folder / name).write_text("one")
    config = parse_config(_config(kind="command", command=["sh", "{here}/score.sh", str(folder / "weights.dat")]))
    before = origins(config, build_oracle(config))
    assert {"oracle: score.sh", "oracle: weights.dat", "program: sh"} <= {*before}
    (folder / changed).write_text("two!")
    os.utime(folder / changed, (1, 1))
    after = origins(config, build_oracle(config))
    assert [key for key in after if after[key] != before[key]] == [f"oracle: {changed}"]


def test_a_pool_and_a_table_are_compared_by_their_content(folder: Path) -> None:
    (folder / "pool.csv").write_text("smiles,v\nCC,1\nCO,2\n")
    content = {"name": "x", "environment": {"kind": "pool", "file": "pool.csv"}}
    config = parse_config({**content, "oracle": {"kind": "table", "file": "pool.csv"}})
    before = origins(config, build_oracle(config))
    (folder / "pool.csv").write_text("smiles,v\nCC,1\nCO,3\nCN,4\n")
    after = origins(config, build_oracle(config))
    assert {key for key in after if after[key] != before[key]} == {
        "environment: pool.csv",
        "oracle: pool.csv",
        "oracle: version",
    }


def test_files_that_the_oracle_writes_are_no_change_of_it(project: Project) -> None:
    """A log by its name, and an account by the time at which it was written."""
    (project / "account").write_text("0")
    project.set_oracle(
        "from pathlib import Path\n"
        "def measure(word, protocol, account):\n"
        "    with open(protocol, 'a') as file:\n        file.write(word)\n"
        "    Path(account).write_text(word)\n"
        "    return word.count('G')\n"
    )
    files = [f"oracle.protocol={project / 'calls.log'}", f"oracle.account={project / 'account'}"]
    project.run("rounds.count=0", *files)
    project.run("rounds.count=1", *files)
    with open_run(project / "run") as run:
        assert not run.changes["key"].str.startswith("oracle").any()
    later = (project / "account").stat().st_mtime + 3600
    os.utime(project / "account", (later, later))
    (project / "account").write_text("edited")
    os.utime(project / "account", (later, later))
    with pytest.raises(ConfigError, match="oracle: account changed since the last start"):
        project.run("rounds.count=2", *files)
