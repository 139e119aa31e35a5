"""Environments: spaces of objects that are built step by step.

They require only torch and numpy, and RDKit or selfies to decode molecules.

- ``base``: the interface, ``Environment``.
- ``sequence``, ``assignment``, ``set``, ``hypergrid``, ``fragments``, ``selfies``, ``pool``: the environments.
- ``testing``: the tests that every environment must pass, ``EnvironmentContract``.
"""
