"""Molecules assembled from fragments: ring systems and chains, bonded into a tree.

- ``fragments``: the environment, ``Fragments``; with a vocabulary of patterns, ``closed``: ``ClosedFragments``.
- ``blocks``: entries of a vocabulary. ``vocabulary_file``: vocabularies of patterns, and the included ones by name.
- ``vocabulary``: creation of vocabularies with free sites, and cutting of molecules; also a command.
- ``patterns``: cutting of molecules into patterns. ``vocabulary_building``: vocabularies of them.
- ``pattern_*``: patterns as blocks, their trees, SMILES to states and back. ``closing``: what may be bonded.
- ``block_features``: what a block is, in numbers.
- ``states``: the layout of a state.
- ``tables``: look-up tables of blocks and sites, as tensors.
- ``symmetry``: automorphisms of trees. ``walks``: backward walks and the number of build orders.
- ``crossover``: children of two molecules. ``encoding``, ``decoding``: SMILES to states, and back.
"""

from al_loop.environments.fragments.blocks import SHIPPED_VOCABULARY
from al_loop.environments.fragments.fragments import Fragments

__all__ = ["SHIPPED_VOCABULARY", "Fragments"]
