"""Surrogates: models of the oracle's values, as BoTorch models.

Modules:
    base: ``Surrogate``, ``SurrogateModel`` and ``as_surrogate_model``.
    auto, gp, variational: Gaussian processes, exact and sparse.
    deep_kernel, ensemble: with neural networks.
    multi_fidelity: a Gaussian process of several fidelities.
    kernels, encoders: packages of kernels and of networks.
    testing: the contract that every surrogate keeps, as tests.
"""
