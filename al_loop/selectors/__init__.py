"""Selectors: how the batch is chosen from the candidates.

Modules:
    base: ``Selector`` and ``SelectionContext``.
    greedy, diverse, dpp, leader, maxmin, scaffold_quota: from scores and similarities.
    local_penalisation, sequential, thompson: from the surrogate's posterior as well.
    mixed: another selector, and a share of the batch for exploration.
    testing: the contract that every selector keeps, as tests.
"""
