"""Files that the oracle returned with its answers, such as poses, spectra and logs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from al_loop.oracles.base import Outcome
from al_loop.storage.files import write_whole
from al_loop.system.private_files import make_private_folder


class ArtifactFolder:
    """The folder of the files that the oracle returned with its answers: ``<folder>/<candidate>/<name>``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def folder_of(self, candidate_id: int) -> Path:
        """Return the folder of a candidate's files."""
        return self.folder / f"{candidate_id:06d}"

    def save(self, candidate_id: int, outcome: Outcome) -> Outcome:
        """Write the files of an outcome; a failed write never affects the measured values.

        Args:
            candidate_id: the candidate.
            outcome: its outcome, with the content of each artifact as bytes.

        Returns:
            The outcome with the artifacts that were written; ``info["artifacts_lost"]`` names the others.
        """
        saved: dict[str, bytes | str | Path] = {}
        lost = []
        for name, content in outcome.artifacts.items():
            assert isinstance(content, bytes)
            try:
                make_private_folder(self.folder_of(candidate_id))
                write_whole(self.folder_of(candidate_id) / name, content)
                saved[name] = content
            except OSError as error:
                lost.append(f"{name}: {error.strerror or error}")
        info = {**outcome.info, "artifacts_lost": "; ".join(lost)} if lost else outcome.info
        return replace(outcome, artifacts=saved, info=info)
