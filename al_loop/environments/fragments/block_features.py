"""Numbers that say what a block and each of its sites are, so that a policy need not learn each block by its index."""

from __future__ import annotations

import hashlib
import math
import zlib
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from al_loop.environments.fragments.blocks import Block
from al_loop.environments.fragments.graphs import BlockGraph, block_graphs
from al_loop.features.molecules.graphs import CHARGE, ELEMENT, HYDROGENS, IN_RING, IS_AROMATIC

_RADIUS = 2
_BLOCK_BINS, _SITE_BINS, _CLASS_BINS, _CODE = 96, 48, 24, 32
_N_PROPERTIES = 12
#: numbers of a block, and of one of its sites beside those
N_BLOCK_FEATURES = _BLOCK_BINS + _N_PROPERTIES + _CODE
N_SITE_FEATURES = (_RADIUS + 1) * _SITE_BINS + _CLASS_BINS + _CODE


def block_features(blocks: Sequence[Block]) -> tuple[Tensor, Tensor]:
    """Return the features of blocks and of their sites.

    They are counts of circular substructures, properties, the classes of the sites, and a code that the SMILES
    determines (random signs from its hash), which tells blocks apart that are otherwise alike, such as enantiomers.

    Args:
        blocks: the blocks of a vocabulary.

    Returns:
        Features of the blocks, shape n_blocks + 1 x N_BLOCK_FEATURES, and of the sites, shape n_blocks + 1 x most sites
        x N_SITE_FEATURES; those of block 0 (empty) and of sites that a block lacks are 0.
    """
    most = max(len(block.sites) for block in blocks)
    of_blocks = torch.zeros(len(blocks) + 1, N_BLOCK_FEATURES)
    of_sites = torch.zeros(len(blocks) + 1, most, N_SITE_FEATURES)
    for i, (block, graph) in enumerate(zip(blocks, block_graphs(blocks), strict=True), start=1):
        around = _surroundings(graph)
        counts = torch.zeros(_BLOCK_BINS)
        for name, n in Counter(name for names in around for name in names).items():
            counts[name % _BLOCK_BINS] += math.log1p(n)
        of_blocks[i] = torch.cat([counts, _properties(block, graph), _code(block.smiles)])
        for site, (atom, kind) in enumerate(zip(block.sites, block.classes, strict=True)):
            bins = torch.zeros(_RADIUS + 1, _SITE_BINS)
            for radius, name in enumerate(around[atom]):
                bins[radius, name % _SITE_BINS] = 1.0
            classes = torch.zeros(_CLASS_BINS)
            for word in (kind, *kind.split()):
                classes[_hash(word) % _CLASS_BINS] += 1.0
            of_sites[i, site] = torch.cat([bins.flatten(), classes, _code(f"{block.smiles} {_first(block, site)}")])
    return of_blocks, of_sites


def _first(block: Block, site: int) -> int:
    """Return the first of the sites that are equivalent to a site."""
    return min(p[site] for p in block.symmetries)


def _hash(value: object) -> int:
    return zlib.crc32(repr(value).encode())


def _surroundings(graph: BlockGraph) -> list[list[int]]:
    """Return, for each atom, a hash of what surrounds it up to each radius."""
    names = [_hash(tuple(row)) for row in graph.atoms]
    around = [[name] for name in names]
    neighbours: list[list[tuple[int, int]]] = [[] for _ in names]
    for a, b, kind, _ in graph.bonds:
        neighbours[a].append((kind, b))
        neighbours[b].append((kind, a))
    for _ in range(_RADIUS):
        names = [_hash((names[i], sorted((kind, names[j]) for kind, j in near))) for i, near in enumerate(neighbours)]
        for own, name in zip(around, names, strict=True):
            own.append(name)
    return around


def _properties(block: Block, graph: BlockGraph) -> Tensor:
    atoms = graph.atoms
    elements = Counter(row[ELEMENT] for row in atoms)
    values = [
        block.n_atoms / 10,
        graph.n_rings,
        len(block.sites),
        sum(row[IS_AROMATIC] for row in atoms) / 10,
        sum(row[IN_RING] for row in atoms) / 10,
        sum(row[CHARGE] for row in atoms),
        elements[7] / 2,
        elements[8] / 2,
        elements[16],
        (elements[9] + elements[17] + elements[35] + elements[53]) / 2,
        sum(row[HYDROGENS] > 0 for row in atoms if row[ELEMENT] in (7, 8)),
        sum(kind > 1 for _, _, kind, _ in graph.bonds) / 10,
    ]
    return torch.tensor([float(value) for value in values])


def _code(text: str) -> Tensor:
    bits = hashlib.sha256(text.encode()).digest()[: _CODE // 8]
    return torch.tensor([1.0 if byte >> k & 1 else -1.0 for byte in bits for k in range(8)]) / 4
