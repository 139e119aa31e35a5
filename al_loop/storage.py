"""What is kept beside the ledger: files that come with answers, a cache between campaigns, and answers in need."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from al_loop.errors import CampaignError, ConfigError
from al_loop.ledger import Answer, Ledger, make_engine
from oracles.base import Failure, Outcome


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file so that it is there whole or not at all, whatever happens."""
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


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
