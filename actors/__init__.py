"""The roles of a campaign, run on this machine or as Ray actors; jobs, sweeps and the PPO baseline.

The import name is ``al_loop.actors`` (this folder is linked into ``al_loop``). In a checkout, ``actors`` still works
and gives the same modules, with a warning.

- ``local``: the roles on this machine, without Ray
- ``executors``: the executor of a campaign, by its address
- ``training``: the training of a config's sampler in this process
- ``cluster``: the roles as actors of a Ray cluster
- ``jobs``: campaigns as jobs of a cluster
- ``sweeps``: many campaigns over a grid of settings
- ``ppo``: the reward-maximising baseline
- ``name_clashes``: user modules with the name of a module of the standard library
"""

if __name__ == "actors":
    from al_loop.system import moved_modules

    moved_modules.replace("actors", "al_loop.actors")
