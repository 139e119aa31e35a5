"""Evolution of objects: operators that make children of measured objects and of draws.

- ``base``: the interface, ``Evolution``.
- one module for each set of operators, named by its kind.
"""
