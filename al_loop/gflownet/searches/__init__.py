"""Searches around good objects, whose children train the sampler.

- ``base``: the interface, ``Search``.
- one module for each search, named by its kind.
"""
