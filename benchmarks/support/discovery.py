"""Discovery benchmarks: a task, an oracle that counts its calls, arms that spend them, and the report.

A task states the space and the oracle as a campaign's config, the data known before the first call, the calls and the
figures. Every arm gets the same task, data and counted oracle. The table has one row for each arm, seed and round, is
written after each arm and seed, and a command that is started again measures only what it lacks.
"""

from __future__ import annotations

import argparse
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from al_loop.campaign.building import build_oracle
from al_loop.campaign.preparation import CampaignParts, prepare
from al_loop.config import CampaignConfig
from al_loop.config.load import parse_config
from al_loop.errors import counted
from al_loop.oracles.base import Oracle, evaluate_all
from benchmarks.support.plots import plot_mean, save_means
from benchmarks.support.resumable import measure_missing

RESULTS = Path(__file__).parents[1] / "results"


@dataclass(frozen=True)
class Measured:
    """A measured object; the value is larger for a better one, and NaN if the oracle gave none."""

    object: str
    value: float
    round: int


@dataclass(frozen=True)
class Task:
    """A benchmark task.

    Args:
        name: name of the table.
        title: title of the plot.
        content: of a campaign's config: environment, oracle, rounds; what is left out is the loop's default.
        data: returns the measurements known before the first call, by seed; None: the first batch is random.
        figures: returns the figures of measured objects.
        column: the figure that the level is about.
        level: what is to be reached; None: there is no level.
        peers: figures of peers, by name.
        counts_data: whether the data are paid for and count as calls.
        overrides: returns what else a seed sets, such as the instance of a random function.
    """

    name: str
    title: str
    content: Mapping[str, Any]
    figures: Callable[[Sequence[Measured]], Mapping[str, float]]
    column: str
    data: Callable[[int], Sequence[tuple[str, float]]] | None = None
    level: float | None = None
    peers: Mapping[str, float] = field(default_factory=dict)
    counts_data: bool = False
    overrides: Callable[[int], Mapping[str, Any]] = lambda seed: {}

    def config(self, seed: int, **changes: Any) -> CampaignConfig:
        """Return the config of a campaign.

        Args:
            seed: the campaign's.
            changes: sections that replace or, where both are mappings, complete those of the task.
        """
        content: dict[str, Any] = {"name": self.name, "seed": seed, "method": "auto", **self.content}
        for part in (self.overrides(seed), changes):
            for key, value in part.items():
                own = content.get(key)
                is_section = isinstance(own, Mapping) and isinstance(value, Mapping) and "kind" not in value
                content[key] = {**own, **value} if is_section else value  # type: ignore[dict-item]
        return parse_config(content)


class BudgetSpentError(Exception):
    """An arm asked for more calls than there are."""


class CountedOracle:
    """A task's oracle, which counts every call and remembers the round of each.

    Args:
        task: the task.
        seed: of the run.
    """

    def __init__(self, task: Task, seed: int) -> None:
        self.task, self.seed = task, seed
        self.data = [] if task.data is None else [Measured(name, value, 0) for name, value in task.data(seed)]
        # a config without earlier data has a random first batch; here it only builds the parts
        self.config = task.config(seed, **({"rounds": {"initial": 1}} if self.data else {}))
        rounds = self.config.rounds
        self.batch_size, self.n_rounds = rounds.batch_size, rounds.count
        self.budget = rounds.batch_size * rounds.count + (0 if self.data else rounds.initial)
        self.history: list[Measured] = list(self.data)
        self.n_calls = 0
        self._round = 0

    @cached_property
    def parts(self) -> CampaignParts:
        """The parts of the loop on this task."""
        return prepare(self.config)

    @cached_property
    def _oracle(self) -> Oracle:
        return build_oracle(self.config)

    @property
    def sign(self) -> float:
        """-1 if the oracle's values are minimised, else 1."""
        return self.parts.objectives.signs[0]

    @property
    def n_left(self) -> int:
        """The calls that are left."""
        return self.budget - self.n_calls

    @property
    def known(self) -> dict[str, float]:
        """The value of every object that was measured, data included."""
        return {m.object: m.value for m in self.history}

    def __call__(self, objects: Sequence[str]) -> list[float]:
        """Measure a batch, each object at one call, and return the values, NaN for a failure.

        Raises:
            BudgetSpentError: there are fewer calls left.
        """
        if len(objects) > self.n_left:
            raise BudgetSpentError(f"{len(objects)} calls, and {self.n_left} are left")
        index = self.parts.objectives.indices[0]
        values = [
            math.nan if outcome.values is None else self.sign * outcome.values[index]
            for outcome in evaluate_all(self._oracle, list(objects))
        ]
        self.record(objects, values)
        return values

    def record(self, objects: Sequence[str], values: Sequence[float]) -> None:
        """Count the calls of a batch that a campaign measured.

        Raises:
            BudgetSpentError: there were fewer calls left.
        """
        self._round += 1
        self.n_calls += len(objects)
        if self.n_left < 0:
            raise BudgetSpentError(f"{self.n_calls} calls, and {self.budget} are allowed")
        self.history += [Measured(name, value, self._round) for name, value in zip(objects, values, strict=True)]

    def rounds(self) -> Iterator[tuple[int, list[Measured]]]:
        """Yield the number of calls and everything known after each round."""
        for number in range(1, self._round + 1):
            known = [m for m in self.history if m.round <= number]
            n_calls = sum(m.round > 0 for m in known)
            yield n_calls + (len(self.data) if self.task.counts_data else 0), known


Arm = Callable[[CountedOracle, Path], None]


def best_values(measured: Sequence[Measured], k: int) -> tuple[list[str], np.ndarray]:
    """Return the k best of the distinct measured objects and their values, the best first; failures are left out.

    Args:
        measured: objects, of which the first measurement of each counts.
        k: number of objects.
    """
    values = {m.object: m.value for m in reversed(measured) if not math.isnan(m.value)}
    best = sorted(values.items(), key=lambda item: -item[1])[:k]
    return [name for name, _ in best], np.array([value for _, value in best])


def hamming_distances(words: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """Return the number of positions in which words of one length differ: n1 x n2."""
    a, b = (np.array([list(word) for word in group]) for group in (words, others))
    return sum((a[:, None, i] != b[None, :, i]).astype(np.int16) for i in range(a.shape[1]))  # type: ignore[return-value]


def mean_hamming_distance(words: Sequence[str]) -> float:
    """Return the mean of the distances of all pairs of words of one length; 0 if there is no pair."""
    n = len(words)
    return float(hamming_distances(words, words).sum() / max(n * (n - 1), 1))


def word_figures(k: int) -> Callable[[Sequence[Measured]], dict[str, float]]:
    """Return the usual figures of words: maximum, median and mean of the top k, their mean distance and novelty.

    Args:
        k: number of the best distinct words.
    """

    def figures(measured: Sequence[Measured]) -> dict[str, float]:
        words, values = best_values(measured, k)
        data = [m.object for m in measured if not m.round]
        n = len(words)
        novelty = float(hamming_distances(words, data).min(1).mean()) if data else math.nan
        return {
            "max": float(values.max(initial=math.nan if not n else values[0])),
            "median": float(np.median(values)) if n else math.nan,
            "mean": float(values.mean()) if n else math.nan,
            "distance": mean_hamming_distance(words),
            "novelty": novelty,
        }

    return figures


def run(task: Task, arms: Mapping[str, Arm], description: str | None = None) -> None:
    """Run a benchmark's command: measure what its table lacks, print the report, and draw the plot.

    Args:
        task: the task.
        arms: the arms by name.
        description: the text of ``--help``.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds")
    parser.add_argument(
        "--first-seed", type=int, default=0, help="the reported seeds begin at 0, those to tune on at 100"
    )
    parser.add_argument("--arms", nargs="*", default=list(arms), choices=list(arms))
    parser.add_argument("--runs", type=Path, default=Path("runs/discovery"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()

    def measure(arm: str, seed: int) -> pd.DataFrame:
        oracle, began = CountedOracle(task, seed), time.process_time()
        folder = given.runs / task.name / f"{arm.replace(', ', '-').replace(' ', '_')}-{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        arms[arm](oracle, folder)
        seconds = time.process_time() - began
        rows = [
            {"arm": arm, "seed": seed, "calls": n_calls, **task.figures(known), "cpu_s": round(seconds, 1)}
            for n_calls, known in oracle.rounds()
        ]
        print(f"{arm}, seed {seed}: {oracle.n_calls} calls, {seconds:.0f} CPU s", flush=True)
        return pd.DataFrame(rows)

    path = given.out / f"{task.name}.csv"
    table = measure_missing(path, given.arms, given.seeds, measure, task.column, given.first_seed)
    report(task, table, list(arms), given.out)


def report(task: Task, table: pd.DataFrame, arms: Sequence[str], out: Path) -> None:
    """Print the last row of each arm as a mean over its seeds, and draw the curves.

    Args:
        task: the task.
        table: the rows of all arms, seeds and rounds.
        arms: the order of the arms.
        out: folder of the plot.
    """
    last = table.sort_values("calls").groupby(["arm", "seed"]).last().reset_index()
    columns = [c for c in last.columns if c not in ("arm", "seed")]
    present = [arm for arm in arms if arm in set(last["arm"])]
    mean = last.groupby("arm")[columns].mean().loc[present]
    mean.insert(0, "seeds", last.groupby("arm").size())
    error = last.groupby("arm")[task.column].sem()
    mean.insert(columns.index(task.column) + 2, "s.e.", error)
    print(f"\n{task.title}\n{mean.round(4).to_string()}")
    if task.level is not None:
        reached = [arm for arm in present if mean.loc[arm, task.column] >= task.level]
        print(f"level: {task.column} {task.level}; reached by {', '.join(reached) or 'none'}")
    for name, value in task.peers.items():
        print(f"{name}: {value}")
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.subplots()
    for arm in present:
        n_seeds = int(mean.loc[arm, "seeds"])
        of_fewer = f" ({counted(n_seeds, 'seed')})" if n_seeds < table["seed"].nunique() else ""
        label = f"{arm}: {mean.loc[arm, task.column]:.3f}{of_fewer}"
        style = {"linewidth": 2.4} if arm == "loop" else {"linewidth": 1.2}
        if arm.startswith("loop, "):
            style["linestyle"] = "--"  # type: ignore[assignment]
        rows = table[table["arm"] == arm].dropna(subset=task.column)  # a figure may be missing between two counts
        plot_mean(axes, rows, "calls", task.column, label, **style)
    low, high = axes.get_ylim()
    labels: list[tuple[float, list[str]]] = []  # lines that lie close together have one label
    for name, value in sorted(task.peers.items(), key=lambda peer: peer[1]):
        axes.axhline(value, color="0.5", linestyle=":", linewidth=1)
        if not labels or value - labels[-1][0] > 0.03 * (high - low):
            labels.append((value, []))
        labels[-1][1].append(name)
    for value, names in labels:
        axes.annotate(", ".join(names), (axes.get_xlim()[0], value), fontsize=6, color="0.4", va="bottom")
    if task.level is not None:
        axes.axhline(task.level, color="0.2", linewidth=0.8, label=f"level: {task.level}")
    axes.set(xlabel="oracle calls", ylabel=task.column)
    title = f"{task.title}, {counted(table['seed'].nunique(), 'seed')}"
    save_means(figure, axes, title, out / f"{task.name}.png", fontsize=7)
