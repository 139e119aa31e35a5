"""Oracles: the expensive measurements that a campaign pays for.

The import name is ``al_loop.oracles`` (this folder is linked into ``al_loop``). In a checkout, ``oracles`` still works
and gives the same modules, with a warning.

Modules:
    base: ``Oracle``, ``Outcome``, ``Failure``, and the normalisation of answers.
    testing: the contract that every oracle fulfils, as a test suite.
    wrap: a user's functions and classes as oracles, and the decorator ``oracle``.
    command, http, human, table: programs, services, people and measured tables as oracles.
    joint: several oracles as one.
    docking, guacamol, rdkit_properties, xtb: oracles of molecules; rna: an oracle of sequences.
    _io, _chemistry: helpers.
"""

if __name__ == "oracles":
    from al_loop.system import moved_modules

    moved_modules.replace("oracles", "al_loop.oracles")
