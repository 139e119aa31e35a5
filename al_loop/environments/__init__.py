"""Environments: spaces of objects that are built step by step.

They need torch and numpy alone, and RDKit or selfies where molecules are decoded.

- ``base``: the interface, ``Environment``.
- ``sequence``, ``set``, ``hypergrid``, ``fragments``, ``selfies``, ``pool``: the environments.
- ``testing``: the tests that every environment has to pass, ``EnvironmentContract``.
"""
