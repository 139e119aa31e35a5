"""Acquisitions: the value of measuring each object, as BoTorch acquisition functions.

Modules:
    base: ``Acquisition``, ``AcquisitionContext``, ``MultiFidelityAcquisition`` and ``score``.
    ucb, log_ei, pi, qlogei, qlognei, thompson, knowledge_gradient, max_value_entropy: of one objective.
    qlognehvi, parego: of several objectives.
    multi_fidelity_ei, multi_fidelity_mes: which also choose the fidelity.
    testing: the contract that every acquisition keeps, as tests.
"""
