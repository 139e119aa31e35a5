"""Answers shared between campaigns."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from al_loop.errors import ConfigError, summary
from al_loop.ledger import make_engine
from al_loop.ledger.engines import sqlite_url
from al_loop.ledger.faults import is_transient, try_a_few_times
from al_loop.oracles.base import Outcome, as_outcome
from al_loop.outgoing import redact
from al_loop.storage.outcome_json import outcome_from_json, outcome_to_json

_CREATED_MEANWHILE = (sa.exc.IntegrityError, sa.exc.ProgrammingError)  # by another campaign, on PostgreSQL
_cache = sa.Table(
    "al_loop_evaluation_cache",
    sa.MetaData(),
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("campaign", sa.Text, nullable=False),
)


class EvaluationCache:
    """Outcomes shared between campaigns, by object, oracle (its arguments and version) and fidelity.

    Values and ``invalid`` failures are shared; other failures may be temporary and are not. If the cache stops working,
    the campaign continues without it, with one message: this costs further oracle calls but never loses an answer.

    Args:
        url: a file, or the URL of a database.
        oracle: the identity of the oracle: its name, arguments and version.
        campaign: the name of the campaign that uses the cache.
        on_note: receives a message when the cache stops working, or has an answer that cannot be used.
        n_values: number of values of an answer; None if unknown.

    Raises:
        ConfigError: the database is not usable.
    """

    def __init__(
        self, url: str, oracle: str, campaign: str, on_note: Callable[[str], None], n_values: int | None = None
    ) -> None:
        self._oracle, self._campaign, self._on_note, self._n_values = oracle, campaign, on_note, n_values
        self._is_broken = False
        try:
            self._engine = make_engine(url if "://" in url else sqlite_url(Path(url).expanduser()))
        except ConfigError as error:
            raise ConfigError(str(error).replace("ledger:", "evaluation.cache:", 1)) from None
        try:
            try_a_few_times(self._create, lambda error: is_transient(error) or isinstance(error, _CREATED_MEANWHILE))
        except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
            name = redact(self._engine.url.render_as_string(hide_password=True))
            raise ConfigError(f"evaluation.cache: {name} is not usable: {summary(error)}") from None

    def _create(self) -> None:
        with self._engine.execution_options(ledger_write=True).begin() as connection:
            _cache.metadata.create_all(connection)

    def _key(self, name: str, fidelity: str) -> str:
        return hashlib.sha256("\0".join((self._oracle, fidelity, name)).encode()).hexdigest()

    def find(self, queries: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Outcome]:
        """Look up objects.

        Args:
            queries: pairs of object and fidelity.

        Returns:
            The outcomes in the cache, by pair, with cost 0 and the source campaign in ``info["from_campaign"]``.
        """
        if self._is_broken:
            return {}
        pairs = {self._key(*pair): pair for pair in queries}
        outcomes = {}
        for keys in _chunks(list(pairs)):
            query = sa.select(_cache.c.key, _cache.c.outcome, _cache.c.campaign).where(_cache.c.key.in_(keys))
            try:
                with self._engine.connect() as connection:
                    rows = connection.execute(query).all()
            except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
                self._give_up(error)
                break
            for key, text, campaign in rows:
                outcome = self._read(text)
                if outcome is None:
                    self._on_note(
                        f"evaluation.cache: the answer for {pairs[key][0]} is damaged; the object is measured again"
                    )
                    continue
                outcomes[pairs[key]] = replace(outcome, cost=0.0, info={**outcome.info, "from_campaign": campaign})
        return outcomes

    def _read(self, text: str) -> Outcome | None:
        """Return the outcome in a row, or None if the row is damaged."""
        try:
            stored = outcome_from_json(json.loads(text))
            n_values = self._n_values or len(stored.values or ())
            outcome = as_outcome(stored, n_values)
        except Exception:  # what is in a damaged row may be anything
            return None
        return outcome if (outcome.failure is None) == (stored.failure is None) else None

    def add(self, name: str, fidelity: str, outcome: Outcome) -> None:
        """Share an outcome, unless the cache has one for the same object.

        Args:
            name: the object.
            fidelity: the fidelity at which it was measured; empty if the oracle has only one.
            outcome: its outcome.
        """
        if self._is_broken or (outcome.failure is not None and outcome.failure.kind != "invalid"):
            return
        row = {
            "key": self._key(name, fidelity),
            "object": name,
            "outcome": json.dumps(outcome_to_json(outcome)),
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
        if not self._is_broken:
            self._is_broken = True
            self._on_note(f"evaluation.cache stopped working ({summary(error)}); the campaign continues without it")

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def _chunks(keys: Sequence[str], size: int = 500) -> Iterator[Sequence[str]]:
    for i in range(0, len(keys), size):
        yield keys[i : i + size]
