"""Entries of a fragment vocabulary, as stored in its JSON file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: within the name of a block that is a scaffold, which tells it from an equal block of the vocabulary
SCAFFOLD_MARK = " scaffold"
SHIPPED_VOCABULARY = Path(__file__).parents[1] / "data" / "zinc_fragments.json"


@dataclass(frozen=True)
class Block:
    """A ring system or chain from which molecules are assembled; created by ``vocabulary.describe_block``.

    Args:
        smiles: the block with hydrogens at its sites.
        is_ring: whether any of its atoms is in a ring.
        sites: indices in the SMILES of the atoms that may carry a bond; an atom that may carry two occurs twice.
        classes: class of each site, one of ``tables.SITE_CLASSES``.
        required: the site that must carry the bond to the parent; None: any.
        n_atoms: number of heavy atoms.
        tokens: the SMILES, cut behind each atom symbol.
        symmetries: permutations of the sites that leave the block unchanged; ``p[i]`` is the image of site i.
        double_bonds: double bonds with a configuration: their atoms, a neighbour of each, and whether these are on
            opposite sides. The neighbour ``-1 - i`` is what is bonded to site i.
        count: number of molecules with the block in the file that the vocabulary was made from; 0: unknown.
        graph: atoms, bonds and number of rings, see ``graphs.BlockGraph``; None: it is stored or computed elsewhere.
    """

    smiles: str
    is_ring: bool
    sites: list[int]
    classes: list[str]
    required: int | None
    n_atoms: int
    tokens: list[str]
    symmetries: list[list[int]]
    double_bonds: tuple[tuple[int, int, int, int, bool], ...] = ()
    graph: dict[str, Any] | None = None
    count: int = 0


def read_blocks(path: Path, exclude: Sequence[str] = ()) -> list[Block]:
    """Read the blocks of a vocabulary, without some of them.

    Args:
        path: a JSON file made by ``vocabulary``.
        exclude: SMILES of the blocks to omit.

    Raises:
        ValueError: the file cannot be read, no remaining block can come first, or an excluded block is not in it.
    """
    try:
        blocks = [Block(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"vocabulary: cannot read {path}: {error}") from None
    if not blocks:
        raise ValueError(f"vocabulary: {path} contains no blocks")
    blocks = without(blocks, exclude, str(path))
    if all(block.required is not None for block in blocks):
        raise ValueError(f"vocabulary: no block of {path} can come first, since each of them requires a bond")
    return blocks


def without(blocks: Sequence[Block], exclude: Sequence[str], source: str) -> list[Block]:
    """Return blocks without some of them.

    Args:
        blocks: the blocks of a vocabulary.
        exclude: SMILES of the blocks to omit.
        source: the vocabulary's name or file, for the message.

    Raises:
        ValueError: an excluded block is not among them.
    """
    unknown = sorted(set(exclude) - {block.smiles for block in blocks})
    if unknown:
        raise ValueError(f"exclude: {unknown} are not blocks of the vocabulary {source}")
    return [block for block in blocks if block.smiles not in exclude]
