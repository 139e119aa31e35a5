"""Crossover of molecular graphs: a part of one molecule is joined to a part of another."""

from __future__ import annotations

import random
from typing import Any

from al_loop.evolution._graph_mutations import (
    finished,
    free_atoms,
    pieces,
    remove_atoms,
    remove_bond,
    single_bonds,
    unmark,
)


def crossed(first: Any, second: Any, generator: random.Random) -> Any | None:
    """Return a molecule of a part of each of two molecules, sanitised; None if one of them cannot be cut.

    Each is cut at a random single bond outside rings (or, without one, loses a hydrogen), and the cut ends are joined.

    Args:
        first: a sanitised RDKit molecule.
        second: another one.
        generator: source of all randomness.
    """
    from rdkit import Chem

    try:
        parts = [_cut(first, generator), _cut(second, generator)]
        if None in parts:
            return None
        (a, end_a), (b, end_b) = parts  # type: ignore[misc]
        joined = Chem.RWMol(a)
        offset = joined.GetNumAtoms()
        joined.InsertMol(b)
        joined.AddBond(end_a, end_b + offset, Chem.BondType.SINGLE)
        return finished(joined)
    except (ValueError, RuntimeError):  # RDKit's errors: the graph is no molecule
        return None


def _cut(molecule: Any, generator: random.Random) -> tuple[Any, int] | None:
    """Return a piece of a molecule and its atom at the cut."""
    from rdkit import Chem

    copy = Chem.RWMol(molecule)
    Chem.Kekulize(copy, clearAromaticFlags=True)
    bonds = single_bonds(copy, in_rings=False)
    if not bonds:
        free = free_atoms(copy)
        if not free:
            return None
        end = generator.choice(free)
        unmark(copy, end)
        return copy, end
    ends = remove_bond(copy, generator.choice(bonds))
    parts = pieces(copy)
    # each piece is as likely as its share of the atoms: pieces of one atom are no exchange
    kept = parts[0] if generator.random() < len(parts[0]) / copy.GetNumAtoms() else parts[1]
    end = ends[0] if ends[0] in kept else ends[1]
    copy.GetAtomWithIdx(end).SetIntProp("cut", 1)
    remove_atoms(copy, set(range(copy.GetNumAtoms())) - set(kept))
    end = next(atom.GetIdx() for atom in copy.GetAtoms() if atom.HasProp("cut"))
    copy.GetAtomWithIdx(end).ClearProp("cut")
    return copy, end
