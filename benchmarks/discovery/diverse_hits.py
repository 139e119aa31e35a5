"""Diverse hits (Renz, Luukkonen, Klambauer 2024): how many different actives are found with 10,000 scored molecules.

    python benchmarks/discovery/diverse_hits.py gsk3        # or jnk3

The score is the probability of a random forest (200 trees, 2,048 Morgan bits of radius 2) trained on the rows `train`
of their data; it is trained on first use, prints its quality on the rows `test`, and is kept below `runs/`. A hit has a
score of at least 0.5, a molecular weight of 157 to 761, a logP of -2.01 to 8.83, and at least 91.7 % of its ECFP4
environments occur in ZINC250k; theirs is a table of ChEMBL's, which is not distributed. These bounds cost nothing, so
that all arms know them. `hits` is the number of hits, in the order of the calls, whose Tanimoto distance from all that
were counted before is at least 0.7. All arms begin with the same 100 random molecules of ZINC250k, which count.
"""

from __future__ import annotations

import csv
import lzma
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.config import build
from al_loop.config.schema import Constraint
from al_loop.features.morgan import Morgan
from al_loop.modelling.constraints import Constraints, PropertyBound
from al_loop.modelling.distinct import Distinct
from al_loop.oracles.base import Failure, Objective, Oracle, Outcome
from al_loop.properties.base import MoleculeProperty
from al_loop.smiles import read_smiles
from benchmarks.support.discovery import Measured, Task, run
from benchmarks.support.molecules import DATA, LOOP, diversity, kept, molecule_arms, random_zinc, zinc

N_START, HIT, DISTANCE, BUDGET, BATCH = 100, 0.5, 0.7, 10000, 100
LEVELS = {"gsk3": 674, "jnk3": 176}
#: diverse hits with 10,000 molecules, published (Renz et al. 2024), on their own scorer
PEERS: Mapping[str, Mapping[str, float]] = {
    "gsk3": {"Augmented HC": 674, "LSTM-HC": 456, "REINVENT": 198, "Graph GA": 115, "random": 93, "GFlowNet": 67},
    "jnk3": {"Augmented Memory": 176, "LSTM-HC": 103, "REINVENT": 35, "Graph GA": 24, "random": 15, "GFlowNet": 0},
}


@cache
def forest(target: str) -> Any:
    """Return the random forest that scores molecules for a target."""
    return kept(f"forest_{target}.pickle", lambda: _train(target))


def _bits(smiles: Sequence[str]) -> NDArray[np.uint8]:
    bits: NDArray[np.uint8] = Morgan(counts=False).compute(list(smiles)).numpy()
    return bits


def _train(target: str) -> Any:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import average_precision_score, roc_auc_score

    with lzma.open(DATA / f"diverse_hits_{target}.csv.xz", "rt") as file:
        rows = list(csv.DictReader(file))
    X, y = _bits([row["smiles"] for row in rows]), np.array([float(row["label"]) for row in rows])
    part = np.array([row["Split"] for row in rows])
    model = RandomForestClassifier(200, random_state=0).fit(X[part == "train"], y[part == "train"])
    p, actual = model.predict_proba(X[part == "test"])[:, 1], y[part == "test"]
    auc, precision = roc_auc_score(actual, p), average_precision_score(actual, p)
    print(f"forest for {target}: {len(p)} test rows, ROC-AUC {auc:.3f}, average precision {precision:.3f}", flush=True)
    return model


class Forest(Oracle):
    """The probability of activity that the forest predicts.

    Args:
        name: of the target, gsk3 or jnk3.
    """

    libraries = ("scikit-learn", "rdkit")
    object_type = "molecule"
    objectives = (Objective("activity"),)
    call_size = 128

    def __init__(self, name: str) -> None:
        self.name = name

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Yield the probability of each molecule."""
        readable = [name for name in objects if read_smiles(name) is not None]
        p = dict(zip(readable, forest(self.name).predict_proba(_bits(readable))[:, 1], strict=True))
        for name in objects:
            if name in p:
                yield Outcome(values=(float(p[name]),))
            else:
                yield Outcome(failure=Failure("invalid", "RDKit cannot read the SMILES"))


@cache
def _environments() -> Any:
    from rdkit.Chem import rdFingerprintGenerator

    return rdFingerprintGenerator.GetMorganGenerator(radius=2)


def _known_environments() -> frozenset[int]:
    found: set[int] = set()
    for smiles in zinc():
        molecule = read_smiles(smiles)
        if molecule is not None:
            found.update(_environments().GetSparseFingerprint(molecule).GetOnBits())
    return frozenset(found)


@cache
def known_environments() -> frozenset[int]:
    """Return the ECFP4 environments of ZINC250k."""
    known: frozenset[int] = kept("environments.pickle", _known_environments)
    return known


class Familiar(MoleculeProperty):
    """The share of a molecule's ECFP4 environments that occur in ZINC250k."""

    scale = 0.1

    def of_molecule(self, molecule: Any) -> float:
        """Return the share."""
        own = set(_environments().GetSparseFingerprint(molecule).GetOnBits())
        return len(own & known_environments()) / max(len(own), 1)


CONSTRAINTS: tuple[Mapping[str, Any], ...] = (
    {"kind": "mol_weight", "min": 157, "max": 761},
    {"kind": "logp", "min": -2.01, "max": 8.83},
    {"target": "benchmarks.discovery.diverse_hits:Familiar", "min": 0.917},
)


@cache
def bounds() -> Constraints:
    """Return the bounds of a hit, which are those of the campaign."""
    parts = [Constraint.model_validate(part) for part in CONSTRAINTS]
    return Constraints([PropertyBound(build("property", part), part.min, part.max) for part in parts])


def diverse(measured: Sequence[Measured]) -> list[str]:
    """Return the hits that are far from all earlier ones, in the order of the calls."""
    hits = bounds().acceptable(list(dict.fromkeys(m.object for m in measured if m.value >= HIT)))
    if not hits:
        return []
    features = Morgan(counts=False)
    X = features(hits)
    return [hits[i] for i in Distinct(X[:0], features.similarity, DISTANCE).thinned(X)]


@cache
def start(target: str, seed: int) -> Sequence[tuple[str, float]]:
    """Return the first molecules and their scores, the same for all arms.

    Args:
        target: gsk3 or jnk3.
        seed: of the run.
    """
    names = random_zinc(N_START, seed, set(), bounds().acceptable)
    return [(name, float(p)) for name, p in zip(names, forest(target).predict_proba(_bits(names))[:, 1], strict=True)]


def figures(measured: Sequence[Measured]) -> Mapping[str, float]:
    """Return the number of different hits, of all hits, and the mean distance of the 100 best."""
    n_hits = sum(m.value >= HIT for m in measured)
    if len(measured) % 1000:  # the count takes long: it is made every 1,000 calls
        return {"hits": float("nan"), "all_hits": n_hits, "distance": float("nan")}
    best = [m.object for m in sorted(measured, key=lambda m: -m.value)[:100]]
    return {"hits": len(diverse(measured)), "all_hits": n_hits, "distance": diversity(best)}


def task(target: str) -> Task:
    """Return the task on a target."""
    return Task(
        name=f"diverse_hits_{target}",
        title=f"diverse hits {target.upper()}, {BUDGET:,} molecules",
        content={
            **LOOP,
            "oracle": {"target": "benchmarks.discovery.diverse_hits:Forest", "name": target},
            "features": {"kind": "morgan", "counts": False},
            "constraints": list(CONSTRAINTS),
            "diversity_filter": {"good": HIT, "distance": DISTANCE},
            "rounds": {"initial": 0, "batch_size": BATCH, "count": (BUDGET - N_START) // BATCH},
            "evaluation": {"workers": 1},
        },
        data=lambda seed: start(target, seed),
        counts_data=True,
        figures=figures,
        column="hits",
        level=LEVELS[target],
        peers=PEERS[target],
    )


if __name__ == "__main__":
    chosen = [argument for argument in sys.argv[1:] if argument in LEVELS]
    for argument in chosen:
        sys.argv.remove(argument)
    for one in chosen or list(LEVELS):
        run(task(one), molecule_arms(), __doc__)
