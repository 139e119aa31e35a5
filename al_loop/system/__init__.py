"""The machine that a campaign runs on, the import system, and the types of foreign values.

- ``processes``: termination and memory of a process tree
- ``stopping``: requests to stop, which signals make and all loops look at
- ``output``: standard output and error to which writing never fails
- ``gpu``: utilisation and memory of a GPU
- ``alphabets``: DNA, RNA and proteins by name
- ``matching``: which of a function's answers belongs to which item
- ``plain_values``: numbers, JSON types and bytes from whatever user code returns
- ``moved_modules``: deprecated import paths
"""
