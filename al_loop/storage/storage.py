"""What is kept beside the ledger: files that come with answers, a cache between campaigns, and answers in need."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa

from al_loop.errors import CampaignError, ConfigError, first_line
from al_loop.ledger import Answer, Ledger, make_engine
from al_loop.oracles.base import Failure, Outcome


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file so that it is there whole or not at all, whatever happens."""
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def hold(lock: IO[str], what: str) -> None:
    """Locks a folder by a file in it, which says by whom; closing the file lets go of it.

    Raises:
        ConfigError: another process holds it.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        holder = lock.read().strip() or "another process"
        raise ConfigError(f"{what} is running already ({holder}); stop it first") from None
    lock.truncate(0)
    lock.write(f"pid {os.getpid()} on {platform.node()}")
    lock.flush()


def retry_write(
    write: Callable[[], None], what: object, patience_s: float, on_wait: Callable[[str], None] = lambda message: None
) -> None:
    """Tries again and again where something cannot be written; ``on_wait`` is told once.

    Raises:
        CampaignError: it could not be written for ``patience_s``.
    """
    began, is_told = time.monotonic(), False
    while True:
        try:
            write()
            return
        except Exception as error:  # every kind of storage has errors of its own
            reason = first_line(getattr(error, "strerror", None) or error)
            if time.monotonic() - began >= patience_s:
                raise CampaignError(
                    f"{what} cannot be written ({reason}); what was measured is safe in the ledger, put this right and "
                    "run the same command again"
                ) from error
            if not is_told:
                on_wait(f"{what} cannot be written at present ({reason}); it is tried again")
                is_told = True
            time.sleep(min(1.0, patience_s))


class Checkpoints:
    """The learner's state after each round, of which the last two are kept: ``<place>/round-00007.pt``.

    Args:
        place: a folder, or a URL that fsspec knows, such as ``s3://bucket/folder``.
        uid: of the campaign.
        patience_s: how long it is tried again where the place cannot be written.
        on_wait: told once when it has to be.

    Raises:
        ConfigError: the place cannot be written, or holds the checkpoints of another campaign.
    """

    def __init__(
        self, place: str, uid: str, patience_s: float = 0.0, on_wait: Callable[[str], None] = lambda message: None
    ) -> None:
        from fsspec.core import url_to_fs
        from fsspec.implementations.local import LocalFileSystem

        self.place, self._patience_s, self._on_wait = place.rstrip("/"), patience_s, on_wait
        try:
            self._files, self._root = url_to_fs(self.place)
            self._is_here = isinstance(self._files, LocalFileSystem)
            self._files.makedirs(self._root, exist_ok=True)
            owner = f"{self._root}/campaign"
            known = self._files.cat_file(owner).decode() if self._files.exists(owner) else None
            if known is None:
                self._write(owner, uid.encode())
        except Exception as error:  # every kind of storage has errors of its own
            raise ConfigError(f"checkpoints: {place} cannot be used: {first_line(error)}") from error
        if known not in (None, uid):
            raise ConfigError(f"checkpoints: {place} holds those of another campaign; take another folder")

    def name(self, number: int) -> str:
        """Where the checkpoint of a round is."""
        return f"{self.place}/{self._file(number)}"

    def _file(self, number: int) -> str:
        return f"round-{number:05d}.pt"

    def _write(self, path: str, content: bytes) -> None:
        if self._is_here:
            write_whole(Path(path), content)
        else:
            self._files.pipe_file(f"{path}.part", content)
            self._files.mv(f"{path}.part", path)

    def save(self, number: int, content: bytes) -> None:
        """Writes the checkpoint of a round, whole or not at all.

        Raises:
            CampaignError: it could not be written for ``patience_s``.
        """
        path = f"{self._root}/{self._file(number)}"
        retry_write(lambda: self._write(path, content), self.name(number), self._patience_s, self._on_wait)
        with suppress(Exception):  # one file too many does no harm
            for old in self._files.ls(self._root, detail=False):  # no glob: brackets may stand in the folder's name
                if re.fullmatch(r"round-\d+\.pt", name := Path(old).name) and name < self._file(number - 1):
                    self._files.rm_file(old)

    def load(self, number: int) -> bytes:
        """The checkpoint of a round.

        Raises:
            Exception: it is not there.
        """
        content: bytes = self._files.cat_file(f"{self._root}/{self._file(number)}")
        return content


class ArtifactFolder:
    """The files that came with answers: ``<folder>/<candidate>/<name>``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, candidate_id: int) -> Path:
        """Where the files of a candidate lie."""
        return self.folder / f"{candidate_id:06d}"

    def save(self, candidate_id: int, outcome: Outcome) -> Outcome:
        """Writes the files of an outcome; what cannot be written is told in ``info``, since the value comes first."""
        kept: dict[str, bytes | str | Path] = {}
        lost = []
        for name, content in outcome.artifacts.items():
            assert isinstance(content, bytes)
            try:
                self.of(candidate_id).mkdir(parents=True, exist_ok=True)
                write_whole(self.of(candidate_id) / name, content)
                kept[name] = content
            except OSError as error:
                lost.append(f"{name}: {error.strerror or error}")
        info = {**outcome.info, "artifacts_lost": "; ".join(lost)} if lost else outcome.info
        return replace(outcome, artifacts=kept, info=info)


class RescuedAnswers:
    """Answers that the ledger would not take before the campaign had to stop; the next start takes them in.

    They are put into the run directory or, where that cannot be written either, into the system's temporary folder.
    """

    def __init__(self, run_dir: Path, uid: str) -> None:
        self._uid = uid
        self._places = [run_dir / "rescued.jsonl", Path(tempfile.gettempdir()) / f"al-loop-rescued-{uid}.jsonl"]
        self._lock = threading.Lock()

    def keep(self, answers: Sequence[Answer], why: Exception) -> CampaignError:
        """Puts answers aside; returns what to raise, which says where they are."""
        lines = "".join(json.dumps(_as_json(a)) + "\n" for a in answers)
        with self._lock:
            for place in self._places:
                try:
                    with place.open("a", encoding="utf-8") as file:
                        file.write(lines)
                        file.flush()
                        os.fsync(file.fileno())
                except OSError:
                    continue
                return CampaignError(f"{why}. {len(answers)} answers are kept in {place} until the next start")
        return CampaignError(f"{why}. These answers could not be kept anywhere:\n{lines}")

    def restore(self, ledger: Ledger) -> int:
        """Commits what was kept, and returns how many answers that were; the files are gone afterwards.

        Raises:
            CampaignError: the ledger still does not take them; they stay where they are.
        """
        n = 0
        for place in self._places:
            if not place.is_file():
                continue
            answers = []
            for line in place.read_text(encoding="utf-8").splitlines():
                with suppress(ValueError, KeyError, TypeError):  # a last line that was cut off was kept elsewhere
                    answers.append(_from_json(json.loads(line)))
            refused = ledger.commit_answers(answers)
            n += sum(reason is None for reason in refused)
            place.unlink()
        return n


def _as_json(answer: Answer) -> dict[str, Any]:
    outcome = replace(answer.outcome, artifacts={})
    return {
        "candidate_id": answer.candidate_id,
        "outcome": asdict(outcome),
        "worker": answer.worker,
        "started": answer.started.isoformat(),
        "finished": answer.finished.isoformat(),
    }


def _from_json(row: Mapping[str, Any]) -> Answer:
    return Answer(
        row["candidate_id"],
        _outcome(row["outcome"]),
        row["worker"],
        datetime.fromisoformat(row["started"]),
        datetime.fromisoformat(row["finished"]),
    )


def _outcome(row: Mapping[str, Any]) -> Outcome:
    return Outcome(
        values=None if row["values"] is None else tuple(row["values"]),
        failure=None if row["failure"] is None else Failure(**row["failure"]),
        cost=row["cost"],
        info=row["info"],
        noise=None if row["noise"] is None else tuple(row["noise"]),
    )


_cache = sa.Table(
    "al_loop_evaluation_cache",
    sa.MetaData(),
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("campaign", sa.Text, nullable=False),
)


class EvaluationCache:
    """What an oracle answered in any campaign: the same object, oracle, arguments, version and fidelity.

    Values and ``invalid`` objects are shared; other failures may pass, and are not. A cache that fails costs a call of
    the oracle, never an answer: then it is left out, and the user is told once.

    Args:
        url: a file, or the URL of a database.
        oracle: what tells the oracle from every other: its name, arguments and version.
        campaign: who asks.
        tell: told when the cache cannot be used any more.

    Raises:
        ConfigError: it cannot be opened.
    """

    def __init__(self, url: str, oracle: str, campaign: str, tell: Callable[[str], None]) -> None:
        self._oracle, self._campaign, self._tell = oracle, campaign, tell
        self._is_broken = False
        url = url if "://" in url else f"sqlite:///{Path(url).expanduser().absolute()}"
        self._engine = make_engine(url)
        try:
            _cache.metadata.create_all(self._engine)
        except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise ConfigError(f"evaluation.cache: {url!r:.200} cannot be used: {str(error).splitlines()[0]}") from None

    def _key(self, name: str, fidelity: str) -> str:
        return hashlib.sha256("\0".join((self._oracle, fidelity, name)).encode()).hexdigest()

    def find(self, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Outcome]:
        """What is known of objects at fidelities; it costs nothing."""
        keys = {self._key(*pair): pair for pair in wanted}
        found = {}
        for part in _parts(list(keys)):
            query = sa.select(_cache.c.key, _cache.c.outcome, _cache.c.campaign).where(_cache.c.key.in_(part))
            try:
                with self._engine.connect() as connection:
                    rows = connection.execute(query).all()
            except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
                self._give_up(error)
                break
            for key, text, campaign in rows:
                outcome = _outcome(json.loads(text))
                found[keys[key]] = replace(outcome, cost=0.0, info={**outcome.info, "from_campaign": campaign})
        return found

    def add(self, name: str, fidelity: str, outcome: Outcome) -> None:
        """Shares an answer."""
        if self._is_broken or (outcome.failure is not None and outcome.failure.kind != "invalid"):
            return
        row = {
            "key": self._key(name, fidelity),
            "object": name,
            "outcome": json.dumps(asdict(replace(outcome, artifacts={}))),
            "campaign": self._campaign,
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(_cache.insert().values(row))
        except sa.exc.IntegrityError:
            pass  # another campaign was first
        except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._is_broken = True
        self._tell(f"evaluation.cache cannot be used any more ({str(error).splitlines()[0]}); the campaign goes on")

    def close(self) -> None:
        """Closes the connections."""
        self._engine.dispose()


def _parts(keys: Sequence[str], size: int = 500) -> Iterator[Sequence[str]]:
    for i in range(0, len(keys), size):
        yield keys[i : i + size]
