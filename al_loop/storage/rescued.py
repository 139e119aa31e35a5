"""Answers that could not be committed before the campaign had to stop."""

from __future__ import annotations

import json
import os
import re
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from al_loop.errors import CampaignError, counted, summary
from al_loop.ledger import Answer, Ledger
from al_loop.storage.files import keep_name, write_whole
from al_loop.storage.outcome_json import outcome_from_json, outcome_to_json
from al_loop.system.private_files import open_own, own_folder

_FIRST_KEY = '{"candidate_id": '  # with which each line begins


class RescuedAnswers:
    """Answers that the ledger did not accept before the campaign had to stop; the next start commits them.

    They are written to the run directory or, if that is not writable either, to a folder of this user alone in the
    system's temporary folder. A file that somebody else could have written is not believed. Lines that cannot be read,
    and answers that the ledger refuses, are moved to ``rescued-set-aside.jsonl``.

    Args:
        run_dir: the run directory.
        uid: the campaign's unique id.
    """

    def __init__(self, run_dir: Path, uid: str) -> None:
        temporary = Path(tempfile.gettempdir())
        self._own = temporary / f"al-loop-rescued-{os.geteuid()}"
        self._paths = [run_dir / "rescued.jsonl", self._own / f"{uid}.jsonl"]
        self._earlier = temporary / f"al-loop-rescued-{uid}.jsonl"  # where versions before 0.1.0 wrote
        self._owners = frozenset({run_dir.stat().st_uid}) if run_dir.is_dir() else frozenset()
        self._lock = threading.Lock()
        self._kept: dict[int, Path] = {}  # by the candidate of the answer

    def put_beside(self, answers: Iterable[Answer]) -> list[Path]:
        """Write answers to a file, unless this process has done so already.

        Args:
            answers: the answers.

        Returns:
            The files that they are in; none if no place is writable.
        """
        with self._lock:
            new = [a for a in answers if a.candidate_id not in self._kept]
            text = "".join(_line(answer) for answer in new)
            for path in self._paths if new else ():
                with suppress(OSError):
                    self._append(path, text)
                    self._kept |= {a.candidate_id: path for a in new}
                    break
            return self._files_of([a.candidate_id for a in answers])

    def keep(self, answers: Sequence[Answer], cause: Exception) -> CampaignError:
        """Write answers to a file.

        Args:
            answers: the answers.
            cause: the reason why they could not be committed.

        Returns:
            The error to raise; its message names the file or, if none is writable, contains the answers.
        """
        files = self.put_beside(answers)
        if files:
            names = " and ".join(map(str, files))
            kept = f"{counted(len(answers), 'answer')} {'is' if len(answers) == 1 else 'are'}"
            return CampaignError(f"{cause}. {kept} kept in {names} until the next start")
        lines = "".join(map(_line, answers))
        return CampaignError(f"{cause}. These answers could not be saved anywhere; copy them:\n{lines}")

    def kept(self) -> dict[int, Path]:
        """Return the file of each answer that this process has written and not dropped, by its candidate."""
        with self._lock:
            return dict(self._kept)

    def drop(self, candidate_ids: Collection[int]) -> None:
        """Remove answers that this process has written, because they are in the ledger after all."""
        with self._lock:
            for path in self._files_of(candidate_ids):
                mine = {id_ for id_ in candidate_ids if self._kept.get(id_) == path}
                with suppress(OSError):  # an answer that is both here and in the ledger does no harm
                    lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines(keepends=True)
                    rest = [line for line in lines if not any(line.startswith(f"{_FIRST_KEY}{i},") for i in mine)]
                    if rest:
                        write_whole(path, "".join(rest).encode("utf-8", "surrogateescape"))
                    else:
                        path.unlink()
                for id_ in mine:
                    del self._kept[id_]

    def _files_of(self, candidate_ids: Iterable[int]) -> list[Path]:
        return sorted({self._kept[id_] for id_ in candidate_ids if id_ in self._kept})

    def set_aside(self, answers: Sequence[tuple[Answer, str]]) -> Path | None:
        """Keep answers that the ledger refuses for good, where a person can find them.

        Args:
            answers: the answers, each with the reason.

        Returns:
            The file, or None if none can be written.
        """
        entries = [{"problem": reason, "line": _line(answer).rstrip("\n")} for answer, reason in answers]
        text = "".join(json.dumps(entry) + "\n" for entry in entries)
        with self._lock:
            for path in map(_aside, self._paths):
                with suppress(OSError):
                    self._append(path, text)
                    return path
        return None

    def _append(self, path: Path, text: str) -> None:
        """Append whole lines durably; a line that an earlier write has left unfinished is ended first."""
        if path.parent == self._own:
            own_folder(self._own)
        with os.fdopen(open_own(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, self._owners), "ab+") as file:
            is_new = not file.seek(0, os.SEEK_END)
            if not is_new:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    text = "\n" + text
            file.write(text.encode("utf-8", "surrogatepass"))
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            keep_name(path)

    def _content(self, path: Path) -> str:
        """Return the content of a file that only this user, or the owner of the run directory, can have written."""
        owners = self._owners if path == self._paths[0] else frozenset()
        if path.parent == self._own and path.parent.exists():
            own_folder(self._own)
        with os.fdopen(open_own(path, os.O_RDONLY, owners), encoding="utf-8", errors="replace") as file:
            return file.read()

    # -- the next start ------------------------------------------------------------------------------------------------

    def restore(self, ledger: Ledger, on_note: Callable[[str], None] = lambda message: None) -> int:
        """Commit the rescued answers and remove their files.

        Args:
            ledger: the campaign's ledger.
            on_note: receives a message about each file of which something had to be set aside.

        Returns:
            The number of answers committed.

        Raises:
            CampaignError: the ledger still cannot be written; the files remain.
        """
        n = 0
        if self._earlier.exists():
            on_note(
                f"{self._earlier} may hold answers of an earlier version, but anybody could have written them; if it "
                f"is yours, move it to {self._paths[0]}, and start again"
            )
        for path in self._paths:
            try:
                text = self._content(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                reason = error.strerror or error
                on_note(f"the answers in {path} are not used ({reason}); correct that and start again, or remove it")
                continue
            answers, damaged = _read(text)
            refusals = ledger.commit_answers(answers)
            rejected = [(a, reason) for a, reason in zip(answers, refusals, strict=True) if reason is not None]
            aside = [{"problem": "cannot be read", "line": line} for line in damaged]
            aside += [{"problem": reason, "line": _line(a).rstrip("\n")} for a, reason in rejected]
            n += len(answers) - len(rejected)
            if aside and not self._move_aside(path, aside, on_note):
                continue
            path.unlink()
        return n

    def _move_aside(self, path: Path, entries: Sequence[Mapping[str, Any]], on_note: Callable[[str], None]) -> bool:
        """Move lines of a file of rescued answers beside it; return whether that was possible."""
        aside = _aside(path)
        try:
            self._append(aside, "".join(json.dumps(entry) + "\n" for entry in entries))
        except OSError as error:
            reason = error.strerror or error
            on_note(f"{len(entries)} lines of {path} cannot be used, and cannot be written to {aside} ({reason})")
            return False
        problems = "; ".join(dict.fromkeys(str(entry["problem"]) for entry in entries))
        kept = f"{len(entries)} of the answers kept in {path.name}"
        on_note(f"{kept} cannot be used ({problems:.300}); they are in {aside}")
        return True


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.stem}-set-aside.jsonl")


def _read(text: str) -> tuple[list[Answer], list[str]]:
    """Return the answers in a file, and the lines (or the parts of lines) that cannot be read."""
    answers: list[Answer] = []
    damaged: list[str] = []
    for line in filter(str.strip, text.split("\n")):
        answer = _parsed(line)
        if answer is not None:
            answers.append(answer)
            continue
        # an answer may have been glued to a line that was cut off
        for part in re.split(f"(?={re.escape(_FIRST_KEY)})", line):
            answer = _parsed(part)
            if answer is not None:
                answers.append(answer)
            elif part.strip():
                damaged.append(part)
    return answers, damaged


def _parsed(line: str) -> Answer | None:
    try:
        return _from_json(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _line(answer: Answer) -> str:
    try:
        return json.dumps(_to_json(answer)) + "\n"
    except Exception as error:  # what an oracle puts into info may be anything; its values must not be lost for that
        bare = replace(answer.outcome, info={"info_lost": summary(error)})
        return json.dumps(_to_json(replace(answer, outcome=bare))) + "\n"


def _to_json(answer: Answer) -> dict[str, Any]:
    return {
        "candidate_id": answer.candidate_id,
        "outcome": outcome_to_json(answer.outcome),
        "worker": answer.worker,
        "started": answer.started.isoformat(),
        "finished": answer.finished.isoformat(),
    }


def _from_json(row: Mapping[str, Any]) -> Answer:
    started, finished = datetime.fromisoformat(row["started"]), datetime.fromisoformat(row["finished"])
    if not isinstance(row["candidate_id"], int) or not isinstance(row["worker"], str):
        raise TypeError("the candidate is a number, and the worker a text")
    if started.tzinfo is None or finished.tzinfo is None:
        started, finished = started.replace(tzinfo=UTC), finished.replace(tzinfo=UTC)
    return Answer(row["candidate_id"], outcome_from_json(row["outcome"]), row["worker"], started, finished)
