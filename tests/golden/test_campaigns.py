"""A config and a seed give exactly the same batches as at commit 9dda6e4; see make.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.golden import golden

pytestmark = pytest.mark.slow


def test_every_campaign_has_its_expectation() -> None:
    assert sorted(path.stem for path in golden.EXPECTED.glob("*.json")) == golden.NAMES
    assert len(golden.NAMES) >= 6


@pytest.mark.parametrize("name", golden.NAMES)
def test_a_campaign_gives_the_expected_batches(name: str, finished: Callable[[str], Path]) -> None:
    assert golden.batches(finished(name) / "ledger.db") == (golden.EXPECTED / f"{name}.json").read_text()


def test_a_campaign_gives_the_expected_batches_on_ray(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    golden.copy_campaigns(tmp_path)
    arguments = ("run", "weights.yaml", "--run-dir", "run", "--quiet")
    done = golden.run_on_ray(*arguments, folder=tmp_path, home=tmp_path_factory.mktemp("home"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert golden.batches(tmp_path / "run/ledger.db") == (golden.EXPECTED / "weights.json").read_text()


@pytest.mark.parametrize(
    "option", ["reward.decode=never", pytest.param("resources.decoders=2", marks=pytest.mark.slow)]
)
def test_molecules_that_others_or_none_decode_give_the_expected_batches(option: str, tmp_path: Path) -> None:
    folder = golden.copy_campaigns(tmp_path)
    done = golden.run("run", "molecules.yaml", option, "--run-dir", "run", "--quiet", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert golden.batches(folder / "run/ledger.db") == (golden.EXPECTED / "molecules.json").read_text()
