"""Sweeps: many campaigns over a grid of settings and seeds, each in a process of its own.

- ``plan``: the combinations of settings, each a valid campaign
- ``run``: run all combinations, as many at a time as there is room for
- ``trial``: one campaign in a process of its own, and its supervisor
- ``resources``: the CPUs and GPUs that a campaign takes, and those of this machine
- ``cluster``: the supervisors as actors of a Ray cluster
- ``table``: the table of results, read from the campaigns' ledgers
"""
