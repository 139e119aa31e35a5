"""Draw docs/images/loop.png: python docs/draw_loop.py."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

STEPS = [
    ("Ledger", "everything measured:\nvalues, failures, cost", "#e8eef2"),
    ("Surrogate", "Gaussian process (BoTorch):\nmean and uncertainty", "#dcebf2"),
    ("Reward", "acquisition value,\nconstraints", "#dcebf2"),
    ("GFlowNet samplers", "draw objects in proportion\nto the reward", "#d7efe4"),
    ("Diverse batch", "new, acceptable,\nunlike one another", "#d7efe4"),
    ("Your oracle", "docking, quantum chemistry,\na wet lab", "#fbe9d0"),
]


def main() -> None:
    figure = Figure(figsize=(9.2, 3.5), dpi=150)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, 9.2)
    axes.set_ylim(0, 3.5)
    axes.axis("off")
    width, height = 2.5, 1.05
    xs = [0.3, 3.35, 6.4]
    places = [(xs[0], 2.15), (xs[1], 2.15), (xs[2], 2.15), (xs[2], 0.3), (xs[1], 0.3), (xs[0], 0.3)]
    for (x, y), (title, text, colour) in zip(places, STEPS, strict=True):
        box = FancyBboxPatch(
            (x, y), width, height, boxstyle="round,pad=0,rounding_size=0.12", facecolor=colour, edgecolor="#5b6b75"
        )
        axes.add_patch(box)
        axes.text(x + width / 2, y + height - 0.27, title, ha="center", va="center", fontsize=11, fontweight="bold")
        axes.text(x + width / 2, y + 0.38, text, ha="center", va="center", fontsize=8.6, color="#33414a")
    for a, b in zip(places, [*places[1:], places[0]], strict=True):
        start, end = np.array(a) + (width / 2, height / 2), np.array(b) + (width / 2, height / 2)
        step = np.sign(end - start) * np.array([width / 2, height / 2])
        arrow = FancyArrowPatch(
            start + step, end - step, arrowstyle="-|>", shrinkA=3, shrinkB=3, mutation_scale=14, color="#5b6b75", lw=1.6
        )
        axes.add_patch(arrow)
    axes.text(xs[0] + width / 2 + 0.12, 1.77, "each answer committed\nthe moment it arrives", fontsize=8, va="center")
    axes.text(xs[2] + width / 2 + 0.12, 1.77, "scaled anew\nin every round", fontsize=8, va="center")
    figure.savefig(Path(__file__).parent / "images" / "loop.png")


if __name__ == "__main__":
    main()
