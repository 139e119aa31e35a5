"""The combinations of settings that a sweep runs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from al_loop.actors.sweeps.plan import name_of, plan
from al_loop.errors import ConfigError
from tests.support.sweeps import sweep_folder

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's folder, which is the working directory."""
    with sweep_folder(tmp_path_factory.mktemp("sweep")) as folder:
        yield folder


def test_lists_are_swept_over_and_everything_else_holds_for_all(folder: Path) -> None:
    found = plan(Path("swept.yaml"), ["acquisition.kind=[ucb,log_ei]", "rounds.count=4", "oracle.weight=[1.0e-3]"])
    assert [c.name for c in found] == [
        "acquisition.kind=ucb,oracle.weight=0.001",
        "acquisition.kind=log_ei,oracle.weight=0.001",
    ]
    assert [c.config.acquisition.kind for c in found] == ["ucb", "log_ei"]
    assert {(c.config.rounds.count, c.config.oracle.arguments["weight"]) for c in found} == {(4, 0.001)}


def test_a_setting_that_is_a_list_takes_a_list_of_lists(folder: Path) -> None:
    plain, bounded = plan(Path("swept.yaml"), ["constraints=[[],[{kind: gc_content, max: 0.5}]]"])
    assert plain.config.constraints == ()
    assert bounded.config.constraints[0].max == 0.5
    assert bounded.name.startswith("constraints=-kind-gc_content,-max-0.5-")


def test_samples_are_seeds_from_the_configs_own_up(folder: Path) -> None:
    found = plan(Path("swept.yaml"), ["acquisition.kind=[ucb,log_ei]"], samples=2)
    assert [c.config.seed for c in found] == [3, 4, 3, 4]
    with pytest.raises(ConfigError, match="swept over already"):
        plan(Path("swept.yaml"), ["seed=[0]"], samples=2)


def test_names_that_a_folder_cannot_have_stay_apart() -> None:
    names = [name_of({"oracle.file": value}) for value in ("a/b", "a b", "a-b", "x" * 300, "x" * 301)]
    assert len(set(names)) == 5
    assert names[2] == "oracle.file=a-b"
    assert all("/" not in name and len(name) < 140 for name in names)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["rounds.count=3"], "nothing is swept over"),
        (["seed=[]"], "there is no value in the list"),
        (["seed=[0,1,0]"], "0 is in the list twice"),
        (["seed=[0]", "seed=[1]"], "swept over twice"),
        (["oracle.tag=['1',1]"], "oracle.tag=1: two combinations would share this folder, {'oracle.tag': '1'} and"),
        (["oracle.tag=['true',true]"], "oracle.tag=true: two combinations would share this folder"),
        (["seed=[0,1]", "ledger=sqlite:///one.db"], "seed=1: ledger: it would be shared with seed=0"),
        (["seed=[0,1]", "sampler.device=cuda:1"], "numbers them from 0, so there may be no cuda:1; set it to cuda"),
        (["seed=[0,1]", "rounds.review=true"], "a sweep cannot wait for people"),
        (["seed=[0,1]", "oracle={kind: human, objectives: [{name: x}]}"], "people answer it"),
    ],
)
def test_what_cannot_be_swept_is_refused(folder: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(Path("swept.yaml"), overrides)


def test_the_guides_sweep_is_a_valid_one(monkeypatch: pytest.MonkeyPatch) -> None:
    guide = (ROOT / "docs" / "on_a_cluster.md").read_text(encoding="utf-8")
    (line,) = [line for line in guide.splitlines() if line.startswith("al-loop sweep ")]
    _, _, config, *overrides = shlex.split(line, comments=True)
    monkeypatch.chdir(ROOT)
    assert len(plan(Path(config), overrides)) == 6
