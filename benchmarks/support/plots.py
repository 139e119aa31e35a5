"""Plots that several benchmarks draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure


def plot_mean(axes: Axes, table: pd.DataFrame, x: str, y: str, label: str, **style: Any) -> None:
    """Plot the mean of a column over the seeds, with a band of one standard error.

    Args:
        axes: where to plot.
        table: one row per seed and value of ``x``.
        x: column on the horizontal axis.
        y: column to average.
        label: the curve's entry in the legend.
        style: further arguments of ``Axes.plot``.
    """
    curve = table.groupby(x)[y]
    mean, error = curve.mean(), curve.sem().fillna(0)
    (line,) = axes.plot(mean.index, mean, label=label, **style)
    axes.fill_between(mean.index, mean - error, mean + error, color=line.get_color(), alpha=0.2, linewidth=0)


def save_means(figure: Figure, axes: Axes, title: str, path: Path, **legend: Any) -> None:
    """Add a title and a legend to a plot of means, and write it to a file.

    Args:
        figure: the figure.
        axes: its only axes.
        title: what is compared, and on how many seeds.
        path: the PNG file.
        legend: further arguments of ``Axes.legend``.
    """
    axes.set_title(f"{title}; bands: standard error", fontsize=10)
    axes.legend(**{"fontsize": 8, **legend})
    figure.savefig(path, dpi=150)
