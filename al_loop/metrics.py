"""The numbers that a round's report is made of; values are in the oracle's unit, ``goal`` says which way is good."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oracles.base import Goal


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]


def top_k_mean(values: ArrayLike, k: int, goal: Goal) -> float:
    """The mean of the k best values (of all where there are fewer); NaN where there are none."""
    ordered = np.sort(_finite(values))
    best = ordered[::-1][:k] if goal == "maximise" else ordered[:k]
    return float(best.mean()) if len(best) else float("nan")


def best(values: ArrayLike, goal: Goal) -> float:
    """The best value; NaN where there are none."""
    return top_k_mean(values, 1, goal)


def mean_pairwise_distance(S: ArrayLike) -> float:
    """The mean of 1 - similarity over all pairs of different objects; NaN for fewer than two.

    S: similarities in [0, 1], n x n, symmetric.
    """
    similarity = np.asarray(S, dtype=np.float64)
    n = len(similarity)
    if n < 2:
        return float("nan")
    return float(1 - similarity[np.triu_indices(n, k=1)].mean())


def scaffold(smiles: str) -> str | None:
    """The Bemis-Murcko scaffold as SMILES ('' of an acyclic molecule); None where RDKit cannot read the molecule.

    Bemis & Murcko 1996: the rings and what links them, with atom types kept.
    """
    from rdkit import Chem
    from rdkit.Chem.rdmolops import MurckoDecompose

    molecule = Chem.MolFromSmiles(smiles)
    return None if molecule is None else str(Chem.MolToSmiles(MurckoDecompose(molecule)))


def scaffolds(smiles: Iterable[str]) -> set[str]:
    """The different Bemis-Murcko scaffolds of the molecules; those without a ring have none."""
    return {found for found in map(scaffold, smiles) if found}


def new_scaffolds(smiles: Sequence[str], known: Iterable[str]) -> int:
    """How many scaffolds the molecules have that are not among the known molecules' (both given as SMILES)."""
    return len(scaffolds(smiles) - scaffolds(known))


def rank_correlation(predicted: ArrayLike, measured: ArrayLike) -> float:
    """Spearman's correlation over the pairs that are both finite; NaN for fewer than three or a constant side."""
    from scipy.stats import rankdata

    x, y = np.asarray(predicted, dtype=np.float64).ravel(), np.asarray(measured, dtype=np.float64).ravel()
    both = np.isfinite(x) & np.isfinite(y)
    x, y = x[both], y[both]
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])
