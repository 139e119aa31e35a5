"""Molecules drawn with and without the included priors, beside those of ZINC250k.

    .venv/bin/python benchmarks/engine/prior_quality.py       # 1 minute, one thread

In fragments and in SELFIES, for random actions, an untrained policy (that of fragments knows how often each block
occurs) and the prior: the share of valid and
of different molecules, the share that is not in ZINC250k, QED and SA score, and the distance of their distributions to
those of ZINC250k (Wasserstein, in units of the property). Prints the table, writes prior_quality.csv.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

import torch
from scipy.stats import wasserstein_distance

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.datafiles.object_lists import read_objects
from al_loop.environments.base import Environment
from al_loop.environments.fragments import Fragments
from al_loop.environments.selfies import Selfies
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.policies.transformer import TransformerPolicy
from al_loop.gflownet.priors import load_prior, read_prior
from al_loop.gflownet.rollout import rollout
from al_loop.properties.qed import QED
from al_loop.properties.sa_score import SAScore
from al_loop.smiles import canonical_smiles
from benchmarks.support.tables import write_table

BENCHMARKS = Path(__file__).parents[1]


def values(molecules: list[str]) -> dict[str, list[float]]:
    """Return the QED and the SA score of each molecule."""
    return {"qed": [float(x) for x in QED().compute(molecules)], "sa": [float(x) for x in SAScore().compute(molecules)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=500, help="molecules of each kind")
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    spaces: dict[str, Environment] = {"zinc": Fragments(vocabulary="zinc"), "zinc_selfies": Selfies(length=60)}
    library = read_objects(BENCHMARKS / "data/zinc250k.smi.xz")
    sample = [canonical_smiles(smiles) or smiles for smiles in random.Random(1).sample(library, arguments.n)]
    known = set(library)
    truth = values(sample)
    rows = []

    def measure(space: str, name: str, molecules: list[str]) -> None:
        own = values(molecules)
        row: dict[str, float | str] = {
            "space": space,
            "drawn by": name,
            "valid": sum(canonical_smiles(smiles) is not None for smiles in molecules) / len(molecules),
            "different": len(set(molecules)) / len(molecules),
            "new": sum(smiles not in known for smiles in molecules) / len(molecules),
        }
        for key, numbers in own.items():
            row[f"{key} mean"] = sum(numbers) / len(numbers)
            row[f"{key} distance"] = wasserstein_distance(numbers, truth[key])
        rows.append(row)
        print("  ".join(f"{key} {x if isinstance(x, str) else f'{x:.3f}'}" for key, x in row.items()), flush=True)

    for prior_name, environment in spaces.items():
        torch.manual_seed(0)
        form = TransformerPolicy if prior_name == "zinc_selfies" else make_policy
        untrained, trained = form(environment), form(environment)
        prior = read_prior(prior_name)
        assert prior is not None
        load_prior(environment, trained, prior)
        policies: dict[str, Policy | None] = {"random actions": None, "untrained policy": untrained, "prior": trained}
        for name, policy in policies.items():
            draws = rollout(environment, policy, arguments.n, generator=torch.Generator().manual_seed(0))
            measure(environment.name, name, environment.decode(draws.terminal))
    measure(
        "", "ZINC250k", [canonical_smiles(smiles) or smiles for smiles in random.Random(2).sample(library, arguments.n)]
    )
    write_table(arguments.out / "prior_quality.csv", rows, ".4g")


if __name__ == "__main__":
    main()
