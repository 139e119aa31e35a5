"""Oracles: the expensive measurements that a campaign pays for.

The import name is ``al_loop.oracles`` (this folder is linked into ``al_loop``). In a checkout, ``oracles`` still works
and gives the same modules, with a warning.
"""

if __name__ == "oracles":
    from al_loop.system import moved_modules

    moved_modules.replace("oracles", "al_loop.oracles")
