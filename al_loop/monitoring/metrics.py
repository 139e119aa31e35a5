"""The numbers that a round's report is made of; values are in the oracle's unit, ``goal`` says which way is good."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from al_loop.oracles.base import Goal


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


def _oriented(values: ArrayLike, goals: Sequence[Goal]) -> NDArray[np.float64]:
    """Values of several objectives, n x m, so that larger is better."""
    table = np.asarray(values, dtype=np.float64).reshape(-1, len(goals))
    signs = np.array([1.0 if goal == "maximise" else -1.0 for goal in goals], dtype=np.float64)
    oriented: NDArray[np.float64] = table * signs
    return oriented


def non_dominated(values: ArrayLike, goals: Sequence[Goal]) -> NDArray[np.bool_]:
    """Which objects are on the front of best trade-offs: none is as good in everything and better in something.

    values: n x m; rows that are not finite are on no front. Of equal rows all are on it.
    """
    Y = _oriented(values, goals)
    is_known = np.isfinite(Y).all(1)
    found = np.zeros(len(Y), dtype=bool)
    for i in np.flatnonzero(is_known):
        others = Y[is_known]
        found[i] = not ((others >= Y[i]).all(1) & (others > Y[i]).any(1)).any()
    return found


def reference_point(values: ArrayLike, goals: Sequence[Goal]) -> tuple[float, ...]:
    """A point below the front of values (n x m), by a tenth of its range in each objective, as BoTorch infers one.

    Where the front has no range in an objective, a tenth of the range of all values, or of the value's size.
    """
    Y = _oriented(values, goals)
    Y = Y[np.isfinite(Y).all(1)]
    if not len(Y):
        raise ValueError("no values: there is no front to put a reference point below")
    front = Y[non_dominated(Y, ["maximise"] * len(goals))]
    worst, width = front.min(0), np.ptp(front, axis=0)
    width = np.where(width > 0, width, np.ptp(Y, axis=0))
    width = np.where(width > 0, width, np.maximum(np.abs(worst), 1e-6))
    point = _oriented(worst - 0.1 * width, goals)[0]
    return tuple(float(x) for x in point)


def hypervolume(values: ArrayLike, goals: Sequence[Goal], reference: Sequence[float]) -> float:
    """The volume of what the values (n x m) dominate, down to the reference point, in the product of their units."""
    import torch
    from botorch.utils.multi_objective.hypervolume import Hypervolume

    Y, point = _oriented(values, goals), _oriented(reference, goals)[0]
    Y = Y[np.isfinite(Y).all(1) & (point < Y).all(1)]
    if not len(Y):
        return 0.0
    front = np.unique(Y[non_dominated(Y, ["maximise"] * len(goals))], axis=0)
    return float(Hypervolume(torch.from_numpy(point)).compute(torch.from_numpy(front)))
