"""A map of the space: two coordinates for each object, such that similar objects lie close together."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_loop.analysis.similarity import Similarities

#: objects on a map; more would make it neither clearer nor quicker
MOST_ON_MAP = 800
_PERPLEXITY = 30.0


def place(S: Similarities, seed: int = 0) -> NDArray[np.float64]:
    """Return coordinates of objects on a map, n x 2, each from 0 to 1.

    It is t-SNE (van der Maaten and Hinton 2008) of the distances 1 - S, which starts from their principal coordinates,
    so that the map is the same each time. Distances between groups that lie far apart mean little.

    Args:
        S: similarities, n x n.
        seed: of the random numbers.
    """
    n = len(S)
    if n < 4:
        return np.column_stack([np.linspace(0.2, 0.8, n) if n > 1 else np.full(n, 0.5), np.full(n, 0.5)])
    D = np.clip(1.0 - S.astype(np.float64), 0.0, None)
    np.fill_diagonal(D, 0.0)
    start = _principal_coordinates(D, seed)
    if n > 6 and float(start[:, 0].std()) > 0:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits

        tsne: Any = TSNE(
            metric="precomputed",
            init=start / max(float(start[:, 0].std()), 1e-12) * 1e-4,
            perplexity=min(_PERPLEXITY, (n - 1) / 3),
            learning_rate=min(50.0, max(10.0, n / 10)),  # scikit-learn's own is too large for few objects
            random_state=seed,
            max_iter=400,
        )
        # on a busy machine, threads would wait for each other
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")
            start = tsne.fit_transform(D).astype(np.float64)
    low, high = start.min(axis=0), start.max(axis=0)
    coordinates: NDArray[np.float64] = (start - low) / np.where(high > low, high - low, 1.0)
    return coordinates


def _principal_coordinates(D: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Return the first two principal coordinates of distances (Torgerson 1952), n x 2."""
    from scipy.sparse.linalg import eigsh

    squared = D**2
    centred = -0.5 * (squared - squared.mean(axis=0) - squared.mean(axis=1)[:, None] + squared.mean())
    start = np.random.default_rng(seed).normal(size=len(D))
    if not np.abs(centred).max() > 1e-9:  # all are equal
        return np.zeros((len(D), 2))
    values, vectors = eigsh(centred, k=2, v0=start)
    order = np.argsort(-values)
    vectors = vectors[:, order] * np.sign(vectors[np.abs(vectors[:, order]).argmax(axis=0), order])
    coordinates: NDArray[np.float64] = vectors * np.sqrt(np.clip(values[order], 0.0, None))
    return coordinates
