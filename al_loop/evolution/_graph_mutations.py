"""Edits of molecular graphs: atoms, bonds, rings and substituents are added, removed or changed.

Each edit works on a Kekulé copy of a molecule and returns whether it applied; the result is sanitised afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

#: element -> valence, and how often it is chosen; roughly the frequencies of drug-like molecules
_ELEMENTS = {6: (4, 60), 7: (3, 18), 8: (2, 16), 9: (1, 4), 16: (2, 5), 17: (1, 3), 35: (1, 1)}
#: substituents, attached by their first atom
_GROUPS = (
    "c1ccccc1", "c1ccncc1", "c1cccnc1", "c1ccoc1", "c1ccsc1", "c1cn[nH]c1", "c1ncc[nH]1", "c1nccs1", "N1C=CN=C1",
    "C1CCCCC1", "C1CCCC1", "C1CC1", "N1CCCC1", "N1CCCCC1", "N1CCOCC1", "N1CCNCC1", "N1CCN(C)CC1", "C1CCNCC1",
    "C1CCOCC1", "C(C)C", "C(C)(C)C", "C(F)(F)F", "C#N", "C(=O)O", "C(=O)N", "C(=O)NC", "C(=O)OC", "C(=O)C", "OC",
    "OCC", "OC(F)(F)F", "NC(=O)C", "NS(=O)(=O)C", "S(=O)(=O)C", "S(=O)(=O)N", "[N+](=O)[O-]", "CO", "CN", "CCN(C)C",
    "N(C)C", "NC(=O)c1ccccc1", "Cc1ccccc1", "c1ccc2ccccc2c1", "c1ccc2[nH]ccc2c1", "c1ccc2ncccc2c1", "c1ccc2OCOc2c1",
)  # fmt: skip
#: bridges that are put into a single bond, by their first and last atoms (marked 1 and 2)
_BRIDGES = (
    "[C:1](=O)[NH:2]", "[NH:1][C:2](=O)", "[C:1](=O)[O:2]", "[S:1](=O)(=O)[NH:2]", "[CH2:1][CH2:2]", "[O:1][CH2:2]",
    "[NH:1][CH2:2]", "[CH2:1][NH:2]", "[NH:1]C(=O)[NH:2]", "[c:1]1cc[c:2]cc1", "[c:1]1c[c:2]ccc1", "[N:1]1CC[N:2]CC1",
    "[N:1]1CC[C:2]CC1", "[c:1]1[c:2]cccc1",
)  # fmt: skip


def mutated(molecule: Any, generator: random.Random) -> Any | None:
    """Return an edited copy of a molecule, sanitised; None if the edit does not apply.

    Args:
        molecule: a sanitised RDKit molecule.
        generator: source of all randomness.
    """
    from rdkit import Chem

    copy = Chem.RWMol(molecule)
    try:
        Chem.Kekulize(copy, clearAromaticFlags=True)
        edit = generator.choices(_EDITS, _WEIGHTS)[0]
        return finished(copy) if edit(copy, generator) else None
    except (ValueError, RuntimeError):  # RDKit's errors: the graph is no molecule
        return None


def finished(molecule: Any) -> Any | None:
    """Return the sanitised molecule; None if it is no molecule in one piece."""
    from rdkit import Chem

    result = molecule.GetMol()
    is_wrong = Chem.SanitizeMol(result, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE
    return None if is_wrong or len(Chem.GetMolFrags(result)) != 1 else result


def free_atoms(molecule: Any, n: int = 1) -> list[int]:
    """Return the atoms that have at least n hydrogens."""
    return [atom.GetIdx() for atom in molecule.GetAtoms() if atom.GetTotalNumHs() >= n]


def unmark(molecule: Any, *indices: int) -> None:
    """Let RDKit compute the hydrogens of atoms anew; they may have been explicit in a ring."""
    for index in indices:
        atom = molecule.GetAtomWithIdx(index)
        if not atom.GetFormalCharge():
            atom.SetNoImplicit(False)
            atom.SetNumExplicitHs(0)
            atom.SetChiralTag(_no_chirality())


def single_bonds(molecule: Any, *, in_rings: bool) -> list[Any]:
    """Return the single bonds in rings, or those outside rings."""
    bonds = molecule.GetBonds()
    return [bond for bond in bonds if bond.IsInRing() == in_rings and bond.GetBondType() == _orders()[0]]


def remove_bond(molecule: Any, bond: Any) -> tuple[int, int]:
    """Remove a bond, and return its atoms, whose hydrogens are computed anew."""
    ends = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
    molecule.RemoveBond(*ends)
    unmark(molecule, *ends)
    return ends


def remove_atoms(molecule: Any, indices: Iterable[int]) -> None:
    """Remove atoms, which are given by their indices before the first is removed."""
    molecule.BeginBatchEdit()
    for index in indices:
        molecule.RemoveAtom(index)
    molecule.CommitBatchEdit()


@cache
def _no_chirality() -> Any:
    from rdkit import Chem

    return Chem.ChiralType.CHI_UNSPECIFIED


@cache
def _orders() -> tuple[Any, Any, Any]:
    from rdkit import Chem

    return Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE


def _element(generator: random.Random, valence: int = 1) -> int:
    """Draw an element of at least this valence."""
    able = [number for number, (most, _) in _ELEMENTS.items() if most >= valence]
    return generator.choices(able, [_ELEMENTS[number][1] for number in able])[0]


def _new_atom(molecule: Any, number: int) -> int:
    from rdkit import Chem

    return int(molecule.AddAtom(Chem.Atom(number)))


# ---- the edits ---------------------------------------------------------------------------------------------------


def _append_atom(molecule: Any, generator: random.Random) -> bool:
    order = 2 if generator.random() < 0.25 else 1
    places = free_atoms(molecule, order)
    if not places:
        return False
    place = generator.choice(places)
    new = _new_atom(molecule, _element(generator, order))
    unmark(molecule, place)
    molecule.AddBond(place, new, _orders()[order - 1])
    return True


def _append_group(molecule: Any, generator: random.Random) -> bool:
    places = free_atoms(molecule)
    if not places:
        return False
    place, start = generator.choice(places), molecule.GetNumAtoms()
    molecule.InsertMol(_part(generator.choice(_GROUPS)))
    unmark(molecule, place, start)
    molecule.AddBond(place, start, _orders()[0])
    return True


def _insert_atom(molecule: Any, generator: random.Random) -> bool:
    single = [bond for bond in molecule.GetBonds() if bond.GetBondType() == _orders()[0]]
    if not single:
        return False
    a, b = remove_bond(molecule, generator.choice(single))
    new = _new_atom(molecule, _element(generator, 2))
    molecule.AddBond(a, new, _orders()[0])
    molecule.AddBond(new, b, _orders()[0])
    return True


def _insert_bridge(molecule: Any, generator: random.Random) -> bool:
    chains = single_bonds(molecule, in_rings=False)
    if not chains:
        return False
    a, b = remove_bond(molecule, generator.choice(chains))
    part, start = _part(generator.choice(_BRIDGES)), molecule.GetNumAtoms()
    ends = {atom.GetIntProp("end"): start + atom.GetIdx() for atom in part.GetAtoms() if atom.HasProp("end")}
    molecule.InsertMol(part)
    unmark(molecule, *ends.values())
    molecule.AddBond(a, ends[1], _orders()[0])
    molecule.AddBond(ends[2], b, _orders()[0])
    return True


def _delete_atom(molecule: Any, generator: random.Random) -> bool:
    places = [atom for atom in molecule.GetAtoms() if atom.GetDegree() <= 2]
    if not places or molecule.GetNumAtoms() < 3:
        return False
    atom = generator.choice(places)
    others = [neighbour.GetIdx() for neighbour in atom.GetNeighbors()]
    orders = [bond.GetBondType() for bond in atom.GetBonds()]
    if len(others) == 2:
        if molecule.GetBondBetweenAtoms(*others) is not None:
            return False
        double = _orders()[1]
        molecule.AddBond(*others, double if double in orders and atom.IsInRing() else _orders()[0])
    unmark(molecule, *others)
    molecule.RemoveAtom(atom.GetIdx())
    return True


def _delete_branch(molecule: Any, generator: random.Random) -> bool:
    """Cut a bond outside rings, and keep the larger piece."""
    chains = [b for b in molecule.GetBonds() if not b.IsInRing()]
    if not chains:
        return False
    remove_bond(molecule, generator.choice(chains))
    remove_atoms(molecule, _smallest(pieces(molecule)))
    return True


def pieces(molecule: Any) -> list[tuple[int, ...]]:
    """Return the atoms of each connected piece."""
    from rdkit import Chem

    return list(Chem.GetMolFrags(molecule))


def _smallest(parts: list[tuple[int, ...]]) -> tuple[int, ...]:
    """Return the piece with the fewest atoms."""
    return min(parts, key=len)


def _replace_group(molecule: Any, generator: random.Random) -> bool:
    return _delete_branch(molecule, generator) and _append_group(_refreshed(molecule), generator)


def _refreshed(molecule: Any) -> Any:
    molecule.UpdatePropertyCache(strict=False)
    return molecule


def _change_atom(molecule: Any, generator: random.Random) -> bool:
    atom = molecule.GetAtomWithIdx(generator.randrange(molecule.GetNumAtoms()))
    if atom.GetFormalCharge():
        return False
    bonds = round(sum(bond.GetBondTypeAsDouble() for bond in atom.GetBonds()))
    able = [n for n, (valence, _) in _ELEMENTS.items() if valence >= bonds and n != atom.GetAtomicNum()]
    if not able:
        return False
    atom.SetAtomicNum(generator.choices(able, [_ELEMENTS[n][1] for n in able])[0])
    unmark(molecule, atom.GetIdx())
    return True


def _change_bond(molecule: Any, generator: random.Random) -> bool:
    bond = generator.choice(list(molecule.GetBonds())) if molecule.GetNumBonds() else None
    if bond is None:
        return False
    single, double, triple = _orders()
    a, b = bond.GetBeginAtom(), bond.GetEndAtom()
    room = min(a.GetTotalNumHs(), b.GetTotalNumHs())
    now = bond.GetBondType()
    able = [order for order, extra in ((single, 0), (double, 1), (triple, 2)) if order != now]
    able = [o for o in able if (o == single) or (o == double and (room >= 1 or now == triple)) or
            (o == triple and not bond.IsInRing() and room >= (1 if now == double else 2))]  # fmt: skip
    if not able:
        return False
    unmark(molecule, a.GetIdx(), b.GetIdx())
    bond.SetBondType(generator.choice(able))
    return True


def _close_ring(molecule: Any, generator: random.Random) -> bool:
    from rdkit import Chem

    places = free_atoms(molecule)
    if len(places) < 2:
        return False
    distance = Chem.GetDistanceMatrix(molecule)
    first = generator.choice(places)
    sizes = {2: 1, 3: 1, 4: 8, 5: 10, 6: 1}  # bonds between the atoms: ring size - 1
    able = [(other, sizes[int(distance[first][other])]) for other in places if int(distance[first][other]) in sizes]
    if not able:
        return False
    second = generator.choices([other for other, _ in able], [weight for _, weight in able])[0]
    unmark(molecule, first, second)
    molecule.AddBond(first, second, _orders()[0])
    return True


def _open_ring(molecule: Any, generator: random.Random) -> bool:
    rings = single_bonds(molecule, in_rings=True)
    if not rings:
        return False
    remove_bond(molecule, generator.choice(rings))
    return True


def _move_group(molecule: Any, generator: random.Random) -> bool:
    """Move a substituent to another atom, often the neighbour in its ring."""
    chains, places = single_bonds(molecule, in_rings=False), free_atoms(molecule)
    if not chains or not places:
        return False
    a, b = remove_bond(molecule, generator.choice(chains))
    small = set(_smallest(pieces(molecule)))
    group, old = (a, b) if a in small else (b, a)
    able = [place for place in places if place not in small and place != old]
    if not able:
        return False
    new = generator.choice(able)
    unmark(molecule, new)
    molecule.AddBond(group, new, _orders()[0])
    return True


_EDITS: tuple[Callable[[Any, random.Random], bool], ...] = (
    _append_atom, _append_group, _insert_atom, _insert_bridge, _delete_atom, _delete_branch, _replace_group,
    _change_atom, _change_bond, _close_ring, _open_ring, _move_group,
)  # fmt: skip
_WEIGHTS = (15, 10, 12, 5, 14, 4, 8, 15, 8, 8, 4, 6)


@cache
def _part(smiles: str) -> Any:
    """Return a Kekulé group or bridge, whose marked atoms have the property ``end``."""
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(smiles) if ":" not in smiles else _marked(smiles)
    Chem.Kekulize(molecule, clearAromaticFlags=True)
    return molecule


def _marked(smiles: str) -> Any:
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(smiles)
    for atom in molecule.GetAtoms():
        if atom.GetAtomMapNum():
            atom.SetIntProp("end", atom.GetAtomMapNum())
            atom.SetAtomMapNum(0)
            atom.SetNoImplicit(False)
            atom.SetNumExplicitHs(0)
            atom.SetNumRadicalElectrons(0)
    molecule.UpdatePropertyCache()
    return molecule
