"""Several runs side by side: progress against the same number of calls, with bands over seeds, and a paired test.

Runs whose configs differ in the seed alone form a group. Groups are compared where all runs have made as many calls:
retries count, earlier data do not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from al_loop.datafiles.nested import flatten
from al_loop.errors import ConfigError, counted, not_one_of
from al_loop.ledger.queries import IMPORTED
from al_loop.oracles.base import Goal, Objective
from al_loop.system.numbers import significant

if TYPE_CHECKING:
    from al_loop.analysis.tables import RunTables

Metric = Literal["top10_mean", "best", "hypervolume"]

_TOP = 10
#: keys of a config that are no setting of the campaign's course
_NOT_SETTINGS = ("seed", "name", "ledger", "checkpoints", "sinks", "resources")
_POINTS = 200  # of a band, at most
_PERMUTATIONS = 9999  # above which permutations are drawn at random


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs side by side.

    Args:
        objective: what is compared; of several objectives, the first.
        metric: best (value so far), top10_mean (mean of the ten best so far) or hypervolume.
        goal: the better direction of the metric.
        at: the number of calls at which the groups are compared: what all runs have made.
        runs: one row per run: group, seed, calls, imported answers, failures, cost, and the metric at that number.
        bands: for each group and number of calls the mean, standard deviation and range over its runs.
        groups: one row per group: number of runs, mean and standard deviation at that number of calls.
        tests: one row per pair of groups: the mean difference, its 95 % interval, and the p-value.
        notes: what makes the comparison less than fair, and how to read it.
    """

    objective: Objective
    metric: Metric
    goal: Goal
    at: int
    runs: pd.DataFrame
    bands: pd.DataFrame
    groups: pd.DataFrame
    tests: pd.DataFrame
    notes: tuple[str, ...]

    def _repr_html_(self) -> str:
        import html

        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        tables = [frame.to_html(float_format=significant, border=0) for frame in (self.groups, self.tests)]
        return f"<p>{html.escape(self.title)}</p>{''.join(tables)}<ul>{notes}</ul>"

    @property
    def title(self) -> str:
        """The compared number as a heading, such as ``best affinity (nM) after 96 calls``."""
        what = {"top10_mean": f"mean of the {_TOP} best {self.objective.name}", "best": f"best {self.objective.name}"}
        unit = f" ({self.objective.unit})" if self.objective.unit and self.metric != "hypervolume" else ""
        return f"{what.get(self.metric, 'hypervolume')}{unit} after {counted(self.at, 'call')}"


def compare(
    runs: Sequence[RunTables], *, metric: Metric | None = None, at: int | None = None, names: Sequence[str] = ()
) -> Comparison:
    """Compare runs.

    Args:
        runs: at least one, which optimise the same objectives.
        metric: ``best``, ``top10_mean`` or ``hypervolume``; None: hypervolume for several objectives, else top10_mean,
            or best where no ten values are there at the number of calls.
        at: number of calls; None: as many as all runs have made.
        names: the group of each run, where they are not to be grouped by their configs.

    Raises:
        ConfigError: there is nothing to compare, the runs optimise different things, or a metric or number of calls
            is not possible.
    """
    if not runs:
        raise ConfigError("compare: name at least one run")
    if metric is not None and metric not in get_args(Metric):
        raise ConfigError(f"metric {not_one_of(metric, get_args(Metric))}")
    objective, several = _common_objective(runs)
    labels = list(names) or group_labels([run.config for run in runs])
    if len(labels) != len(runs):
        raise ConfigError(f"names: expected one for each of {counted(len(runs), 'run')}, got {len(labels)}")
    n_calls = [_calls(run) for run in runs]
    fewest = int(min(len(calls) and calls[-1] for calls in n_calls))
    if fewest < 1:
        empty = ", ".join(run.path for run, calls in zip(runs, n_calls, strict=True) if not len(calls))
        raise ConfigError(f"compare: there is no answer yet in {empty}; leave it out, or wait")
    if at is not None and not 1 <= at <= fewest:
        raise ConfigError(f"at: expected a number of calls from 1 to {fewest}, which all runs have made, got {at}")
    at = fewest if at is None else at
    if metric is None:
        metric = "hypervolume" if several else "top10_mean"
        has_ten = several or all(np.isfinite(_at(_curve(run, metric), at)) for run in runs)
        metric = metric if has_ten else "best"
    if (metric == "hypervolume") != several:
        what = "several objectives" if several else "a single objective"
        raise ConfigError(f"metric: {metric!r} does not fit runs of {what}")
    goal: Goal = "maximise" if several else objective.goal
    curves = [_curve(run, metric) for run in runs]
    table = _run_table(runs, labels, curves, at)
    groups = table.groupby("group", sort=False)["value"].agg(["count", "mean", "std", "min", "max"])
    groups = groups.rename(columns={"count": "n"})
    bands = _bands(labels, curves, max(int(c[-1]) for c in n_calls))
    return Comparison(objective, metric, goal, at, table, bands, groups, _tests(table), _notes(runs, table))


def group_labels(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the group of each config: the settings by which it differs from others, the seed aside.

    Args:
        configs: the configs of the runs.
    """
    flat = [
        {k: v for k, v in flatten(dict(config)).items() if k.split(".")[0] not in _NOT_SETTINGS} for config in configs
    ]
    keys = dict.fromkeys(key for config in flat for key in config)
    differing = [key for key in keys if len({repr(config.get(key)) for config in flat}) > 1]
    if not differing:
        return [str(config.get("name") or "runs") for config in configs[:1]] * len(configs)
    # a kind that differs explains the settings that come with it
    kinds = [key.rpartition(".")[0] for key in differing if key.endswith(".kind")]
    shown = [k for k in differing if k.endswith(".kind") or k.rpartition(".")[0] not in kinds] or differing
    if len({tuple(repr(c.get(k)) for k in shown) for c in flat}) < len(
        {tuple(repr(c.get(k)) for k in differing) for c in flat}
    ):
        shown = differing
    return [", ".join(f"{key}={config.get(key, 'unset')}" for key in shown) for config in flat]


def _common_objective(runs: Sequence[RunTables]) -> tuple[Objective, bool]:
    first = runs[0]
    wanted = [(o.name, o.unit, o.goal) for o in first.optimised.values()]
    for run in runs[1:]:
        if [(o.name, o.unit, o.goal) for o in run.optimised.values()] != wanted:
            own = ", ".join(f"{o.goal} {o.name} ({o.unit})" for o in run.optimised.values())
            other = ", ".join(f"{goal} {name} ({unit})" for name, unit, goal in wanted)
            raise ConfigError(f"{run.path} optimises {own}, and {first.path} {other}; compare runs of one objective")
    return first.objective, len(wanted) > 1


def _calls(run: RunTables) -> NDArray[np.int64]:
    """Return the number of calls at each answer of the run's own, in the order of arrival."""
    table = run.evaluations
    own = table[table["origin"] != IMPORTED].sort_values("number")
    calls: NDArray[np.int64] = own["attempts"].clip(lower=1).cumsum().to_numpy(dtype=np.int64)
    return calls


def _curve(run: RunTables, metric: Metric) -> pd.Series:
    """Return the metric against the number of calls, where it is defined."""
    if metric == "hypervolume":
        numbers = _calls(run)
        points = [(r.metrics or {}) for r in run.round_rows]
        pairs = {
            int(numbers[min(int(m["calls"]), len(numbers)) - 1]): float(m["hypervolume"])
            for m in points
            if m.get("hypervolume") is not None and m.get("calls") and len(numbers)
        }
        return pd.Series(pairs, dtype=float).sort_index()
    table = run.evaluations.sort_values("number")
    counts = (table["attempts"].clip(lower=1) * (table["origin"] != IMPORTED)).cumsum()
    results = run.results.dropna(subset=[run.value_column]).sort_values("number")
    sign = 1.0 if run.objective.goal == "maximise" else -1.0
    best: list[float] = []
    cells: list[float] = []
    k = 1 if metric == "best" else _TOP
    for value in (sign * results[run.value_column]).tolist():
        best = sorted([*best, value], reverse=True)[:k]
        cells.append(sign * sum(best) / k if len(best) == k else np.nan)
    curve = pd.Series(cells, index=counts.loc[results.index].to_numpy(), dtype=float)
    return curve.groupby(level=0).last()


def _at(curve: pd.Series, calls: int) -> float:
    """Return the metric after a number of calls; NaN where it is not defined yet."""
    known = curve[curve.index <= calls]
    return float(known.iloc[-1]) if len(known) else np.nan


def _run_table(runs: Sequence[RunTables], labels: Sequence[str], curves: Sequence[pd.Series], at: int) -> pd.DataFrame:
    rows = []
    for run, label, curve in zip(runs, labels, curves, strict=True):
        campaign, evaluations = run.ledger.campaign(), run.evaluations
        assert campaign is not None
        imported = int((evaluations["origin"] == IMPORTED).sum())
        row = {"group": label, "run": run.path, "seed": campaign.seed, "calls": run.ledger.n_calls()}
        row |= {"imported": imported, "failed": int(evaluations["failure"].count()), "cost": run.ledger.cost()}
        rows.append(row | {"value": _at(curve, at)})
    return pd.DataFrame(rows)


def _bands(labels: Sequence[str], curves: Sequence[pd.Series], most: int) -> pd.DataFrame:
    grid = np.unique(np.linspace(1, most, min(most, _POINTS)).round().astype(int))
    rows = []
    for label in dict.fromkeys(labels):
        own = [curve for curve, name in zip(curves, labels, strict=True) if name == label]
        for calls in grid.tolist():
            # a run that has ended says nothing of later calls
            values = [_at(c, calls) for c in own if len(c) and calls <= c.index[-1]]
            known = [value for value in values if np.isfinite(value)]
            if known and len(known) == len(own):
                std = float(np.std(known, ddof=1)) if len(known) > 1 else np.nan
                rows.append((label, calls, float(np.mean(known)), std, min(known), max(known), len(known)))
    return pd.DataFrame(rows, columns=["group", "calls", "mean", "std", "low", "high", "n"])


def _tests(table: pd.DataFrame) -> pd.DataFrame:
    """Return a test of each pair of groups: of paired seeds where there are at least two, else of all their runs."""
    rows = []
    for a, b in itertools.combinations(dict.fromkeys(table["group"]), 2):
        first, second = (table[table["group"] == name].dropna(subset=["value"]) for name in (a, b))
        seeds = [s for s in first["seed"] if s in set(second["seed"])]
        is_paired = len(seeds) >= 2 and first["seed"].is_unique and second["seed"].is_unique
        if is_paired:
            x, y = (frame.set_index("seed").loc[seeds, "value"].to_numpy(dtype=float) for frame in (first, second))
        else:
            x, y = first["value"].to_numpy(dtype=float), second["value"].to_numpy(dtype=float)
        rows.append((a, b, is_paired, len(x), len(y), *_difference(x, y, is_paired=is_paired)))
    names = ["first", "second", "paired", "n_first", "n_second", "difference", "low", "high", "p"]
    frame = pd.DataFrame(rows, columns=names)
    return frame.assign(p_holm=_holm(frame["p"].to_numpy(dtype=float)))


def _difference(
    x: NDArray[np.float64], y: NDArray[np.float64], *, is_paired: bool
) -> tuple[float, float, float, float]:
    """Return the mean difference, its 95 % interval (of Student's or Welch's t), and the p-value of a permutation."""
    from scipy import stats

    if not len(x) or not len(y):
        return np.nan, np.nan, np.nan, np.nan
    difference = float(x.mean() - y.mean())
    if len(x) < 2 or len(y) < 2:
        return difference, np.nan, np.nan, np.nan
    spread = np.ptp(x - y) if is_paired else max(np.ptp(x), np.ptp(y))
    has_spread = spread > 1e-12 * max(np.abs(x).max(), np.abs(y).max())
    if not has_spread:
        low = high = difference
    else:
        test = stats.ttest_rel(x, y) if is_paired else stats.ttest_ind(x, y, equal_var=False)
        interval = test.confidence_interval(0.95)
        low, high = float(interval.low), float(interval.high)
    return difference, low, high, permutation_p(x, y, is_paired=is_paired)


def permutation_p(x: NDArray[np.float64], y: NDArray[np.float64], *, is_paired: bool) -> float:
    """Return the two-sided p-value of a difference of means, by permutation; exact where there are few values.

    Args:
        x: values of one group.
        y: values of the other; of the same length and order if they are paired.
        is_paired: whether the values of a pair are swapped, rather than dealt out anew.
    """
    rng = np.random.default_rng(0)
    if is_paired:
        d, n = x - y, len(x)
        if 2**n <= _PERMUTATIONS:
            signs = np.array(list(itertools.product((1.0, -1.0), repeat=n)))
        else:
            signs = np.vstack([np.ones(n), rng.choice((1.0, -1.0), size=(_PERMUTATIONS, n))])
        means = signs @ d / n
    else:
        values, n = np.concatenate([x, y]), len(x)
        if math.comb(len(values), n) <= _PERMUTATIONS:
            picks = np.array(list(itertools.combinations(range(len(values)), n)))
        else:
            random = np.argsort(rng.random((_PERMUTATIONS, len(values))), axis=1)[:, :n]
            picks = np.vstack([np.arange(n), random])
        sums = values[picks].sum(axis=1)
        means = sums / n - (values.sum() - sums) / len(y)
    observed = abs(float(x.mean() - y.mean()))
    return float((np.abs(means) >= observed * (1 - 1e-12)).mean())


def _holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p-values corrected for their number (Holm 1979); NaN stays NaN."""
    corrected = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    largest = 0.0
    for place, i in enumerate(known[np.argsort(p[known])]):
        largest = max(largest, min(1.0, (len(known) - place) * float(p[i])))
        corrected[i] = largest
    return corrected


def _notes(runs: Sequence[RunTables], table: pd.DataFrame) -> tuple[str, ...]:
    notes = []
    if table["imported"].nunique() > 1:
        notes.append("The runs began with different amounts of earlier data, so equal calls are not equal knowledge.")
    sizes = {int((run.evaluations["round"] == 0).sum()) for run in runs}
    if len(sizes) > 1:
        notes.append(f"The first batches differ in size: {', '.join(map(str, sorted(sizes)))} answers.")
    if missing := int(table["value"].isna().sum()):
        notes.append(f"{counted(missing, 'run')} had no value at this number of calls.")
    counts = table.groupby("group")["seed"].count()
    if counts.min() < 2:
        notes.append("A group of one run has no spread; several seeds are needed to tell a difference from chance.")
    elif counts.min() < 5:
        notes.append(
            f"With {int(counts.min())} runs in a group, the smallest p-value that can come out is "
            f"{2 * 0.5 ** int(counts.min()):.2g} (paired); a difference that is not significant may be real."
        )
    if not table.groupby("group")["seed"].apply(lambda seeds: seeds.is_unique).all():
        notes.append("A seed occurs twice in a group, so seeds cannot be paired.")
    return tuple(notes)
