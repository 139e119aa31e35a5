"""The package of a job, and what is refused before it is uploaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from al_loop.actors.jobs.package import pack, targets
from al_loop.config import CampaignConfig
from al_loop.errors import ConfigError
from tests.support.jobs import CONFIG, campaign, campaign_of, config_of_parts, write


@pytest.fixture
def config() -> CampaignConfig:
    return config_of_parts()


def test_modules_of_parts_of_every_section_travel(
    config: CampaignConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {target.split(":")[0] for target in targets(config)} == {
        "own_oracle",
        "own_features",
        "own_policy",
        "own_search",
        "own_property",
    }
    folder, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    for place, name in ((folder, "own_oracle"), (elsewhere, "own_features"), (elsewhere, "own_policy")):
        place.mkdir(exist_ok=True)
        (place / f"{name}.py").write_text("")
    (elsewhere / "own_search").mkdir()
    (elsewhere / "own_search" / "__init__.py").write_text("")
    for place in (folder, elsewhere):
        monkeypatch.syspath_prepend(str(place))
    (folder / "far.yaml").write_text(CONFIG)
    found = pack(folder / "far.yaml", config).modules
    assert found == (elsewhere / "own_features.py", elsewhere / "own_policy.py", elsewhere / "own_search")


@pytest.mark.parametrize("place", [Path.home(), Path("/")])
def test_a_home_directory_does_not_travel(place: Path, config: CampaignConfig) -> None:
    with pytest.raises(ConfigError, match=r"far\.yaml: .*a folder of its own"):
        pack(place.resolve() / "far.yaml", config)


def test_more_than_ray_takes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder := tmp_path / "work").mkdir()
    (tmp_path / "outside").mkdir()
    (folder / "link").symlink_to(tmp_path / "outside")
    write(folder, "data/a.bin", "data/b.bin", "link/c.bin", size=30 * 2**20)
    write(folder, "d.bin", size=10 * 2**20 - 2000)
    assert pack(*campaign(folder)).left_behind == ()
    write(folder, "e.bin", size=2000)
    with pytest.raises(
        ConfigError, match=r"work .*takes 100\.0 MB.*data/ \(60\.0 MB\), link/ \(30\.0 MB\), d\.bin .*\.gitignore"
    ):
        pack(*campaign(folder))
    write(tmp_path / "other", "vast/__init__.py")
    write(tmp_path / "other", "vast/weights.bin", size=101 * 2**20)
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    (tmp_path / "small").mkdir()
    with pytest.raises(ConfigError, match=r"other/vast .*weights\.bin \(101\.0 MB\)"):
        pack(*campaign_of(tmp_path / "small", "vast:Score"))


def test_a_package_below_src_travels_as_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "work"
    write(folder, "src/below/__init__.py", "src/below/score.py", "beside/__init__.py", "lib/alone.py", size=0)
    for place in (folder / "src", folder / "lib", folder):
        monkeypatch.syspath_prepend(str(place))
    for target, modules in (
        ("below.score:Score", (folder / "src" / "below",)),
        ("beside:Score", ()),
        ("alone:Score", (folder / "lib" / "alone.py",)),
    ):
        package = pack(*campaign_of(folder, target))
        assert package.modules == modules
    (linked,) = package.link_modules(tmp_path)
    assert (linked.name, [path.name for path in linked.iterdir()]) == ("alone", ["__init__.py"])


@pytest.mark.parametrize(
    ("ignored", "target", "said"),
    [
        ("*.yaml", "operator:length_hint", r"work/far\.yaml .*work/\.gitignore lists it"),
        ("*_mine.py", "score_mine:Score", r"work/score_mine\.py .*\.gitignore lists it"),
        ("deep/", "deep.er.score:Score", r"work/deep/__init__\.py .*\.gitignore lists it"),
        ("score.py", "deep.er.score:Score", r"work/deep/er/score\.py .*\.gitignore lists it"),
        ("", "runs.score:Score", r"work/runs/score\.py .*of this name never travel"),
        ("/src/", "below.score:Score", None),
        ("score.py", "below.score:Score", None),
    ],
)
def test_what_the_job_needs_is_not_left_behind(
    ignored: str, target: str, said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder below src, optionally with its own ignore file."""
    folder = tmp_path / "work"
    write(
        folder, "score_mine.py", "deep/__init__.py", "deep/er/score.py", "runs/score.py", "src/below/score.py", size=0
    )
    (folder / ".gitignore").write_text(f"{ignored}\n")
    for place in (folder / "src", folder):
        monkeypatch.syspath_prepend(str(place))
    if said is None:
        assert pack(*campaign_of(folder, target)).modules == (folder / "src" / "below",)
        (folder / "src" / "below" / ".gitignore").write_text(f"{ignored}\nscore.py\n")
        said = r"src/below/score\.py .*src/below/\.gitignore lists it"
    with pytest.raises(ConfigError, match=said):
        pack(*campaign_of(folder, target))


@pytest.mark.parametrize(
    ("name", "is_taken"),
    [
        ("queue.py", False),
        ("email/__init__.py", False),
        ("queue.csv", True),
        ("email/inbox.py", True),
        ("data/queue.py", True),
        ("own_queue.py", True),
        ("test.py", True),
    ],
)
def test_a_name_of_the_standard_library_is_refused(name: str, is_taken: bool, tmp_path: Path) -> None:
    write(folder := tmp_path / "work", name, size=0)
    if is_taken:
        pack(*campaign(folder))
    else:
        with pytest.raises(ConfigError, match=rf"work/{name.partition('/')[0]} has the name .*rename it"):
            pack(*campaign(folder))
