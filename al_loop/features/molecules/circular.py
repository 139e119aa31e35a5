"""Circular substructures of molecular graphs, with RDKit's own identifiers (Morgan fingerprints, ECFP).

An identifier hashes an atom together with everything within some bonds of it (Rogers & Hahn 2010). The arithmetic is
that of RDKit's Morgan generator with its default invariants, number for number: an atom starts as its element, degree,
hydrogens, charge, isotope and ring membership, and in each layer takes up its neighbours in the order of their
identifiers. A substructure that consists of the same bonds as another one is dropped. Chirality is not used.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from al_loop.features.molecules.graphs import CHARGE, ELEMENT, HYDROGENS, IN_RING, MASS_SHIFT, MolecularGraphs

_GOLDEN = 0x9E3779B9 - (1 << 32)  # the constant of boost's hash_combine, as a signed 32-bit number
_LOW_WORD = 0xFFFFFFFF
_WORD = 64  # bonds in an integer


class Substructures(NamedTuple):
    """Circular substructures of n molecules.

    Args:
        ids: n x m, int64 identifiers from 0 to 2^32 - 1.
        is_kept: n x m, bool, False for those that are dropped, and for atoms that do not exist.
    """

    ids: Tensor
    is_kept: Tensor


def _combine(seed: Tensor, value: Tensor | int) -> Tensor:
    """Return boost's hash_combine of unsigned 32-bit numbers, which are stored as signed ones."""
    return seed ^ (value + _GOLDEN + (seed << 6) + ((seed >> 2) & 0x3FFFFFFF))


def _unsigned(x: Tensor) -> Tensor:
    return x.long() & _LOW_WORD


def atom_invariants(graphs: MolecularGraphs) -> Tensor:
    """Return the identifiers of single atoms: n x A, signed int32."""
    atoms = graphs.atoms
    degree = (graphs.bonds > 0).sum(2, dtype=torch.int32) + atoms[..., HYDROGENS]
    seed = torch.zeros_like(degree)
    for part in (
        atoms[..., ELEMENT],
        degree,
        atoms[..., HYDROGENS],
        atoms[..., CHARGE],
        atoms[..., MASS_SHIFT],
    ):
        seed = _combine(seed, part)
    return torch.where(atoms[..., IN_RING] > 0, _combine(seed, 1), seed)


def substructures(graphs: MolecularGraphs, radius: int) -> Substructures:
    """Return the circular substructures of molecules; those of RDKit's Morgan generator, each as often as there.

    Args:
        graphs: n molecules.
        radius: bonds from the centre to the rim of the largest substructure.
    """
    is_atom = graphs.is_atom
    is_bond = graphs.bonds > 0
    invariants = atom_invariants(graphs)
    bond_words = _bond_words(graphs)
    reached = torch.zeros_like(bond_words[:, :, 0])  # the bonds within the last layer's substructure
    is_alive = is_atom & is_bond.any(2)
    first = _combine(torch.zeros_like(graphs.bonds), graphs.bonds)
    ids, kept = [_unsigned(invariants)], [is_atom]
    seen: list[tuple[Tensor, Tensor]] = []
    for layer in range(radius):
        grown = reached | _union(bond_words)
        for word in range(reached.shape[-1]):
            around = graphs.at_neighbours(reached[..., word])
            grown[..., word] |= _union(torch.where(is_bond, around, 0)[..., None])[..., 0]
        reached = torch.where(is_alive[..., None], grown, reached)
        # neighbours in the order of (bond, identifier), after which a hash does not depend on the order of atoms
        pair = _unsigned(_combine(first, graphs.at_neighbours(invariants)))
        key = (graphs.bonds.long() << 32) | _unsigned(graphs.at_neighbours(invariants))
        pairs = _sorted(torch.where(is_bond, key, torch.iinfo(torch.int64).max), pair)
        seed = _combine(torch.full_like(invariants, layer), invariants)
        for neighbour, hashed in enumerate(pairs):
            is_there = neighbour < is_bond.sum(2)
            seed = torch.where(is_there, _combine(seed, hashed.int()), seed)
        seed = torch.where(is_alive, seed, 0)
        is_new = is_alive & ~_is_repeated(reached, _unsigned(seed), is_alive, seen)
        seen.append((reached, is_alive))
        ids.append(_unsigned(seed))
        kept.append(is_new)
        is_alive, invariants = is_new, seed
    return Substructures(torch.cat(ids, 1), torch.cat(kept, 1))


def _bond_words(graphs: MolecularGraphs) -> Tensor:
    """Return each bond as a bit of a set: n x A x D x words, int64."""
    n_words = max(-(-graphs.n_bonds // _WORD), 1)
    bit = torch.where(graphs.bonds > 0, torch.ones_like(graphs.bond_index) << (graphs.bond_index % _WORD), 0)
    if n_words == 1:
        return bit[..., None]
    word = torch.arange(n_words, device=graphs.device)
    return torch.where(graphs.bond_index[..., None] // _WORD == word, bit[..., None], 0)


def _union(sets: Tensor) -> Tensor:
    """Return the union of the sets of each atom's neighbours: n x A x D x words -> n x A x words."""
    total = sets[:, :, 0]
    for i in range(1, sets.shape[2]):
        total = total | sets[:, :, i]
    return total


def _sorted(keys: Tensor, values: Tensor) -> list[Tensor]:
    """Return the columns of values in the order of their keys: n x A x D -> D times n x A."""
    k, v = list(keys.unbind(2)), list(values.unbind(2))
    for end in range(len(k) - 1, 0, -1):
        for i in range(end):
            is_swapped = k[i] > k[i + 1]
            k[i], k[i + 1] = torch.minimum(k[i], k[i + 1]), torch.maximum(k[i], k[i + 1])
            v[i], v[i + 1] = torch.where(is_swapped, v[i + 1], v[i]), torch.where(is_swapped, v[i], v[i + 1])
    return v


def _is_repeated(sets: Tensor, ids: Tensor, is_alive: Tensor, seen: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Return whether the same bonds occurred in an earlier layer, or in this one with a smaller (identifier, index).

    Args:
        sets: n x A x words, bonds of each substructure.
        ids: n x A, their identifiers.
        is_alive: n x A, which of them exist.
        seen: the sets of earlier layers, and which of them existed.
    """
    index = torch.arange(sets.shape[1], device=sets.device)
    is_before = (ids[:, None, :] < ids[:, :, None]) | ((ids[:, None, :] == ids[:, :, None]) & (index < index[:, None]))
    repeated = (_equal(sets, sets) & is_before & is_alive[:, None]).any(2)
    for other, was_alive in seen:
        repeated |= (_equal(sets, other) & was_alive[:, None]).any(2)
    return repeated


def _equal(a: Tensor, b: Tensor) -> Tensor:
    """Return whether two sets are equal: n x A x words each -> n x A x A."""
    equal = a[:, :, None, 0] == b[:, None, :, 0]
    for word in range(1, a.shape[2]):
        equal &= a[:, :, None, word] == b[:, None, :, word]
    return equal


def folded_counts(found: Substructures, n_bits: int) -> Tensor:
    """Return how often each identifier, modulo a number, occurs: n x n_bits, float32."""
    counts = torch.zeros(len(found.ids), n_bits, dtype=torch.float32, device=found.ids.device)
    return counts.scatter_add_(1, found.ids % n_bits, found.is_kept.float())


def distinct_counts(found: Substructures) -> tuple[Tensor, Tensor]:
    """Return the distinct identifiers of each molecule in ascending order, and their counts, with zeros behind them.

    Returns:
        Identifiers and counts, n x m each, int64.
    """
    none = torch.iinfo(torch.int64).max
    ids = torch.where(found.is_kept, found.ids, none).sort(1).values
    is_first = torch.ones_like(ids, dtype=torch.bool)
    is_first[:, 1:] = ids[:, 1:] != ids[:, :-1]
    is_there = ids != none
    column = is_first.long().cumsum(1) - 1
    counts = torch.zeros_like(ids).scatter_add_(1, column, is_there.long())
    distinct = torch.zeros_like(ids).scatter_(1, column, torch.where(is_there, ids, 0))
    return distinct, counts
