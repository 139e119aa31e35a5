"""Predictions with measurements whose errors are known."""

import numpy as np


def predicted(n, seed=0, off=1.0, bias=0.0):
    """Return n predictions with measurements whose errors are known.

    Args:
        n: number of predictions.
        seed: of the random numbers.
        off: factor by which the errors are larger than predicted.
        bias: mean error, in predicted deviations.

    Returns:
        Means, standard deviations and measurements, shape n each.
    """
    rng = np.random.default_rng(seed)
    mean, std = rng.normal(size=n) * 3, rng.uniform(0.5, 2.0, size=n)
    return mean, std, mean + std * (off * rng.normal(size=n) + bias)
