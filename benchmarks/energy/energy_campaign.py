"""A campaign of 96 calls with the energy of a series, and one without.

    python benchmarks/energy/energy_campaign.py                      # 20 CPU minutes on one core

The series are 2,000 molecules of ZINC with a logP between 2 and 3; the oracle is QED. Each campaign measures 16 objects
and then 5 batches of 16. Arms: without the energy (the first batch at random), with the energy as a term of the reward,
and as a prior; the latter two draw the first batch from it. Prints, for each seed, the mean of the ten best values and
the mean similarity of the proposals to the series: whatever the first says, the second is what the energy is for.
Writes energy_campaign.csv.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import pandas as pd
import torch

sys.path.append(str(Path(__file__).parents[2]))

from al_loop import Campaign, load_config, open_run
from al_loop.features.morgan import Morgan
from benchmarks.energy.energy_actives import ZINC, learned, molecules
from benchmarks.support.resumable import measure_missing

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
N_SERIES = 2000
#: changes to configs/energy_actives.yaml; FILE is the energy
ARMS = {
    "without": [],
    "term": ["reward.energy={file: FILE, weight: 1.0}", "rounds.initial_from=energy"],
    "prior": ["sampler.prior=FILE", "sampler.objective=relative_trajectory_balance", "rounds.initial_from=energy"],
}


def measure(zinc: Path, folder: Path, arm: str, seed: int) -> pd.DataFrame:
    """Return the row of one campaign."""
    series = molecules(zinc, folder, seed)[0][:N_SERIES]
    changes = list(ARMS[arm])
    if changes:
        file = learned(folder, "mlp", series, seed).absolute()
        changes = [change.replace("FILE", str(file)) for change in changes]
    config = load_config(
        ROOT / "configs" / "energy_actives.yaml",
        [f"seed={seed}", "evaluation.workers=1", "sampler.steps=60", "sampler.pool=256", *changes],
    )
    with tempfile.TemporaryDirectory() as run:
        with Campaign(config, run) as campaign:
            campaign.run()
        with open_run(run) as opened:
            results = opened.results
            values = results["qed"].dropna().sort_values(ascending=False)
            objects = list(results["object"])
    morgan = Morgan()
    nearest = morgan.similarity(morgan(objects), morgan(series)).max(dim=1).values
    row = {"arm": arm, "seed": seed, "calls": len(objects), "best": values.iloc[0], "top_10": values.iloc[:10].mean()}
    return pd.DataFrame([{**row, "similarity_to_series": float(nearest.mean())}])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zinc", type=Path, default=ZINC, help="a file of one SMILES a line, for the pool")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/energies"), help="the folder of the pool and the energies"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder of the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = measure_missing(
        options.out / "energy_campaign.csv",
        options.arms,
        options.seeds,
        lambda arm, seed: measure(options.zinc, options.runs, arm, seed),
        "top_10",
        options.first_seed,
    )
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
