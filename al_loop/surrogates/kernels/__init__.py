"""Kernels on feature rows: elementary ones, sums and products of them, and functions drawn from their priors.

Modules:
    elementary: ``Rows``, ``Kernel`` and the kernels that a config can name.
    expression: kernels on some columns, on scaled columns, sums and products; and how they are written.
    mixture: a learned kernel beside the one of the features.
    prior_paths: functions drawn from a Gaussian process prior.
"""
