"""Answers that could not be committed before the campaign had to stop."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from al_loop.errors import CampaignError, counted
from al_loop.ledger import Answer, Ledger
from al_loop.storage.outcome_json import outcome_from_json, outcome_to_json


class RescuedAnswers:
    """Answers that the ledger did not accept before the campaign had to stop; the next start commits them.

    They are written to the run directory or, if that is not writable either, to the system's temporary folder.

    Args:
        run_dir: the run directory.
        uid: the campaign's unique id.
    """

    def __init__(self, run_dir: Path, uid: str) -> None:
        self._paths = [run_dir / "rescued.jsonl", Path(tempfile.gettempdir()) / f"al-loop-rescued-{uid}.jsonl"]
        self._lock = threading.Lock()

    def keep(self, answers: Sequence[Answer], cause: Exception) -> CampaignError:
        """Write answers to a file.

        Args:
            answers: the answers.
            cause: the reason why they could not be committed.

        Returns:
            The error to raise; its message names the file or, if none is writable, contains the answers.
        """
        lines = "".join(json.dumps(_to_json(a)) + "\n" for a in answers)
        with self._lock:
            for path in self._paths:
                try:
                    with path.open("a", encoding="utf-8") as file:
                        file.write(lines)
                        file.flush()
                        os.fsync(file.fileno())
                except OSError:
                    continue
                kept = f"{counted(len(answers), 'answer')} {'is' if len(answers) == 1 else 'are'}"
                return CampaignError(f"{cause}. {kept} kept in {path} until the next start")
        return CampaignError(f"{cause}. These answers could not be saved anywhere; copy them:\n{lines}")

    def restore(self, ledger: Ledger) -> int:
        """Commit the rescued answers and remove their files.

        Args:
            ledger: the campaign's ledger.

        Returns:
            The number of answers committed.

        Raises:
            CampaignError: the ledger still cannot be written; the files remain.
        """
        n = 0
        for path in self._paths:
            if not path.is_file():
                continue
            answers = []
            for line in path.read_text(encoding="utf-8").splitlines():
                with suppress(ValueError, KeyError, TypeError):  # a truncated last line was written elsewhere
                    answers.append(_from_json(json.loads(line)))
            refusals = ledger.commit_answers(answers)
            n += sum(reason is None for reason in refusals)
            path.unlink()
        return n


def _to_json(answer: Answer) -> dict[str, Any]:
    return {
        "candidate_id": answer.candidate_id,
        "outcome": outcome_to_json(answer.outcome),
        "worker": answer.worker,
        "started": answer.started.isoformat(),
        "finished": answer.finished.isoformat(),
    }


def _from_json(row: Mapping[str, Any]) -> Answer:
    return Answer(
        row["candidate_id"],
        outcome_from_json(row["outcome"]),
        row["worker"],
        datetime.fromisoformat(row["started"]),
        datetime.fromisoformat(row["finished"]),
    )
