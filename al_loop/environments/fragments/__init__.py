"""Molecules assembled from fragments: ring systems and chains, bonded into a tree.

- ``fragments``: the environment, ``Fragments``.
- ``blocks``: entries of a vocabulary, read from a JSON file.
- ``vocabulary``: creation of such a file from a list of SMILES, and cutting of molecules; also a command.
- ``states``: the layout of a state.
- ``tables``: look-up tables of blocks and sites, as tensors.
- ``symmetry``: automorphisms of trees. ``walks``: backward walks and the number of build orders.
- ``crossover``: children of two molecules. ``encoding``, ``decoding``: SMILES to states, and back.
"""

from al_loop.environments.fragments.blocks import SHIPPED_VOCABULARY
from al_loop.environments.fragments.fragments import Fragments

__all__ = ["SHIPPED_VOCABULARY", "Fragments"]
