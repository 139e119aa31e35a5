"""Configurations that would disclose a secret as a job, or lose their results with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from al_loop.actors.jobs.refusals import refuse_lost_files, refuse_lost_ledger, refuse_secrets
from al_loop.config import load_config
from al_loop.errors import ConfigError
from tests.support.jobs import SEQUENCE, Recorder, cluster_of, config_of_parts


@pytest.mark.parametrize(("ledger", "is_kept"), [(None, False), ("sqlite:////x.db", False), ("postgresql://h/d", True)])
def test_a_ledger_in_a_container_would_be_lost(ledger: str | None, is_kept: bool) -> None:
    config = config_of_parts().model_copy(update={"ledger": ledger})
    if is_kept:
        refuse_lost_ledger(config)
    else:
        with pytest.raises(ConfigError, match=r"--image: .*postgresql://"):
            refuse_lost_ledger(config)


@pytest.mark.parametrize(
    ("change", "is_kept"),
    [
        ("ledger: sqlite:///far.db", False),
        ("ledger: 'sqlite://'", False),
        ("ledger: 'sqlite:///file:far.db?uri=true'", False),
        ("ledger: sqlite:////shared/far.db", True),
        ("ledger: 'sqlite:///file:/shared/far.db?uri=true'", True),
        ("ledger: postgresql://host/db", True),
        ("checkpoints: checkpoints", False),
        ("checkpoints: file://checkpoints", False),
        ("checkpoints: file:///shared/checkpoints", True),
        ("checkpoints: /shared/checkpoints", True),
        ("checkpoints: s3://bucket/far", True),
        ("evaluation: {cache: cache.db}", False),
        ("evaluation: {cache: sqlite:///cache.db}", False),
        ("evaluation: {cache: /shared/cache.db}", True),
        ("evaluation: {cache: ~/cache.db}", True),
        ("evaluation: {cache: postgresql://host/db}", True),
        ("seed: 1", True),
    ],
)
def test_a_file_in_the_jobs_own_folder_would_be_lost(change: str, is_kept: bool, tmp_path: Path) -> None:
    (tmp_path / "far.yaml").write_text(f"{SEQUENCE}{change}\n")
    config = load_config(tmp_path / "far.yaml")
    cluster = cluster_of(Recorder())
    if is_kept:
        refuse_lost_files(tmp_path / "far.yaml")
    else:
        key = "evaluation.cache" if "cache" in change else change.partition(":")[0]
        with pytest.raises(ConfigError, match=rf"^{key}: .* no absolute path, .* e\.g\. .*/shared/"):
            cluster.submit(tmp_path / "far.yaml", config, (), Path("/shared/far"))
        assert not cluster._client.entrypoint


@pytest.mark.parametrize(
    ("more", "overrides", "where"),
    [
        ("ledger: postgresql://me:hunter2@host/db\n", (), r"far.yaml, line 4"),
        ("ledger: postgresql+psycopg://me:hun/ter2@host/db\n", (), r"far.yaml, line 4"),
        ("ledger: postgresql://host/db?password=hunter2\n", (), r"far.yaml, line 4"),
        ("evaluation: {cache: 'postgresql://me:hunter2@host/db'}\n", (), r"far.yaml, line 4"),
        ("# ledger: postgresql://me:hunter2@host/db\n", (), r"far.yaml, line 4"),
        ("", ("ledger=postgresql://me:hunter2@host/db",), "ledger on the command line"),
        ("ledger: 'postgresql://me:hun<ter2@host/db'\n", (), r"far.yaml, line 4"),
        ('ledger: "postgresql://me:hun\'ter2@host/db"\n', (), r"far.yaml, line 4"),
        ("ledger: 'postgresql://me:hun\"ter2@host/db'\n", (), r"far.yaml, line 4"),
        ("ledger: 'postgresql://me:hun ter2@host/db'\n", (), r"far.yaml, ledger"),
        ("ledger: 'postgresql://me:hun ter2@host/db'\n", ("ledger=null",), r"far.yaml, ledger"),
        ("ledger: >-\n  postgresql://me:hun\n  ter2@host/db\n", (), r"far.yaml, ledger"),
        ("evaluation: {cache: 'postgresql://me:hun ter2@host/db'}\n", (), r"far.yaml, evaluation.cache"),
        ("", ("ledger=postgresql://me:hun ter2@host/db",), "ledger on the command line"),
        ("", ("evaluation={cache: 'postgresql://me:hun ter2@host/db'}",), "evaluation.cache"),
    ],
)
def test_a_password_in_a_url_is_refused(more: str, overrides: tuple[str, ...], where: str, tmp_path: Path) -> None:
    (tmp_path / "far.yaml").write_text(SEQUENCE + more)
    config = load_config(tmp_path / "far.yaml", overrides)
    with pytest.raises(ConfigError, match=f"{where}.*PGPASSWORD") as caught:
        refuse_secrets(tmp_path / "far.yaml", config, overrides)
    assert "ter2" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("url", ["postgresql://me@host:5432/db", "sqlite:////shared/a:b@c.db", "postgresql:///db"])
def test_a_url_without_a_password_is_taken(url: str, tmp_path: Path) -> None:
    (tmp_path / "far.yaml").write_text(f"{SEQUENCE}ledger: {url}\n# see http://host:8265/a@b, s3://bucket/a\n")
    refuse_secrets(tmp_path / "far.yaml", load_config(tmp_path / "far.yaml"), ())
