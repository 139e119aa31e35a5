"""Files that came with answers."""

from pathlib import Path

from al_loop.oracles.base import Outcome
from al_loop.storage.artifacts import ArtifactFolder


def test_artifacts_are_written_whole_below_their_candidate(tmp_path: Path) -> None:
    folder = ArtifactFolder(tmp_path / "artifacts")
    kept = folder.save(7, Outcome((1.0,), artifacts={"a.txt": b"one", "b": b""}))
    assert {p.name: p.read_bytes() for p in folder.folder_of(7).iterdir()} == {"a.txt": b"one", "b": b""}
    assert set(kept.artifacts) == {"a.txt", "b"}


def test_an_artifact_that_cannot_be_written_costs_no_value(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("a file where the folder should be")
    kept = ArtifactFolder(tmp_path / "artifacts").save(7, Outcome((1.0,), artifacts={"a.txt": b"one"}))
    assert (kept.values, dict(kept.artifacts)) == ((1.0,), {})
    assert "a.txt" in str(kept.info["artifacts_lost"])
