"""Figures of a run: progress, trade-offs between two objectives, and calibration.

matplotlib is loaded when a figure is drawn; pyplot is never loaded.
"""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from al_loop.analysis.tables import RunTables
from al_loop.errors import ConfigError
from al_loop.monitoring.metrics import rank_correlation
from al_loop.oracles.base import Goal, Objective

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

_INK, _GREY, _ACCENT = "#1b2733", "#9aa5b1", "#d9480f"
_TOP_K = 10


def progress(run: RunTables, ax: Axes | None = None, *, objective: str | None = None) -> Figure:
    """Plot every measurement, the best so far and the mean of the ten best, against oracle calls.

    Only results count (see ``RunTables.results``): values outside the bounds on outcomes, or at another than the target
    fidelity, are hollow. Failures are ticks at the bottom; values far beyond the others are triangles at the edge. With
    several objectives and none named, the hypervolume after each round is plotted instead.

    Args:
        run: the run.
        ax: the axes to draw into; None: the axes of a new figure.
        objective: name of the objective; None: the optimised one.

    Raises:
        ConfigError: there is no such objective.
    """
    if objective is None and len(run.optimised) > 1:
        return _hypervolume(run, ax)
    column, details = run.find_objective(objective)
    table = run.evaluations
    calls = table["attempts"].clip(lower=1).cumsum().to_numpy(dtype=np.float64)
    values = table[column].to_numpy(dtype=np.float64)
    rounds = table["round"].to_numpy()
    is_measured = np.isfinite(values)
    is_result = is_measured & table.index.isin(run.target_evaluations.index)
    is_result &= table["object"].isin(run.results["object"]).to_numpy()
    figure, ax = new_axes(ax, (7.5, 4.2))
    ax.set(xlabel="oracle calls", ylabel=axis_label(details), title=f"{plain(run.name)}: progress")
    if is_measured.any():
        x, y, counts = calls[is_measured], values[is_measured], is_result[is_measured]
        low, high = _visible_range(y, keep=details.goal)
        clipped = np.clip(y, low, high)
        dots = _RoundDots(rounds)
        for rows, marker in ((clipped == y, "o"), (clipped > y, "v"), (clipped < y, "^")):
            dots.draw(ax, x[rows & counts], clipped[rows & counts], rounds[is_measured][rows & counts], marker)
        if not counts.all():
            ax.plot(
                x[~counts], clipped[~counts], "o", mfc="none", mec=_GREY, ms=4.5, zorder=2,
                label=f"does not count ({int((~counts).sum())})",
            )  # fmt: skip
        dots.add_legend(figure, ax)
        if counts.any():
            _draw_best(ax, x[counts], y[counts], details.goal, table["object"].to_numpy()[is_result])
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
        corner: Literal["lower right", "upper right"] = "lower right" if details.goal == "maximise" else "upper right"
        ax.legend(loc=corner, framealpha=0.9, edgecolor="none", fontsize=9)
    ax.set_xlim(0, max(calls.max(initial=1.0) * 1.02, 2))
    return figure


def _draw_best(ax: Axes, x: Floats, y: Floats, goal: Goal, objects: Sequence[str]) -> None:
    """Draw the best result so far, and the mean of the ten best from the tenth result on."""
    names = list(dict.fromkeys(objects))
    best, top = _running_best(y, goal, _TOP_K) if len(names) == len(y) else _best_means(y, goal, _TOP_K, objects)
    ax.step(x, best, where="post", color=_INK, lw=2, label="best so far", zorder=4)
    if len(names) >= _TOP_K:
        first = list(objects).index(names[_TOP_K - 1])  # the tenth object
        label = f"mean of the {_TOP_K} best"
        ax.step(x[first:], top[first:], where="post", color=_ACCENT, lw=2, label=label, zorder=4)


def _hypervolume(run: RunTables, ax: Axes | None) -> Figure:
    """Plot the hypervolume after each closed round against oracle calls."""
    metrics = [r.metrics for r in run.round_rows if r.metrics and r.metrics.get("hypervolume") is not None]
    calls = np.array([m["calls"] for m in metrics], dtype=np.float64)
    figure, ax = new_axes(ax, (7.5, 4.2))
    names = ", ".join(plain(o.name.replace("_", " ")) for o in run.optimised.values())
    ax.set(xlabel="oracle calls", ylabel="hypervolume", title=f"{plain(run.name)}: progress in {names}")
    if metrics:
        ax.plot(calls, [m["hypervolume"] for m in metrics], color=_INK, lw=2, marker="o", ms=5)
    else:
        ax.text(0.5, 0.5, "no round is closed yet", transform=ax.transAxes, ha="center", color=_GREY)
    ax.set_xlim(0, max(calls.max(initial=1.0) * 1.02, 2))
    return figure


def front(run: RunTables, ax: Axes | None = None) -> Figure:
    """Plot every measurement of two optimised objectives, and their Pareto front.

    Args:
        run: the run.
        ax: the axes to draw into; None: the axes of a new figure.

    Raises:
        ConfigError: the campaign does not optimise exactly two objectives.
    """
    columns = run.optimised
    if len(columns) != 2:
        raise ConfigError(f"plot_front requires two objectives, but this campaign optimises {len(columns)}")
    (x, x_objective), (y, y_objective) = columns.items()
    measured, table, best = run.target_evaluations.dropna(subset=[x, y]), run.results.dropna(subset=[x, y]), run.front()
    figure, ax = new_axes(ax, (5.6, 4.6))
    dots = _RoundDots(run.evaluations["round"].to_numpy())
    others = measured[~measured["object"].isin(table["object"])]
    if len(others):
        label = f"outside the bounds ({len(others)})"
        ax.plot(others[x], others[y], "o", mfc="none", mec=_GREY, ms=4.5, zorder=2, label=label)
    dots.draw(ax, table[x].to_numpy(), table[y].to_numpy(), table["round"].to_numpy())
    dots.add_legend(figure, ax, shrink=0.88)
    ax.plot(best[x], best[y], color=_ACCENT, lw=1.5, marker="o", mfc="none", ms=8, zorder=4, label="best trade-offs")
    arrows = {"maximise": "higher is better", "minimise": "lower is better"}
    ax.set(
        xlabel=f"{axis_label(x_objective)}, {arrows[x_objective.goal]}",
        ylabel=f"{axis_label(y_objective)}, {arrows[y_objective.goal]}",
        title=f"{plain(run.name)}: {len(best)} on the front of {len(table)}",
    )
    ax.legend(loc="best", framealpha=0.9, edgecolor="none", fontsize=9)
    return figure


def calibration(run: RunTables, ax: Axes | None = None, *, objective: str | None = None) -> Figure:
    """Plot the values predicted before each measurement, with one standard deviation, against the measured values.

    Args:
        run: the run.
        ax: the axes to draw into; None: the axes of a new figure.
        objective: name of the objective; None: the (first) optimised one.

    Raises:
        ConfigError: there is no such objective.
    """
    column, details = run.find_objective(objective)
    predicted = run.prediction_columns(column)
    table = run.evaluations
    table = table.iloc[:0] if predicted is None else table.dropna(subset=[column, predicted[0]])
    figure, ax = new_axes(ax, (5.2, 4.8))
    ax.set(xlabel=f"measured {axis_label(details)}", ylabel=f"predicted {axis_label(details)}")
    if predicted is None or table.empty:
        ax.set_title(f"{plain(run.name)}: calibration")
        ax.text(0.5, 0.5, "no predictions yet", transform=ax.transAxes, ha="center", color=_GREY)
        return figure
    measured, mean = table[column].to_numpy(), table[predicted[0]].to_numpy()
    std = table[predicted[1]].to_numpy()
    rounds = table["round"].to_numpy()
    ranges = np.array([_visible_range(measured), _visible_range(mean)])
    low, high = float(ranges.min()), float(ranges.max())
    margin = 0.08 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    ax.plot(limits, limits, color=_GREY, lw=1, ls="--", zorder=1)
    ax.errorbar(measured, mean, yerr=np.nan_to_num(std), fmt="none", ecolor=_GREY, elinewidth=0.8, alpha=0.6, zorder=2)
    dots = _RoundDots(run.evaluations["round"].to_numpy())
    dots.draw(ax, measured, mean, rounds)
    dots.add_legend(figure, ax, shrink=0.88)
    ax.set(xlim=limits, ylim=limits)
    ax.set_aspect("equal")
    correlation = rank_correlation(mean, measured)
    caption = f"rank correlation {correlation:.2f} · n = {len(table)}"
    if np.isfinite(std).all():
        caption += f" · {np.mean(np.abs(measured - mean) <= std):.0%} within one sd (68 % expected)"
    pairs = np.stack([measured, mean])
    n_beyond = int(np.any((pairs < limits[0]) | (pairs > limits[1]), axis=0).sum())
    if n_beyond:
        caption += f"\n{n_beyond} far beyond the axes"
    ax.set_title(f"{plain(run.name)}: calibration\n" + ("\n" if n_beyond else ""))
    ax.text(0.5, 1.02, caption, transform=ax.transAxes, ha="center", fontsize=8.5, color="#495057")
    return figure


def _running_best(values: Iterable[float], goal: Goal, k: int) -> tuple[Floats, Floats]:
    """Return the best value and the mean of the (up to) k best values so far, after each value."""
    sign = 1.0 if goal == "maximise" else -1.0
    heap: list[float] = []
    best, top = [], []
    for value in values:
        (heapq.heappush if len(heap) < k else heapq.heappushpop)(heap, sign * value)
        best.append(sign * max(heap))
        top.append(sign * sum(heap) / len(heap))
    return np.array(best), np.array(top)


def _best_means(values: Iterable[float], goal: Goal, k: int, objects: Sequence[str]) -> tuple[Floats, Floats]:
    """Return what ``_running_best`` does, where several values of one object count as their mean."""
    sign = -1.0 if goal == "maximise" else 1.0
    measured: dict[str, list[float]] = {}
    ordered: list[float] = []
    best, top = [], []
    for name, value in zip(objects, values, strict=True):
        own = measured.setdefault(name, [])
        if own:
            ordered.pop(bisect.bisect_left(ordered, sum(own) / len(own)))
        own.append(sign * value)
        bisect.insort(ordered, sum(own) / len(own))
        best.append(sign * ordered[0])
        top.append(sign * sum(ordered[:k]) / len(ordered[:k]))
    return np.array(best), np.array(top)


def _visible_range(values: Floats, keep: Goal | None = None) -> tuple[float, float]:
    """Return the range to draw: the range of the values within six interquartile ranges of the middle half.

    Args:
        values: at least one value.
        keep: the goal, on whose side no value is excluded, since the best values are there; None: no such side.
    """
    first, third = np.quantile(values, [0.25, 0.75])
    reach = 6 * (third - first) or np.inf
    low = -np.inf if keep == "minimise" else first - reach
    high = np.inf if keep == "maximise" else third + reach
    inside = values[(values >= low) & (values <= high)]
    return float(inside.min()), float(inside.max())


class _RoundDots:
    """Dots coloured by round: grey for the random first batch, then from dark to light.

    Args:
        rounds: the rounds of all dots, which determine the range of colours.
    """

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
        """Add a colour bar of the rounds if there is more than one."""
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


def axis_label(objective: Objective) -> str:
    """Return the name of an objective with its unit."""
    name = objective.name.replace("_", " ")
    return plain(f"{name} ({objective.unit})" if objective.unit else name)


def plain(text: str) -> str:
    """Return a text of a run in which matplotlib sees no formula and a terminal or file no control character."""
    return "".join(c if c.isprintable() else " " for c in text).replace("$", r"\$")


def new_axes(ax: Axes | None, size: tuple[float, float]) -> tuple[Figure, Axes]:
    """Return the figure of the axes, and the axes; None: a new figure that notebooks display without pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    class Picture(Figure):
        """A figure that notebooks display without pyplot."""

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
