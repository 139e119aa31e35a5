"""A run as tables and figures, for notebooks and for the command line. Needs neither torch nor ray.

>>> run = open_run("runs/quickstart")  # doctest: +SKIP
>>> run.best(5)  # doctest: +SKIP
>>> run.plot_progress().savefig("progress.png")  # doctest: +SKIP

Every property asks the ledger anew, so that a run can be watched while it goes on. Nothing here writes to it.
"""

from __future__ import annotations

import heapq
import html
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from al_loop.analysis.locate import find_ledger, run_folder
from al_loop.errors import ConfigError
from al_loop.ledger import CampaignRow, Ledger
from al_loop.monitoring.metrics import non_dominated, rank_correlation
from al_loop.oracles.base import Goal, Objective
from al_loop.storage.artifacts import ArtifactFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ExportFormat = Literal["csv", "parquet"]
ExportTable = Literal["evaluations", "candidates", "decisions"]
Floats = NDArray[np.float64]

_EVALUATION_FACTS = ("cost", "seconds", "started", "finished", "worker", "attempts", "number", "arrived", "revision")
_PREDICTIONS = ("predicted_mean", "predicted_std")
_OF_CANDIDATES = ("predicted", "nearest")  # facts of a round that are one for each candidate
_RESERVED = {"candidate", "object", "round", "failure", "reason", *_EVALUATION_FACTS, *_PREDICTIONS}
_INK, _GREY, _ACCENT = "#1b2733", "#9aa5b1", "#d9480f"


def open_run(path: str | Path) -> Run:
    """Opens a run to look at it: a run directory, a ledger file, or a database URL.

    Raises ConfigError where there is no run, naming what is there instead.
    """
    return Run(path)


@dataclass(frozen=True)
class RunStatus:
    """Where a run stands. ``calls`` counts oracle calls (retries too), ``planned_rounds`` includes the first batch.

    reason: why it stopped before its last round, by a rule, its budget or for want of objects; else empty.
    """

    name: str
    state: Literal["not started", "unfinished", "stopped", "finished"]
    reason: str
    rounds: int
    closed_rounds: int
    planned_rounds: int | None
    proposed: int
    answered: int
    failed: int
    pending: int
    in_flight: int
    calls: int
    cost: float
    best_object: str | None
    best_value: float | None
    objective: str
    unit: str
    goal: Goal
    sessions: int
    created: datetime
    last_answer: datetime | None


class Run:
    """One campaign, read from its ledger.

    path: a run directory, a ledger file, or a database URL.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self.ledger = Ledger(find_ledger(path), read_only=True)
        campaign = self.ledger.campaign()
        if campaign is None:
            self.ledger.close()
            raise ConfigError(f"{path}: the ledger is still empty; start the campaign with al-loop run")
        self._campaign: CampaignRow = campaign

    # -- what was asked for ------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The campaign's name."""
        return self._campaign.name

    @property
    def config(self) -> dict[str, Any]:
        """The campaign's config, as of its last start."""
        return self.ledger.sessions()[-1].config

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What was measured, with unit and goal."""
        return self._campaign.objectives

    @property
    def objective(self) -> Objective:
        """The one that was optimised, of several the first."""
        return self._objective(None)[1]

    @property
    def optimised(self) -> dict[str, Objective]:
        """All that were optimised, by their columns of ``evaluations``."""
        wanted = self.config.get("optimise")
        names = [wanted] if wanted is None or isinstance(wanted, str) else list(wanted)
        return dict(self._objective(name) for name in names)

    @property
    def value_column(self) -> str:
        """The column of ``evaluations`` with its values."""
        return self._objective(None)[0]

    # -- tables ------------------------------------------------------------------------------------------------------

    @property
    def candidates(self) -> pd.DataFrame:
        """One row per proposed object, answered or not; the index is the candidate's number."""
        columns = ["id", "round", "position", "object", "origin", "fidelity", *_PREDICTIONS, "acquisition"]
        rows = [tuple(getattr(c, name) for name in columns) for c in self.ledger.candidates()]
        frame = pd.DataFrame(rows, columns=columns).rename(columns={"id": "candidate"}).set_index("candidate")
        return frame.astype(dict.fromkeys((*_PREDICTIONS, "acquisition"), float))

    @property
    def evaluations(self) -> pd.DataFrame:
        """One row per answer, a column per objective (NaN where the answer was a failure), in raw oracle units."""
        answers = self.ledger.evaluations()
        values = np.full((len(answers), len(self.objectives)), np.nan)
        for i, answer in enumerate(answers):
            if answer.values is not None:
                values[i] = answer.values
        index = pd.Index([a.candidate_id for a in answers], name="candidate", dtype="int64")
        candidates = self.candidates.loc[index]
        table: dict[str, Any] = {"object": candidates["object"], "round": candidates["round"]}
        table |= {column: values[:, j] for j, column in enumerate(self._value_columns())}
        if any(a.noise is not None for a in answers):
            table |= {
                f"{column}_std": [np.nan if a.noise is None else a.noise[j] for a in answers]
                for j, column in enumerate(self._value_columns())
            }
        table["failure"] = [None if a.failure is None else a.failure.kind for a in answers]
        table["reason"] = [None if a.failure is None else a.failure.reason for a in answers]
        table |= {name: [getattr(a, name) for a in answers] for name in _EVALUATION_FACTS}
        table |= {name: candidates[name] for name in _PREDICTIONS}
        frame = pd.DataFrame(table, index=index)
        frame = frame.astype({"failure": "str", "reason": "str", "worker": "str", "cost": float, "attempts": int})
        return frame.assign(**{name: pd.to_datetime(frame[name], utc=True) for name in ("started", "finished")})

    @property
    def facts(self) -> pd.DataFrame:
        """The small facts that the oracle kept beside each value (its ``info``), a column each."""
        answers = self.ledger.evaluations()
        frame = pd.json_normalize([a.info for a in answers])
        return frame.set_index(pd.Index([a.candidate_id for a in answers], name="candidate", dtype="int64"))

    @property
    def decisions(self) -> pd.DataFrame:
        """One row per decision of a person on a batch (veto, pin, approve), or of a rule that ends a campaign (stop).

        Each tells of what, why, by whom and when. What was replaced is two rows, a veto and a pin that name each other.
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
    def artifacts(self) -> pd.DataFrame:
        """One row per file that came with an answer: its ``path`` in the run directory, its bytes and its SHA-256.

        Of a run that was opened by its database's URL the path begins with ``artifacts``, in its run directory.
        """
        folder = ArtifactFolder((run_folder(self.path) or Path()) / "artifacts")
        rows = [
            (a.candidate_id, name, str(folder.of(a.candidate_id) / name), facts["bytes"], facts["sha256"])
            for a in self.ledger.evaluations()
            for name, facts in a.artifacts.items()
        ]
        return pd.DataFrame(rows, columns=["candidate", "name", "path", "bytes", "sha256"]).set_index("candidate")

    @property
    def rounds(self) -> pd.DataFrame:
        """One row per round: its counts, its metrics, its ``seconds_...`` per phase, and ``info....`` of its model."""
        candidates, evaluations = self.candidates, self.evaluations
        proposed = candidates.groupby("round").size()
        answered = evaluations.groupby("round").size()
        failed = evaluations.groupby("round")["failure"].count()
        rows = []
        for r in self.ledger.rounds():
            row: dict[str, Any] = {"opened": r.opened, "closed": r.closed}
            for name, counts in (("proposed", proposed), ("answered", answered), ("failed", failed)):
                row[name] = int(counts.get(r.number, 0))
            row |= {k if k not in row else f"metric_{k}": v for k, v in _flat(r.metrics or {}).items()}
            row |= {f"seconds_{k}": v for k, v in _flat({**r.seconds, **(r.closing_seconds or {})}).items()}
            of_round = {k: v for k, v in r.info.items() if k not in _OF_CANDIDATES}
            row |= {f"info.{k}": v for k, v in _flat(of_round).items()}
            row["seed"] = str(r.seed)
            rows.append(row | {"round": r.number})
        frame = pd.DataFrame(rows, columns=None if rows else ["round", "opened", "closed"]).set_index("round")
        return frame.assign(**{name: pd.to_datetime(frame[name], utc=True) for name in ("opened", "closed")})

    def best(self, n: int = 10, objective: str | None = None) -> pd.DataFrame:
        """The n best measured objects, best first; objective: its name, the one optimised where left out."""
        column, facts = self._objective(objective)
        measured = self._at_target().dropna(subset=[column])
        return measured.sort_values(column, ascending=facts.goal == "minimise", kind="stable").head(n)

    def front(self) -> pd.DataFrame:
        """Of several objectives the measured objects of best trade-offs, ordered by the first objective."""
        columns = self.optimised
        measured = self._at_target().dropna(subset=list(columns))
        goals = [o.goal for o in columns.values()]
        best = measured[non_dominated(measured[list(columns)].to_numpy(), goals)]
        return best.sort_values(next(iter(columns)), ascending=goals[0] == "minimise", kind="stable")

    @property
    def predictions(self) -> pd.DataFrame:
        """How good the predictions of each round were that were made before its answers came: a row an objective.

        The scores of all answers, and of those near to, in the middle of and far from what had been measured before.
        """
        rows = []
        for r in self.ledger.rounds():
            for name, scores in ((r.metrics or {}).get("predictions") or {}).items():
                groups = {"all": scores, **scores.get("by_distance", {})}
                for group, found in groups.items():
                    facts = {k: v for k, v in found.items() if k not in ("by_distance", "coverage")}
                    facts |= {f"coverage_{level}": share for level, share in found["coverage"].items()}
                    rows.append({"round": r.number, "objective": name, "distance": group, **facts})
        return pd.DataFrame(rows)

    @property
    def forecasts(self) -> pd.DataFrame:
        """What each batch was expected to bring, and what it brought: ``best`` after the round."""
        rows = []
        for r in self.ledger.rounds():
            if (forecast := r.info.get("forecast")) is not None:
                metrics = r.metrics or {}
                best = metrics.get("best") if metrics.get("hypervolume") is None else metrics["hypervolume"]
                rows.append({"round": r.number, **forecast, "best": best})
        return pd.DataFrame(rows)

    @property
    def alarms(self) -> pd.DataFrame:
        """What the campaign warned of: a row an alarm."""
        rows = [
            (r.number, name, message)
            for r in self.ledger.rounds()
            for name, message in ((r.metrics or {}).get("alarms") or {}).items()
        ]
        return pd.DataFrame(rows, columns=["round", "alarm", "message"])

    def _at_target(self) -> pd.DataFrame:
        """The evaluations; where the campaign chose among fidelities, those at the one that counts."""
        rounds = self.ledger.rounds()
        names = rounds[0].info.get("fidelities") if rounds else None
        table = self.evaluations
        return table[self.candidates.loc[table.index, "fidelity"] == names[-1]] if names else table

    def _value_columns(self) -> list[str]:
        return [o.name if o.name not in _RESERVED else f"value_{o.name}" for o in self.objectives]

    def _objective(self, name: str | None) -> tuple[str, Objective]:
        """The column and the facts of an objective; None: of the one that was optimised."""
        wanted = self.config.get("optimise")
        name = name or (wanted if wanted is None or isinstance(wanted, str) else wanted[0])
        for column, objective in zip(self._value_columns(), self.objectives, strict=True):
            if name is None or name in (column, objective.name):
                return column, objective
        known = ", ".join(o.name for o in self.objectives)
        raise ConfigError(f"objective: {name!r} is not one of {known}")

    def status(self) -> RunStatus:
        """Where the run stands, in a handful of numbers."""
        evaluations, rounds = self.evaluations, self.ledger.rounds()
        column, objective = self._objective(None)
        best = self.best(1)
        n_proposed, n_answered = len(self.ledger.candidates()), len(evaluations)
        n_closed = sum(r.closed is not None for r in rounds)
        settings = self.config.get("rounds")
        count = settings.get("count") if isinstance(settings, Mapping) else None
        planned = count + 1 if isinstance(count, int) else None
        n_pending = len(self.ledger.pending())
        is_finished = planned is not None and n_closed >= planned and not n_pending
        sessions = self.ledger.sessions()
        stops = [d.reason for d in self.ledger.decisions() if d.action == "stop" and d.decided >= sessions[-1].started]
        reason = stops[-1] if stops and not is_finished else ""
        over: Literal["finished", "stopped", "unfinished"]
        over = "finished" if is_finished else "stopped" if reason else "unfinished"
        return RunStatus(
            name=self.name,
            state=over if rounds else "not started",
            reason=reason,
            rounds=len(rounds),
            closed_rounds=n_closed,
            planned_rounds=planned,
            proposed=n_proposed,
            answered=n_answered,
            failed=int(evaluations["failure"].count()),
            pending=n_pending,
            in_flight=len(self.ledger.in_flight()),
            calls=len(self.ledger.attempts()),
            cost=self.ledger.cost(),
            best_object=None if best.empty else str(best["object"].iloc[0]),
            best_value=None if best.empty else float(best[column].iloc[0]),
            objective=objective.name,
            unit=objective.unit,
            goal=objective.goal,
            sessions=len(sessions),
            created=self._campaign.created,
            last_answer=None if evaluations.empty else evaluations["finished"].max().to_pydatetime(),
        )

    # -- figures -----------------------------------------------------------------------------------------------------

    def plot_progress(self, ax: Axes | None = None, *, objective: str | None = None) -> Figure:
        """Every measurement as a dot, the best so far and the mean of the ten best, against oracle calls.

        Failures are ticks at the bottom; what lies far beyond the others is drawn at the edge as a triangle.
        """
        column, facts = self._objective(objective)
        table = self.evaluations
        calls = table["attempts"].clip(lower=1).cumsum().to_numpy(dtype=np.float64)
        values = table[column].to_numpy(dtype=np.float64)
        rounds = table["round"].to_numpy()
        is_measured = np.isfinite(values)
        figure, ax = _axes(ax, (7.5, 4.2))
        ax.set(xlabel="oracle calls", ylabel=_label(facts), title=f"{self.name}: progress")
        if is_measured.any():
            x, y = calls[is_measured], values[is_measured]
            low, high = _visible_range(y, keep=facts.goal)
            shown = np.clip(y, low, high)
            dots = _Dots(rounds)
            for inside, marker in ((shown == y, "o"), (shown > y, "v"), (shown < y, "^")):
                dots.draw(ax, x[inside], shown[inside], rounds[is_measured][inside], marker)
            dots.add_legend(figure, ax)
            best, top = _running_best(y, facts.goal, 10)
            ax.step(x, best, where="post", color=_INK, lw=2, label="best so far", zorder=4)
            if len(y) >= 10:
                ax.step(x[9:], top[9:], where="post", color=_ACCENT, lw=2, label="mean of the 10 best", zorder=4)
            margin = 0.06 * (high - low) or 1.0
            ax.set_ylim(low - 1.5 * margin, high + margin)
        else:
            ax.text(0.5, 0.5, "nothing measured yet", transform=ax.transAxes, ha="center", color=_GREY)
        failed = calls[~is_measured]
        if len(failed):
            ax.plot(
                failed, np.full(len(failed), 0.025), "|", ms=8, mew=1.3, color="#c92a2a",
                transform=ax.get_xaxis_transform(), zorder=6, label=f"failed ({len(failed)})",
            )  # fmt: skip
        if len(values):
            corner: Literal["lower right", "upper right"] = "lower right" if facts.goal == "maximise" else "upper right"
            ax.legend(loc=corner, framealpha=0.9, edgecolor="none", fontsize=9)
        ax.set_xlim(0, max(calls.max(initial=1.0) * 1.02, 2))
        return figure

    def plot_front(self, ax: Axes | None = None) -> Figure:
        """Of two optimised objectives every measurement, and the front of best trade-offs."""
        columns = self.optimised
        if len(columns) != 2:
            raise ConfigError(f"plot_front shows two objectives, and this campaign optimises {len(columns)}")
        (x, x_facts), (y, y_facts) = columns.items()
        table, front = self._at_target().dropna(subset=[x, y]), self.front()
        figure, ax = _axes(ax, (5.6, 4.6))
        dots = _Dots(self.evaluations["round"].to_numpy())
        dots.draw(ax, table[x].to_numpy(), table[y].to_numpy(), table["round"].to_numpy())
        dots.add_legend(figure, ax, shrink=0.88)
        ax.plot(
            front[x], front[y], color=_ACCENT, lw=1.5, marker="o", mfc="none", ms=8, zorder=4, label="best trade-offs"
        )
        arrows = {"maximise": "higher is better", "minimise": "lower is better"}
        ax.set(
            xlabel=f"{_label(x_facts)}, {arrows[x_facts.goal]}",
            ylabel=f"{_label(y_facts)}, {arrows[y_facts.goal]}",
            title=f"{self.name}: {len(front)} on the front of {len(table)}",
        )
        ax.legend(loc="best", framealpha=0.9, edgecolor="none", fontsize=9)
        return figure

    def plot_calibration(self, ax: Axes | None = None, *, objective: str | None = None) -> Figure:
        """What was predicted before each measurement (with one standard deviation) against what was measured."""
        column, facts = self._objective(objective)
        table = self.evaluations.dropna(subset=[column, "predicted_mean"])
        figure, ax = _axes(ax, (5.2, 4.8))
        ax.set(xlabel=f"measured {_label(facts)}", ylabel=f"predicted {_label(facts)}")
        if table.empty:
            ax.set_title(f"{self.name}: calibration")
            ax.text(0.5, 0.5, "nothing was predicted yet", transform=ax.transAxes, ha="center", color=_GREY)
            return figure
        measured, mean = table[column].to_numpy(), table["predicted_mean"].to_numpy()
        std = table["predicted_std"].to_numpy()
        rounds = table["round"].to_numpy()
        ranges = np.array([_visible_range(measured), _visible_range(mean)])
        low, high = float(ranges.min()), float(ranges.max())
        margin = 0.08 * (high - low) or 1.0
        limits = (low - margin, high + margin)
        ax.plot(limits, limits, color=_GREY, lw=1, ls="--", zorder=1)
        ax.errorbar(
            measured, mean, yerr=np.nan_to_num(std), fmt="none", ecolor=_GREY, elinewidth=0.8, alpha=0.6, zorder=2
        )
        dots = _Dots(self.evaluations["round"].to_numpy())
        dots.draw(ax, measured, mean, rounds)
        dots.add_legend(figure, ax, shrink=0.88)
        ax.set(xlim=limits, ylim=limits)
        ax.set_aspect("equal")
        correlation = rank_correlation(mean, measured)
        facts_line = f"rank correlation {correlation:.2f} · n = {len(table)}"
        if np.isfinite(std).all():
            facts_line += f" · {np.mean(np.abs(measured - mean) <= std):.0%} within one sd (68 % expected)"
        pairs = np.stack([measured, mean])
        n_beyond = int(np.any((pairs < limits[0]) | (pairs > limits[1]), axis=0).sum())
        if n_beyond:
            facts_line += f"\n{n_beyond} far beyond the axes"
        ax.set_title(f"{self.name}: calibration\n" + ("\n" if n_beyond else ""))
        ax.text(0.5, 1.02, facts_line, transform=ax.transAxes, ha="center", fontsize=8.5, color="#495057")
        return figure

    # -- the object itself -------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        s = self.status()
        best = "nothing measured" if s.best_value is None else f"best {s.best_value:.4g} {s.unit}".rstrip()
        return f"<Run {s.name!r} ({s.state}): {s.rounds} rounds, {s.answered} answers, {s.failed} failed, {best}>"

    def _repr_html_(self) -> str:
        s = self.status()
        planned = f" of {s.planned_rounds}" if s.planned_rounds is not None else ""
        facts = {
            "state": s.state,
            "rounds": f"{s.closed_rounds}{planned} closed",
            "answers": f"{s.answered} ({s.failed} failed, {s.pending} pending)",
            "oracle calls": f"{s.calls}",
            "cost": f"{s.cost:.6g}",
            "objective": f"{s.goal} {s.objective}{f' ({s.unit})' if s.unit else ''}",
        }
        cell = "style='text-align:left'"
        rows = "".join(
            f"<tr><th {cell}>{html.escape(k)}</th><td {cell}>{html.escape(v)}</td></tr>" for k, v in facts.items()
        )
        column, _ = self._objective(None)
        best = self.best(5)[["object", column, "round"]].to_html(float_format=lambda v: f"{v:.4g}", border=0)
        return f"<h4>{html.escape(s.name)}</h4><table>{rows}</table><p>The best so far:</p>{best}"

    def close(self) -> None:
        """Closes the ledger's connections."""
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def export(run: Run | str | Path, format: str, path: str | Path, table: str = "evaluations") -> Path:
    """Writes a table of a run to a file, which is complete or not there at all.

    Args:
        run: an opened one, or where it is.
        format: csv or parquet.
        path: of the file.
        table: evaluations (every answer), candidates (what was proposed), or decisions (with their reasons).
    """
    for name, given, known in (("format", format, get_args(ExportFormat)), ("table", table, get_args(ExportTable))):
        if given not in known:
            raise ConfigError(f"export: {name} {given!r} is not one of {', '.join(known)}")
    if not isinstance(run, Run):
        with open_run(run) as opened:
            return export(opened, format, path, table)
    frame: pd.DataFrame = getattr(run, table)
    frame = frame.reset_index(drop=frame.index.name is None)
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if format == "csv":
            frame.to_csv(partial, index=False, date_format="%Y-%m-%dT%H:%M:%S.%f%z")
        else:
            frame.to_parquet(partial, index=False)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ConfigError(f"export: {path} cannot be written ({error.strerror or error})") from error
    return path


# -- small helpers ---------------------------------------------------------------------------------------------------


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _running_best(values: Iterable[float], goal: Goal, k: int) -> tuple[Floats, Floats]:
    """After each value: the best so far, and the mean of the k best so far (of all where there are fewer)."""
    sign = 1.0 if goal == "maximise" else -1.0
    heap: list[float] = []
    best, top = [], []
    for value in values:
        (heapq.heappush if len(heap) < k else heapq.heappushpop)(heap, sign * value)
        best.append(sign * max(heap))
        top.append(sign * sum(heap) / len(heap))
    return np.array(best), np.array(top)


def _visible_range(values: Floats, keep: Goal | None = None) -> tuple[float, float]:
    """The range to draw: all values, but for those more than six interquartile ranges away from the middle half.

    keep: the side on which nothing is left out, since the best is there.
    """
    first, third = np.quantile(values, [0.25, 0.75])
    reach = 6 * (third - first) or np.inf
    low = -np.inf if keep == "minimise" else first - reach
    high = np.inf if keep == "maximise" else third + reach
    inside = values[(values >= low) & (values <= high)]
    return float(inside.min()), float(inside.max())


class _Dots:
    """Measurements coloured by their round: grey for the random first batch, then from dark to light."""

    def __init__(self, rounds: NDArray[np.int64]) -> None:
        from matplotlib import colormaps
        from matplotlib.colors import BoundaryNorm, ListedColormap

        self._n = int(rounds.max()) + 1
        shades = colormaps["viridis"](np.linspace(0.15, 0.92, max(self._n - 1, 1)))
        self._colours = ListedColormap([_GREY, *shades])
        self._norm = BoundaryNorm(np.arange(-0.5, len(shades) + 1.5), len(shades) + 1)

    def draw(self, ax: Axes, x: Floats, y: Floats, rounds: NDArray[np.int64], marker: str = "o") -> None:
        if len(x):
            ax.scatter(
                x, y, c=rounds, cmap=self._colours, norm=self._norm, s=24, marker=marker, alpha=0.85, lw=0, zorder=3
            )

    def add_legend(self, figure: Figure, ax: Axes, shrink: float = 1.0) -> None:
        """A bar of the rounds' colours, where there is more than one."""
        if self._n == 1:
            return
        from matplotlib.cm import ScalarMappable

        scale = ScalarMappable(norm=self._norm, cmap=self._colours)
        bar = figure.colorbar(scale, ax=ax, pad=0.02, aspect=28, shrink=shrink, label="round (0: random)")
        ticks = range(0, self._n, max(1, -(-self._n // 12)))
        bar.set_ticks([float(i) for i in ticks], labels=[str(i) for i in ticks])
        bar.ax.minorticks_off()
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0, labelsize=8)


def _label(objective: Objective) -> str:
    name = objective.name.replace("_", " ")
    return f"{name} ({objective.unit})" if objective.unit else name


def _axes(ax: Axes | None, size: tuple[float, float]) -> tuple[Figure, Axes]:
    """The axes given, or those of a new figure that pyplot does not know and a notebook shows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    class Picture(Figure):
        """A figure that shows itself in a notebook without pyplot."""

        def _repr_png_(self) -> bytes:
            from io import BytesIO

            buffer = BytesIO()
            self.savefig(buffer, format="png", dpi=120)
            return buffer.getvalue()

    if ax is None:
        picture = Picture(figsize=size, layout="constrained")
        FigureCanvasAgg(picture)
        ax = picture.add_subplot()
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="both", color="#e9ecef", lw=0.8)
    ax.set_axisbelow(True)
    ax.title.set_fontweight("bold")
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure, ax
