"""Metrics of a round's report, for values in the oracle's unit with the goal as the better direction.

Importing this module loads neither torch nor RDKit; ``hypervolume`` loads BoTorch and ``scaffold`` RDKit when called.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from al_loop.oracles.base import Goal


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]


def top_k_mean(values: ArrayLike, k: int, goal: Goal) -> float:
    """Return the mean of the k best finite values (of all if there are fewer), or NaN if there are none.

    Args:
        values: measured values, shape n.
        k: number of best values.
        goal: the better direction.
    """
    ordered = np.sort(_finite(values))
    best = ordered[::-1][:k] if goal == "maximise" else ordered[:k]
    return float(best.mean()) if len(best) else float("nan")


def best(values: ArrayLike, goal: Goal) -> float:
    """Return the best finite value, or NaN if there is none."""
    return top_k_mean(values, 1, goal)


def rounds_without_progress(bests: Sequence[float], goal: Goal) -> int:
    """Return the number of rounds since the best value last improved.

    Args:
        bests: the best value so far after each round; NaN if there is none yet.
        goal: the better direction.
    """
    sign = 1.0 if goal == "maximise" else -1.0
    oriented = [sign * b for b in bests]
    count = 0
    for before, after in zip(oriented[-2::-1], oriented[:0:-1], strict=True):
        if math.isnan(before) or after > before:
            break
        count += 1
    return count


def mean_pairwise_distance(S: ArrayLike) -> float:
    """Return the mean of 1 - similarity over all pairs of different objects, or NaN for fewer than two objects.

    Args:
        S: symmetric similarities in [0, 1], shape n x n.
    """
    similarity = np.asarray(S, dtype=np.float64)
    n = len(similarity)
    if n < 2:
        return float("nan")
    return float(1 - similarity[np.triu_indices(n, k=1)].mean())


@lru_cache(maxsize=1_000_000)
def scaffold(smiles: str) -> str | None:
    """Return the Bemis-Murcko scaffold as SMILES, or None if RDKit cannot parse the molecule.

    The scaffold consists of the rings and linkers with their atom types (Bemis & Murcko 1996); it is '' for an acyclic
    molecule.
    """
    from rdkit import Chem
    from rdkit.Chem.rdmolops import MurckoDecompose

    molecule = Chem.MolFromSmiles(smiles)
    return None if molecule is None else str(Chem.MolToSmiles(MurckoDecompose(molecule)))


def scaffolds(smiles: Iterable[str]) -> set[str]:
    """Return the distinct Bemis-Murcko scaffolds of molecules; acyclic molecules have none."""
    return {murcko for murcko in map(scaffold, smiles) if murcko}


def new_scaffolds(smiles: Sequence[str], reference: Iterable[str]) -> int:
    """Return the number of distinct scaffolds that do not occur among reference molecules.

    Args:
        smiles: the molecules.
        reference: SMILES of the molecules whose scaffolds are not new.
    """
    return len(scaffolds(smiles) - scaffolds(reference))


def rank_correlation(predicted: ArrayLike, measured: ArrayLike) -> float:
    """Return Spearman's rank correlation over the pairs of finite values.

    Args:
        predicted: predicted values, shape n.
        measured: measured values, shape n.

    Returns:
        The correlation; NaN for fewer than three pairs or a constant side.
    """
    from scipy.stats import rankdata

    x, y = np.asarray(predicted, dtype=np.float64).ravel(), np.asarray(measured, dtype=np.float64).ravel()
    is_pair = np.isfinite(x) & np.isfinite(y)
    x, y = x[is_pair], y[is_pair]
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def _oriented(values: ArrayLike, goals: Sequence[Goal]) -> NDArray[np.float64]:
    """Return the values, shape n x m, with signs changed so that larger is better in each objective."""
    table = np.asarray(values, dtype=np.float64).reshape(-1, len(goals))
    signs = np.array([1.0 if goal == "maximise" else -1.0 for goal in goals], dtype=np.float64)
    oriented: NDArray[np.float64] = table * signs
    return oriented


def non_dominated(values: ArrayLike, goals: Sequence[Goal]) -> NDArray[np.bool_]:
    """Return a mask of the Pareto front, shape n: the rows that no other row dominates.

    Args:
        values: values, shape n x m; rows with a non-finite value are never on the front, and equal rows are on it
            together.
        goals: the better direction of each of the m objectives.
    """
    Y = _oriented(values, goals)
    is_on_front = np.zeros(len(Y), dtype=bool)
    left = np.flatnonzero(np.isfinite(Y).all(1))
    # from the largest sum down, no later row dominates an earlier one, so that each row that is left is on the front
    left = left[np.argsort(-Y[left].sum(1), kind="stable")]
    while len(left):
        row = Y[left[0]]
        is_equal = (Y[left] == row).all(1)
        is_on_front[left[is_equal]] = True
        left = left[~is_equal & (Y[left] > row).any(1)]
    return is_on_front


def reference_point(values: ArrayLike, goals: Sequence[Goal]) -> tuple[float, ...]:
    """Return a point that is worse than the front by a tenth of the front's range in each objective, as in BoTorch.

    If the front has no range in an objective, a tenth of the range of all values is used, or else of the value itself.

    Args:
        values: values, shape n x m.
        goals: the better direction of each of the m objectives.

    Raises:
        ValueError: no row is finite.
    """
    Y = _oriented(values, goals)
    Y = Y[np.isfinite(Y).all(1)]
    if not len(Y):
        raise ValueError("cannot infer a reference point: no row of values is finite")
    front = Y[non_dominated(Y, ["maximise"] * len(goals))]
    worst, width = front.min(0), np.ptp(front, axis=0)
    width = np.where(width > 0, width, np.ptp(Y, axis=0))
    width = np.where(width > 0, width, np.maximum(np.abs(worst), 1e-6))
    point = _oriented(worst - 0.1 * width, goals)[0]
    return tuple(float(x) for x in point)


def hypervolume(values: ArrayLike, goals: Sequence[Goal], reference: Sequence[float]) -> float:
    """Return the hypervolume that the values dominate, in the product of their units.

    Args:
        values: values, shape n x m.
        goals: the better direction of each of the m objectives.
        reference: the reference point, m values.
    """
    import torch
    from botorch.utils.multi_objective.hypervolume import Hypervolume

    Y, point = _oriented(values, goals), _oriented(reference, goals)[0]
    Y = Y[np.isfinite(Y).all(1) & (point < Y).all(1)]
    if not len(Y):
        return 0.0
    front = np.unique(Y[non_dominated(Y, ["maximise"] * len(goals))], axis=0)
    return float(Hypervolume(torch.from_numpy(point)).compute(torch.from_numpy(front)))
