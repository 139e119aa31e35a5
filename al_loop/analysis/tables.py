"""The tables of a run as data frames, read from its ledger."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
from sqlalchemy.engine import URL

from al_loop.campaign.course import value_text
from al_loop.datafiles.nested import flatten
from al_loop.errors import ConfigError
from al_loop.ledger import Ledger
from al_loop.monitoring.metrics import non_dominated
from al_loop.oracles.base import Objective
from al_loop.storage.artifacts import ArtifactFolder
from al_loop.storage.locate import find_ledger, location_text, run_folder

_CALL_COLUMNS = ("cost", "seconds", "started", "finished", "worker", "attempts", "number", "arrived", "revision")
_PREDICTION_COLUMNS = ("predicted_mean", "predicted_std")
_CANDIDATE_COLUMNS = ("id", "round", "position", "object", "origin", "fidelity", *_PREDICTION_COLUMNS, "acquisition")
#: the column of an objective with one of these names is prefixed with ``value_``
_RESERVED = {"candidate", "object", "round", "failure", "reason", "origin", *_CALL_COLUMNS, *_PREDICTION_COLUMNS}
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
        self._columns = {f"value_{o.name}" if o.name in _RESERVED else o.name: o for o in campaign.objectives}
        #: the number of the newest answer, and the evaluations up to it
        self._cache: tuple[int, pd.DataFrame] | None = None

    # -- settings

    @property
    def config(self) -> dict[str, Any]:
        """The campaign's config, as of its last start."""
        return self.ledger.sessions()[-1].config

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
        raise ConfigError(f"objective: {name!r} is not one of {', '.join(o.name for o in self.objectives)}")

    # -- candidates and answers

    @property
    def candidates(self) -> pd.DataFrame:
        """One row per proposed object, with or without an answer, indexed by the candidate's id."""
        rows = [tuple(getattr(c, name) for name in _CANDIDATE_COLUMNS) for c in self.ledger.candidates()]
        frame = pd.DataFrame(rows, columns=list(_CANDIDATE_COLUMNS)).rename(columns={"id": "candidate"})
        return frame.set_index("candidate").astype(dict.fromkeys((*_PREDICTION_COLUMNS, "acquisition"), float))

    @property
    def evaluations(self) -> pd.DataFrame:
        """One row per answer, with a column per objective in the oracle's unit, NaN for a failure."""
        n_answers = self.ledger.n_answers()
        if self._cache is None or self._cache[0] != n_answers:
            self._cache = (n_answers, self._read_evaluations())
        return self._cache[1].copy()

    def _read_evaluations(self) -> pd.DataFrame:
        answers = self.ledger.evaluations()
        values = np.full((len(answers), len(self.objectives)), np.nan)
        for i, answer in enumerate(answers):
            if answer.values is not None:
                values[i] = answer.values
        index = pd.Index([a.candidate_id for a in answers], name="candidate", dtype="int64")
        candidates = self.candidates.loc[index]
        table: dict[str, Any] = {"object": candidates["object"], "round": candidates["round"]}
        table |= {column: values[:, j] for j, column in enumerate(self._columns)}
        if any(a.noise is not None for a in answers):
            table |= {
                f"{column}_std": [np.nan if a.noise is None else a.noise[j] for a in answers]
                for j, column in enumerate(self._columns)
            }
        table["failure"] = [None if a.failure is None else a.failure.kind for a in answers]
        table["reason"] = [None if a.failure is None else a.failure.reason for a in answers]
        table |= {name: [getattr(a, name) for a in answers] for name in _CALL_COLUMNS}
        table |= {name: candidates[name] for name in (*_PREDICTION_COLUMNS, "origin")}
        frame = pd.DataFrame(table, index=index)
        frame = frame.astype({"cost": float, "attempts": int})
        for name in ("failure", "reason", "worker", "origin"):  # pandas 2 would turn None into the text "None"
            frame[name] = frame[name].astype("str").where(frame[name].notna())
        return frame.assign(**{name: pd.to_datetime(frame[name], utc=True) for name in ("started", "finished")})

    @property
    def target_evaluations(self) -> pd.DataFrame:
        """The evaluations; if the campaign chooses among fidelities, only those at the target fidelity."""
        rounds = self.ledger.rounds()
        fidelities = rounds[0].info.get("fidelities") if rounds else None
        table = self.evaluations
        return table[self.candidates.loc[table.index, "fidelity"] == fidelities[-1]] if fidelities else table

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
        """Return the best measured objects, best first.

        Args:
            n: number of objects.
            objective: name of the objective; None: the (first) optimised one.

        Raises:
            ConfigError: there is no such objective.
        """
        column, details = self.find_objective(objective)
        measured = self.target_evaluations.dropna(subset=[column])
        return measured.sort_values(column, ascending=details.goal == "minimise", kind="stable").head(n)

    def front(self) -> pd.DataFrame:
        """Return the measured objects on the Pareto front of the optimised objectives, ordered by the first one."""
        columns = self.optimised
        measured = self.target_evaluations.dropna(subset=list(columns))
        goals = [o.goal for o in columns.values()]
        front = measured[non_dominated(measured[list(columns)].to_numpy(), goals)]
        return front.sort_values(next(iter(columns)), ascending=goals[0] == "minimise", kind="stable")

    # -- rounds

    @property
    def rounds(self) -> pd.DataFrame:
        """One row per round: counts, metrics, ``seconds_<phase>``, and ``info.<key>`` about its model."""
        candidates, evaluations = self.candidates, self.evaluations
        proposed = candidates.groupby("round").size()
        answered = evaluations.groupby("round").size()
        failed = evaluations.groupby("round")["failure"].count()
        rows = []
        for r in self.ledger.rounds():
            row: dict[str, Any] = {"opened": r.opened, "closed": r.closed}
            for name, counts in (("proposed", proposed), ("answered", answered), ("failed", failed)):
                row[name] = int(counts.get(r.number, 0))
            row |= {k if k not in row else f"metric_{k}": v for k, v in flatten(r.metrics or {}).items()}
            row |= {f"seconds_{k}": v for k, v in flatten({**r.seconds, **(r.closing_seconds or {})}).items()}
            info = {k: v for k, v in r.info.items() if k not in _INFO_PER_CANDIDATE}
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
        columns = ["round", "action", "candidate", "object", "reason", "by", "decided"]
        frame = pd.DataFrame(rows, columns=columns).astype({"candidate": "Int64"})
        return frame.assign(decided=pd.to_datetime(frame["decided"], utc=True))

    @property
    def predictions(self) -> pd.DataFrame:
        """Scores of each round's predictions, made before the answers arrived, with one row per objective.

        Further rows score the objects near to, at a medium distance from and far from those measured before.
        """
        rows = []
        for r in self.ledger.rounds():
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
        for r in self.ledger.rounds():
            if (forecast := r.info.get("forecast")) is not None:
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
            (r.number, name, message)
            for r in self.ledger.rounds()
            for name, message in ((r.metrics or {}).get("alarms") or {}).items()
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
