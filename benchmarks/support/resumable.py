"""Benchmarks that resume where they stopped: every arm and seed in their table is measured once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd


def measure_missing(
    path: Path,
    arms: Sequence[str],
    n_seeds: int,
    measure: Callable[[str, int], pd.DataFrame],
    column: str,
    first_seed: int = 0,
) -> pd.DataFrame:
    """Measure every arm and seed that a table lacks, and write the table after each of them.

    Args:
        path: the table, a CSV file with the columns ``arm`` and ``seed``.
        arms: names of the arms.
        n_seeds: number of seeds that every arm is measured with.
        measure: returns the rows of an arm and a seed.
        column: the result; its last value is printed.
        first_seed: the first of the seeds.

    Returns:
        The whole table.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["arm", "seed"])
    for seed in range(first_seed, first_seed + n_seeds):
        for arm in arms:
            if ((table["arm"] == arm) & (table["seed"] == seed)).any():
                continue
            rows = measure(arm, seed)
            table = pd.concat([table, rows], ignore_index=True)
            table.to_csv(path, index=False)
            print(f"{arm}, seed {seed}: {rows[column].iloc[-1]:.3f}", flush=True)
    return table
