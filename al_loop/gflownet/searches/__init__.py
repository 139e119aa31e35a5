"""Searches around good objects; the children that they find train the sampler.

- ``base``: the interface, ``Search``.
- one module for each search, named by its kind.
"""
