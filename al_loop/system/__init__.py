"""The machine that a campaign runs on, and the import system.

- ``processes``: ending a process with all that it started, and its memory
- ``gpu``: utilisation and memory of a GPU
- ``moved_modules``: old import paths that keep working
"""
