"""Fixtures of campaigns that are placed on this machine or on Ray."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from al_loop.config import CampaignConfig
from tests.support.placed import placed_config, ray_cluster_in


@pytest.fixture
def placed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CampaignConfig:
    """A campaign in the test's folder, which is the working directory."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    return placed_config(tmp_path)


@pytest.fixture(scope="module")
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Ray on this machine, with a home of its own."""
    with ray_cluster_in(tmp_path_factory.mktemp("home")):
        yield
