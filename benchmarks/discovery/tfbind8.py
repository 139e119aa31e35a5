"""TFBind8: DNA words of 8 letters that a transcription factor binds, all of them measured (Barrera et al. 2016).

    python benchmarks/discovery/tfbind8.py                # full start, 5 seeds
    python benchmarks/discovery/tfbind8.py --hard         # 1,024 words of the lower half as the start

The protocol of GFN-AL and delta-CS: the start is every word at or below the median (about half of the table; the best
has 0.439), then 10 rounds of 128 calls; reported are maximum, median and mean of the 128 best distinct words, their
mean pairwise Hamming distance, and their mean distance to the start. The limit of the mean is 0.9813, and a campaign
draws its candidates; it never enumerates the words.
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Sequence
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.support.discovery import Task, run, word_figures
from benchmarks.support.discovery_arms import arms

TABLE = Path(__file__).parents[1] / "data" / "tfbind8_six6.npy.gz"
N_HARD = 1024
PEERS = {"GFN-AL": 0.928, "delta-CS": 0.857, "1,280 random words": 0.816, "limit of the table": 0.9813}


@cache
def table() -> dict[str, float]:
    """Return the score of every word, as in the oracle's table."""
    with gzip.open(TABLE) as file:
        values = np.load(file).astype(float) / 65535
    return dict(zip(("".join(letters) for letters in product("ACGT", repeat=8)), values.tolist(), strict=True))


def start(seed: int, is_hard: bool) -> Sequence[tuple[str, float]]:
    """Return the words at or below the median, or 1,024 of them.

    Args:
        seed: of the choice.
        is_hard: whether only 1,024 are known.
    """
    median = float(np.median(list(table().values())))
    lower = [(word, value) for word, value in table().items() if value <= median]
    if not is_hard:
        return lower
    rows = np.random.default_rng(seed).choice(len(lower), N_HARD, replace=False)
    return [lower[i] for i in sorted(rows)]


def task(is_hard: bool) -> Task:
    """Return the task, with the full or the hard start."""
    return Task(
        name="tfbind8_hard" if is_hard else "tfbind8",
        title=f"TFBind8, {'1,024 words of the lower half' if is_hard else 'the lower half'} known",
        content={
            "environment": {"kind": "sequence", "alphabet": "ACGT", "length": 8},
            "oracle": {"kind": "table", "file": "tfbind8"},
            "rounds": {"initial": 0, "batch_size": 128, "count": 10},
            "evaluation": {"workers": 1},
        },
        data=lambda seed: start(seed, is_hard),
        figures=word_figures(128),
        column="mean",
        level=None if is_hard else 0.981,
        peers=PEERS,
    )


if __name__ == "__main__":
    hard = "--hard" in sys.argv
    if hard:
        sys.argv.remove("--hard")
    run(task(hard), arms(), __doc__)
