"""Docking scores compared with published scores for the same molecules, receptors and boxes.

    python benchmarks/oracles/docking_published.py      # about 6 minutes on one core; needs `pip install dockstring`

The published scores are from the DOCKSTRING data set (García-Ortegón et al., J. Chem. Inf. Model. 2022, 62, 3486). Its
package lists 24 random pairs in ``dockstring/dataset.py``; used are those whose ligand is neutral at pH 7.4 (DOCKSTRING
protonates with Open Babel, our oracle does not) and has no unspecified stereocentre. DOCKSTRING used Vina 1.1.2, ours
is Vina 1.2; both search with exhaustiveness 8. Writes docking_published.csv.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.oracles.base import evaluate_all
from al_loop.oracles.docking import Docking
from benchmarks.support.tables import write_table

BENCHMARKS = Path(__file__).parents[1]
#: target, SMILES, published score in kcal/mol
PUBLISHED = (
    ("PDE5A", "O(CCC)C(=O)C=1C=C(OC)C(O)=CC1", -6.9),
    ("ESR1", "O=C1C(NC2=CC=C(N)C=C2)=C(NC(=O)CC)C(=O)C3=C1C=CC=C3", -8.6),
    ("ADORA2A", "IC1=CC(F)=C(NC2=C(C(OC3=CC=4NC(OC4C=C3)=O)=CC(F)=C2)C(=O)N)C=C1", -10.5),
    ("ADORA2A", "S(C1=CC(F)=C(C=C1)CCCO)(=O)(=O)N", -6.7),
    ("MMP13", "BrC12CC3(CC(C1)CC(C3)C2)CC(=O)NCC4=CC=CC=C4", -9.1),
    ("MMP13", "S(=O)(=O)(N(C)C)C=1C=C(NC(=O)COC(=O)CCC2CCCCC2)C(=CC1)C", -8.9),
    ("MMP13", "ClC1=CC=C(CO/N=C(/C=2SC(=CC2)CC#N)\\C)C=C1", -8.4),
    ("EGFR", "O(C[C@@H](O)/C=C/CC(OC)OC)CC1=CC=CC=C1", -6.9),
    ("NR3C1", "ClC=1C(OC(=O)CC2=CC(S(=O)(=O)N3CCOCC3)=C(OC)C=C2)=CC=CC1", -8.5),
    ("MAPK14", "S(NC=1N(N=CC1)C2=CC=CC=C2)(=O)(=O)C=3C=CC=CC3", -7.0),
    ("HMGCR", "S1C=C(NC(=O)NC=2C=CC(C=3C=4C(=NNC4N)N=CC3)=CC2)C=C1", -7.9),
    (
        "PGR",
        "C(C=1C=C(N2CCOCC2)C=C(C(NC=3C=C(NC(C=4C=CC(OCC=5N=CC=CC5)=CC4)=O)C(=CC3)C)=O)C1)(F)(F)F",
        -9.0,
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    arguments = parser.parse_args()
    rows = []
    print("target    published    ours   CPU s  SMILES (kcal/mol)")
    for target, smiles, published in PUBLISHED:
        oracle = Docking(f"dockstring:{target}", seed=arguments.seed)
        evaluate_all(oracle, ["O"])  # computes the maps
        started = time.process_time()
        outcome = evaluate_all(oracle, [smiles])[0]
        seconds = time.process_time() - started
        assert outcome.values is not None, outcome.failure
        ours = outcome.values[0]
        rows.append(
            {"target": target, "smiles": smiles, "published": published, "ours": ours, "cpu_s": f"{seconds:.1f}"}
        )
        print(f"{target:<8}{published:11.1f}{ours:9.3f}{seconds:7.1f}  {smiles}", flush=True)
    theirs, ours_all = (np.array([float(row[key]) for row in rows]) for key in ("published", "ours"))
    difference = np.abs(ours_all - theirs)
    print(
        f"\n{len(rows)} pairs: mean absolute difference {difference.mean():.2f} kcal/mol, "
        f"largest {difference.max():.2f}, correlation {np.corrcoef(theirs, ours_all)[0, 1]:.3f}"
    )
    write_table(arguments.out / "docking_published.csv", rows)


if __name__ == "__main__":
    main()
