"""The tables of a run as data frames, read from its ledger."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd
from sqlalchemy.engine import URL

from al_loop.analysis.answer_tables import (
    CALL_COLUMNS,
    PREDICTION_COLUMNS,
    candidate_table,
    evaluation_table,
    with_means,
)
from al_loop.analysis.results import Results, Rows
from al_loop.campaign.course import value_text
from al_loop.datafiles.nested import flatten
from al_loop.errors import ConfigError, not_one_of
from al_loop.ledger import Ledger, columns
from al_loop.ledger.records import RoundRow
from al_loop.modelling.objective_names import predicted_columns
from al_loop.modelling.objectives import CampaignObjectives, recorded_objectives
from al_loop.oracles.base import Objective
from al_loop.outgoing import redacted
from al_loop.storage.artifacts import ArtifactFolder
from al_loop.storage.locate import find_ledger, location_text, run_folder

#: columns of a library that identify an object
_LABEL = re.compile(r"(?:.*[ _-])?(?:id|name|code|cas|no|number)|.*(?:ID|Id)", re.IGNORECASE)
#: the column of an objective with one of these names, which early runs allowed, is prefixed with ``value_``
_PREFIXED = {"candidate", "object", "round", "failure", "reason", "origin", *CALL_COLUMNS, *PREDICTION_COLUMNS}
#: keys of a round's info with an entry for each candidate, which are not shown in the table of rounds
_INFO_PER_CANDIDATE = ("predicted", "nearest")


class RunTables:
    """The tables of one run; each property reads the ledger again, so that a running campaign can be followed.

    Args:
        path: a run directory, a ledger file, or a database URL.

    Raises:
        ConfigError: there is no run (the message lists the folder's contents), or its ledger is empty.
    """

    #: the path or URL, as text
    path: str
    #: the ledger, opened for reading
    ledger: Ledger
    #: the campaign's name
    name: str
    #: time of the campaign's first start
    created: datetime
    #: the measured objectives, with units and goals
    objectives: tuple[Objective, ...]

    def __init__(self, path: str | Path | URL) -> None:
        self.path = location_text(path)
        self.ledger = Ledger(find_ledger(path), read_only=True)
        campaign = self.ledger.campaign()
        if campaign is None:
            self.ledger.close()
            raise ConfigError(f"{path}: the ledger is still empty; start the campaign with al-loop run")
        self.name = campaign.name
        self.created = campaign.created
        self.objectives = campaign.objectives
        self._columns: dict[str, Objective] = {}
        for objective in campaign.objectives:
            column = f"value_{objective.name}" if objective.name in _PREFIXED else objective.name
            self._columns[f"{column}_2" if column in self._columns else column] = objective
        #: the number of the newest answer, and the evaluations up to it
        self._cache: tuple[int, pd.DataFrame] | None = None
        #: the version of the ledger, and the candidates as of then
        self._cached_candidates: tuple[tuple[int, ...], pd.DataFrame] | None = None
        #: the numbers of the newest answer and start, and the answers up to it
        self._cached_answers: tuple[tuple[int, int], Results] | None = None
        #: the numbers of opened and closed rounds, and the rounds
        self._cached_rounds: tuple[tuple[int, ...], list[RoundRow]] | None = None

    # -- settings

    @property
    def config(self) -> dict[str, Any]:
        """The campaign's config, as of its last start."""
        session = self.ledger.last_session()
        assert session is not None
        return dict(redacted(session.config))  # earlier versions recorded secrets, too

    @property
    def objective(self) -> Objective:
        """The (first) optimised objective."""
        return self.find_objective()[1]

    @property
    def optimised(self) -> dict[str, Objective]:
        """All optimised objectives, by their columns in ``evaluations``."""
        names = self.config.get("optimise")
        return dict(
            self.find_objective(name) for name in ([names] if names is None or isinstance(names, str) else names)
        )

    @property
    def value_column(self) -> str:
        """The column of the (first) optimised objective in ``evaluations``."""
        return self.find_objective()[0]

    def find_objective(self, name: str | None = None) -> tuple[str, Objective]:
        """Return the column of an objective in ``evaluations``, and the objective.

        Args:
            name: name of the objective or of its column; None: the (first) optimised one.

        Raises:
            ConfigError: there is no such objective.
        """
        if not name:
            optimised = self.config.get("optimise")
            name = optimised if optimised is None or isinstance(optimised, str) else optimised[0]
        for column, objective in self._columns.items():
            if name is None or name in (column, objective.name):
                return column, objective
        raise ConfigError(f"objective: {not_one_of(name, (o.name for o in self.objectives))}")

    @property
    def value_columns(self) -> dict[str, Objective]:
        """Everything that the oracle measures, by its column in ``evaluations``."""
        return dict(self._columns)

    @property
    def campaign_objectives(self) -> CampaignObjectives:
        """The measured values that the campaign optimises and constrains, as of its last start."""
        return recorded_objectives(self.objectives, self.config)

    def prediction_columns(self, column: str) -> tuple[str, str] | None:
        """Return the columns of the predicted mean and deviation of an objective, or None if it is not predicted.

        Args:
            column: the column of the objective in ``evaluations``.
        """
        optimised = self.optimised
        pairs = dict(zip(optimised, predicted_columns([o.name for o in optimised.values()]), strict=True))
        return pairs.get(column)

    # -- candidates and answers

    @property
    def candidates(self) -> pd.DataFrame:
        """One row per proposed object, with or without an answer, indexed by the candidate's id."""
        version = self.ledger.read(columns.version)
        if self._cached_candidates is None or self._cached_candidates[0] != version:
            table = candidate_table(self.ledger.read(columns.candidates), self.campaign_objectives, self.round_rows)
            self._cached_candidates = (version, table)
        return self._cached_candidates[1].copy()

    @property
    def evaluations(self) -> pd.DataFrame:
        """One row per answer, with a column per objective in the oracle's unit, NaN for a failure.

        If the campaign bounds outcomes, ``within_bounds`` says whether an answer keeps all bounds.
        """
        n_answers = self.ledger.n_answers()
        if self._cache is None or self._cache[0] != n_answers:
            answers = self.ledger.read(columns.evaluations)
            table = evaluation_table(answers, self._columns, self.campaign_objectives, self.round_rows)
            self._cache = (n_answers, table)
        return self._cache[1].copy()

    @property
    def target_evaluations(self) -> pd.DataFrame:
        """The evaluations; if the campaign chooses among fidelities, only those at the target fidelity."""
        results = self.answers
        return self.evaluations.loc[results.candidate_ids[results.is_at_target]]

    @property
    def results(self) -> pd.DataFrame:
        """The evaluations that count: with a value, at the target fidelity, within all bounds on outcomes.

        The best objects, the Pareto front and the rules of the campaign consider these alone. An object that was
        measured several times has one row with the mean, its standard error (``<objective>_sem``) and
        ``n_measurements``; without such objects there are no such columns.
        """
        return self._rows(self.answers.rows)

    def _rows(self, rows: Rows) -> pd.DataFrame:
        """Return the evaluations of some of the answers, with the means of what was measured several times."""
        answers = self.answers
        return with_means(self.evaluations.loc[answers.candidate_ids[rows]], answers, rows, list(self._columns))

    @property
    def answers(self) -> Results:
        """The values of all answers, and which of them count; much smaller than the table of evaluations."""
        session = self.ledger.last_session()
        version = (self.ledger.n_answers(), 0 if session is None else session.id)
        if self._cached_answers is None or self._cached_answers[0] != version:
            target = self.ledger.read(columns.target_fidelity)
            values = self.ledger.read(columns.values)
            again = self.ledger.read(columns.measured_again)
            results = Results.of(values, len(self.objectives), self.campaign_objectives, target, again)
            self._cached_answers = (version, results)
        return self._cached_answers[1]

    @property
    def round_rows(self) -> list[RoundRow]:
        """The rounds as the ledger records them; they are read again when one was opened or closed."""
        version = self.ledger.read(columns.version)[2:]
        if self._cached_rounds is None or self._cached_rounds[0] != version:
            self._cached_rounds = (version, self.ledger.rounds())
        return self._cached_rounds[1]

    @property
    def info(self) -> pd.DataFrame:
        """The oracle's remarks on each answer (its ``info``), with one column per key."""
        answers = self.ledger.evaluations()
        frame = pd.json_normalize([a.info for a in answers])
        return frame.set_index(pd.Index([a.candidate_id for a in answers], name="candidate", dtype="int64"))

    @property
    def facts(self) -> pd.DataFrame:
        """The former name of ``info``."""
        return self.info

    @property
    def artifacts(self) -> pd.DataFrame:
        """One row per file returned with an answer: its ``path`` in the run directory, bytes and SHA-256.

        If the run was opened by the URL of a database server, the paths are relative to its run directory.
        """
        folder = ArtifactFolder((run_folder(self.path) or Path()) / "artifacts")
        rows = [
            (a.candidate_id, name, str(folder.folder_of(a.candidate_id) / name), file["bytes"], file["sha256"])
            for a in self.ledger.evaluations()
            for name, file in a.artifacts.items()
        ]
        return pd.DataFrame(rows, columns=["candidate", "name", "path", "bytes", "sha256"]).set_index("candidate")

    def best(self, n: int = 10, objective: str | None = None) -> pd.DataFrame:
        """Return the best of the ``results``, best first; none if no measured object keeps the bounds.

        Args:
            n: number of objects.
            objective: name of the objective; None: the (first) optimised one.

        Raises:
            ConfigError: there is no such objective.
        """
        column, details = self.find_objective(objective)
        answers = self.answers
        return self._rows(answers.best(list(self._columns).index(column), details.goal)[:n])

    def front(self) -> pd.DataFrame:
        """Return the ``results`` on the Pareto front of the optimised objectives, ordered by the first one."""
        return self._rows(self.answers.front())

    def best_objects(self, n: int) -> list[tuple[str, tuple[float, ...]]]:
        """Return the best objects with their optimised values; with several objectives, those on the Pareto front.

        Args:
            n: number of objects.
        """
        answers, objectives = self.answers, self.campaign_objectives
        several = objectives.are_several
        rows = (answers.front() if several else answers.best(objectives.indices[0], objectives.goals[0]))[:n]
        names = self.ledger.read(lambda c: columns.objects(c, answers.candidate_ids[rows].tolist()))
        values = answers.values[rows][:, list(objectives.indices)].tolist()
        return [(name, tuple(row)) for name, row in zip(names, values, strict=True)]

    def labels(self, objects: Sequence[str]) -> dict[str, str]:
        """Return what a library calls each object: its id or name, else its first other column."""
        labels = {}
        for name, details in self.ledger.read(lambda c: columns.details(c, objects)).items():
            key = next((key for key in details if _LABEL.fullmatch(key)), next(iter(details)))
            labels[name] = f"{key} {details[key]}"
        return labels

    # -- rounds

    @property
    def rounds(self) -> pd.DataFrame:
        """One row per round: counts, metrics, ``seconds_<phase>``, and ``info.<key>`` about its model."""
        candidates, evaluations = self.candidates, self.evaluations
        proposed = candidates.groupby("round").size()
        answered = evaluations.groupby("round").size()
        failed = evaluations.groupby("round")["failure"].count()
        rows = []
        for r in self.round_rows:
            row: dict[str, Any] = {"opened": r.opened, "closed": r.closed}
            for name, counts in (("proposed", proposed), ("answered", answered), ("failed", failed)):
                row[name] = int(counts.get(r.number, 0))
            metrics = {k: v for k, v in (r.metrics or {}).items() if k != "scaffolds"}
            row |= {k if k not in row else f"metric_{k}": v for k, v in flatten(metrics).items()}
            row |= {f"seconds_{k}": v for k, v in flatten({**r.seconds, **(r.closing_seconds or {})}).items()}
            info = {k: v for k, v in r.info.items() if k not in _INFO_PER_CANDIDATE}
            if (forecast := _forecast(r)) is not None:
                info["forecast"] = forecast
            row |= {f"info.{k}": v for k, v in flatten(info).items()}
            row["seed"] = str(r.seed)
            rows.append(row | {"round": r.number})
        frame = pd.DataFrame(rows, columns=None if rows else ["round", "opened", "closed"]).set_index("round")
        return frame.assign(**{name: pd.to_datetime(frame[name], utc=True) for name in ("opened", "closed")})

    @property
    def decisions(self) -> pd.DataFrame:
        """One row per decision: veto, pin and approve by people, stop by a rule of the campaign.

        A replacement has two rows, a veto and a pin that refer to each other.
        """
        objects = {c.id: c.object for c in self.ledger.candidates()}
        rows = [
            (d.round, d.action, d.candidate_id, objects.get(d.candidate_id or 0), d.reason, d.by, d.decided)
            for d in self.ledger.decisions()
        ]
        names = ["round", "action", "candidate", "object", "reason", "by", "decided"]
        frame = pd.DataFrame(rows, columns=names).astype({"candidate": "Int64"})
        return frame.assign(decided=pd.to_datetime(frame["decided"], utc=True))

    @property
    def predictions(self) -> pd.DataFrame:
        """Scores of each round's predictions, made before the answers arrived, with one row per objective.

        Further rows score the objects near to, at a medium distance from and far from those measured before.
        """
        rows = []
        for r in self.round_rows:
            for name, scores in ((r.metrics or {}).get("predictions") or {}).items():
                for group, group_scores in {"all": scores, **scores.get("by_distance", {})}.items():
                    row = {k: v for k, v in group_scores.items() if k not in ("by_distance", "coverage")}
                    row |= {f"coverage_{level}": share for level, share in group_scores["coverage"].items()}
                    rows.append({"round": r.number, "objective": name, "distance": group, **row})
        return pd.DataFrame(rows)

    @property
    def forecasts(self) -> pd.DataFrame:
        """The expected result of each batch, and the actual one: ``best`` after the round."""
        rows = []
        for r in self.round_rows:
            if (forecast := _forecast(r)) is not None:
                metrics = r.metrics or {}
                best = metrics.get("best") if metrics.get("hypervolume") is None else metrics["hypervolume"]
                rows.append({"round": r.number, **forecast, "best": best})
        return pd.DataFrame(rows)

    @property
    def changes(self) -> pd.DataFrame:
        """One row per change of course: a key of the config, the oracle's code, a library, from which round on."""
        columns = ["round", "kind", "key", "old", "new", "reason", "by", "changed"]
        rows = [
            (c.round, c.kind, c.key, value_text(c.old), value_text(c.new), c.reason, c.by, c.changed)
            for c in self.ledger.changes()
        ]
        frame = pd.DataFrame(rows, columns=columns)
        return frame.assign(changed=pd.to_datetime(frame["changed"], utc=True))

    @property
    def alarms(self) -> pd.DataFrame:
        """One row per alarm that the campaign raised."""
        rows = [
            (number, name, message)
            for number, metrics in self.ledger.read(columns.reports)
            for name, message in (metrics.get("alarms") or {}).items()
        ]
        return pd.DataFrame(rows, columns=["round", "alarm", "message"])

    # -- closing

    def close(self) -> None:
        """Close the ledger's connections."""
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _forecast(row: RoundRow) -> dict[str, Any] | None:
    """Return the forecast of a round's batch, or None if it has none."""
    forecast: dict[str, Any] | None = row.info.get("forecast")
    if forecast is None or forecast.get("low") is None or forecast.get("high") is None:
        return forecast
    # early runs recorded those of a minimised value the other way around
    return {**forecast, "low": min(forecast["low"], forecast["high"]), "high": max(forecast["low"], forecast["high"])}
