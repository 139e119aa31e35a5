"""Predictions and measurements with known errors."""

import numpy as np


def predicted(n, seed=0, off=1.0, bias=0.0):
    """Return n predictions and measurements with known errors.

    Args:
        n: number of predictions.
        seed: seed of the random numbers.
        off: factor by which the actual errors exceed the predicted ones.
        bias: mean error, in units of the predicted standard deviation.

    Returns:
        Means, standard deviations and measurements, shape n each.
    """
    rng = np.random.default_rng(seed)
    mean, std = rng.normal(size=n) * 3, rng.uniform(0.5, 2.0, size=n)
    return mean, std, mean + std * (off * rng.normal(size=n) + bias)
