"""The machine that a campaign runs on, and the import system.

- ``processes``: termination and memory of a process tree
- ``gpu``: utilisation and memory of a GPU
- ``moved_modules``: deprecated import paths
"""
