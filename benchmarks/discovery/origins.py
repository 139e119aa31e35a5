"""What the GFlowNet and the graph edits each contribute to campaigns, and whether the model errs about what it picks.

    python benchmarks/discovery/origins.py runs/discovery/pmo_*/loop-0        # runs of the other commands, no call

For each run: the share of the picks by origin (the sampler's draws, children of `sampler.evolution` and its library),
what the oracle says about them, and by how much the model was too optimistic (predicted minus measured, in units of
the predicted standard deviation), in each third of the rounds. Writes molecule_origins.csv.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

sys.path.append(str(Path(__file__).parents[2]))

from al_loop import open_run
from benchmarks.support.discovery import RESULTS

PARTS = 3


def of_run(path: Path) -> pd.DataFrame:
    """Return a row for each part of the rounds and each origin.

    Args:
        path: the run directory.
    """
    with open_run(path) as opened:
        table, column = opened.evaluations, opened.value_column
    table = table[table["predicted_mean"].notna()]
    last = int(table["round"].max())
    rows = []
    for part in range(PARTS):
        inside = table[(table["round"] > last * part // PARTS) & (table["round"] <= last * (part + 1) // PARTS)]
        for origin, picks in inside.groupby("origin"):
            optimism = (picks["predicted_mean"] - picks[column]) / picks["predicted_std"]
            rows.append(
                {
                    "run": f"{path.parent.name}/{path.name}",
                    "third": part + 1,
                    "origin": origin,
                    "share": len(picks) / len(inside),
                    "measured": picks[column].mean(),
                    "predicted": picks["predicted_mean"].mean(),
                    "optimism": optimism.mean(),
                }
            )
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="run directories")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    table = pd.concat([of_run(path) for path in given.runs], ignore_index=True)
    table.round(4).to_csv(given.out / "molecule_origins.csv", index=False)
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
