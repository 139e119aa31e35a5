"""The roles of a campaign, run on this machine or as Ray actors.

The import name is ``al_loop.actors`` (this folder is linked into ``al_loop``). In a checkout, ``actors`` still works
and gives the same modules, with a warning.
"""

if __name__ == "actors":
    from al_loop.system import moved_modules

    moved_modules.replace("actors", "al_loop.actors")
