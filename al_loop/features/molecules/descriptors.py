"""Exact numbers of molecular graphs, by RDKit's definitions of its descriptors of the same names.

Each is a sum over atoms or bonds that see at most their neighbours' neighbours, computed for all molecules at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

import torch
from torch import Tensor

from al_loop.features.molecules.graphs import (
    AROMATIC,
    CHARGE,
    DOUBLE,
    ELEMENT,
    HYDROGENS,
    IN_RING_OF_3,
    IS_AROMATIC,
    MASS_SHIFT,
    SINGLE,
    TRIPLE,
    MolecularGraphs,
)

_CARBON, _NITROGEN, _OXYGEN, _FLUORINE, _PHOSPHORUS, _SULFUR, _CHLORINE, _BROMINE = 6, 7, 8, 9, 15, 16, 17, 35
#: average atomic weights in g/mol, as in RDKit 2026.03
_WEIGHTS = {
    1: 1.008, 5: 10.812, 6: 12.011, 7: 14.007, 8: 15.999, 9: 18.998, 14: 28.086, 15: 30.974, 16: 32.067, 17: 35.453,
    34: 78.96, 35: 79.904, 53: 126.904,
}  # fmt: skip
_N_ELEMENTS = 120
#: polar surface areas in square angstroms of nitrogen and oxygen by (element, neighbours, hydrogens, single, double,
#: triple and aromatic bonds, charge, whether in a ring of three, or None for any); Ertl et al. 2000, table 1
_AREAS: Mapping[tuple[int, int, int, int, int, int, int, int, bool | None], float] = {
    (7, 1, 0, 0, 0, 1, 0, 0, None): 23.79,
    (7, 1, 1, 0, 1, 0, 0, 0, None): 23.85,
    (7, 1, 2, 1, 0, 0, 0, 0, None): 26.02,
    (7, 1, 2, 0, 1, 0, 0, 1, None): 25.59,
    (7, 1, 3, 1, 0, 0, 0, 1, None): 27.64,
    (7, 2, 0, 1, 1, 0, 0, 0, None): 12.36,
    (7, 2, 0, 0, 1, 1, 0, 0, None): 13.60,
    (7, 2, 1, 2, 0, 0, 0, 0, True): 21.94,
    (7, 2, 1, 2, 0, 0, 0, 0, False): 12.03,
    (7, 2, 0, 1, 0, 1, 0, 1, None): 4.36,
    (7, 2, 1, 1, 1, 0, 0, 1, None): 13.97,
    (7, 2, 2, 2, 0, 0, 0, 1, None): 16.61,
    (7, 2, 0, 0, 0, 0, 2, 0, None): 12.89,
    (7, 2, 1, 0, 0, 0, 2, 0, None): 15.79,
    (7, 2, 1, 0, 0, 0, 2, 1, None): 14.14,
    (7, 3, 0, 3, 0, 0, 0, 0, True): 3.01,
    (7, 3, 0, 3, 0, 0, 0, 0, False): 3.24,
    (7, 3, 0, 1, 2, 0, 0, 0, None): 11.68,
    (7, 3, 0, 2, 1, 0, 0, 1, None): 3.01,
    (7, 3, 1, 3, 0, 0, 0, 1, None): 4.44,
    (7, 3, 0, 0, 0, 0, 3, 0, None): 4.41,
    (7, 3, 0, 1, 0, 0, 2, 0, None): 4.93,
    (7, 3, 0, 0, 1, 0, 2, 0, None): 8.39,
    (7, 3, 0, 0, 0, 0, 3, 1, None): 4.10,
    (7, 3, 0, 1, 0, 0, 2, 1, None): 3.88,
    (7, 4, 0, 4, 0, 0, 0, 1, None): 0.0,
    (8, 1, 0, 0, 1, 0, 0, 0, None): 17.07,
    (8, 1, 1, 1, 0, 0, 0, 0, None): 20.23,
    (8, 1, 0, 1, 0, 0, 0, -1, None): 23.06,
    (8, 2, 0, 2, 0, 0, 0, 0, True): 12.53,
    (8, 2, 0, 2, 0, 0, 0, 0, False): 9.23,
    (8, 2, 0, 0, 0, 0, 2, 0, None): 13.14,
}


class _Atoms:
    """What the descriptors ask of atoms and bonds, each computed once.

    Args:
        graphs: n molecules.
    """

    def __init__(self, graphs: MolecularGraphs) -> None:
        self.graphs = graphs
        self.element = graphs.atoms[..., ELEMENT]
        self.hydrogens = graphs.atoms[..., HYDROGENS]
        self.charge = graphs.atoms[..., CHARGE]
        self.is_aromatic = graphs.atoms[..., IS_AROMATIC] > 0

    @cached_property
    def other(self) -> Tensor:
        """The element of each neighbour, n x A x D; 0 where there is none."""
        return torch.where(self.graphs.bonds > 0, self.graphs.at_neighbours(self.element), 0)

    @cached_property
    def degree(self) -> Tensor:
        """The number of neighbours."""
        return self.n_bonds(0)

    def n_bonds(self, kind: int) -> Tensor:
        """Return the number of bonds of a type, n x A; 0: of any."""
        bonds = self.graphs.bonds
        return ((bonds == kind) if kind else (bonds > 0)).sum(2, dtype=torch.int32)

    @cached_property
    def valence(self) -> Tensor:
        """The valence, hydrogens included, of atoms without aromatic bonds."""
        orders = self.n_bonds(SINGLE) + 2 * self.n_bonds(DOUBLE) + 3 * self.n_bonds(TRIPLE)
        return orders + self.hydrogens

    def is_one_of(self, *elements: int) -> Tensor:
        """Return whether atoms are of some elements, aliphatic or aromatic, n x A."""
        return _one_of(self.element, elements)

    @cached_property
    def is_aliphatic_other(self) -> Tensor:
        """Whether a neighbour is aliphatic, n x A x D."""
        return self.graphs.at_neighbours(self.is_aromatic.int()) == 0

    def at_other(self, mask: Tensor) -> Tensor:
        """Return whether a neighbour is in a mask of atoms, n x A x D; False where there is no neighbour."""
        return (self.graphs.at_neighbours(mask.int()) > 0) & (self.graphs.bonds > 0)

    def doubly_bonded_to(self, *elements: int, outside_rings: bool = False) -> Tensor:
        """Return whether atoms have a double bond to an aliphatic atom of some elements, n x A."""
        is_bond = (self.graphs.bonds == DOUBLE) & _one_of(self.other, elements) & self.is_aliphatic_other
        return (is_bond & ~self.graphs.is_ring_bond if outside_rings else is_bond).any(2)


def _one_of(values: Tensor, options: tuple[int, ...]) -> Tensor:
    total = values == options[0]
    for option in options[1:]:
        total = total | (values == option)
    return total


def _count(mask: Tensor) -> Tensor:
    return mask.sum(1).double()


def _heavy_atoms(atoms: _Atoms) -> Tensor:
    return _count(atoms.element > 1)


def _weight(atoms: _Atoms) -> Tensor:
    table = torch.full((_N_ELEMENTS,), torch.nan, dtype=torch.float64)
    table[0] = 0.0
    for element, weight in _WEIGHTS.items():
        table[element] = weight
    table = table.to(atoms.element.device)
    of_atom = table[atoms.element.long()] + _WEIGHTS[1] * atoms.hydrogens.double()
    return torch.where(atoms.graphs.atoms[..., MASS_SHIFT] == 0, of_atom, torch.nan).sum(1)


def _donors(atoms: _Atoms) -> Tensor:
    has_hydrogen, is_aliphatic = atoms.hydrogens > 0, ~atoms.is_aromatic
    nitrogen = (atoms.valence == 3) | ((atoms.valence == 4) & (atoms.charge == 1))
    nitrogen &= atoms.is_one_of(_NITROGEN) & is_aliphatic & has_hydrogen
    others = atoms.is_one_of(_OXYGEN, _SULFUR) & is_aliphatic & (atoms.hydrogens == 1) & (atoms.charge == 0)
    aromatic = atoms.is_one_of(_NITROGEN) & atoms.is_aromatic & (atoms.hydrogens == 1) & (atoms.charge == 0)
    return _count(nitrogen | others | aromatic)


def _acceptors(atoms: _Atoms) -> Tensor:
    is_aliphatic, bonds = ~atoms.is_aromatic, atoms.graphs.bonds
    polar = _OXYGEN, _NITROGEN, _PHOSPHORUS, _SULFUR
    is_single = (bonds == SINGLE) | (bonds == AROMATIC)  # an aromatic atom has no hydroxyl group, so either will do
    is_acid = atoms.doubly_bonded_to(*polar)
    is_amide = (atoms.at_other(atoms.doubly_bonded_to(*polar, outside_rings=True)) & (bonds == SINGLE)).any(2)
    chalcogen = atoms.is_one_of(_OXYGEN, _SULFUR) & is_aliphatic
    hydroxyl = (atoms.hydrogens == 1) & (atoms.valence == 2) & (atoms.at_other(~is_acid) & is_single).any(2)
    ether = (atoms.hydrogens == 0) & (atoms.valence == 2)
    chalcogen &= hydroxyl | ether | (atoms.charge == -1)
    amine = atoms.is_one_of(_NITROGEN) & is_aliphatic & (atoms.valence == 3) & ~is_amide
    is_pyridine_like = atoms.is_one_of(_NITROGEN) & (atoms.hydrogens == 0) & (atoms.degree == 2)
    aromatic = is_pyridine_like | atoms.is_one_of(_OXYGEN, _SULFUR)
    return _count(chalcogen | amine | (aromatic & atoms.is_aromatic & (atoms.charge == 0)))


def _rotatable_bonds(atoms: _Atoms) -> Tensor:
    graphs = atoms.graphs
    bonds, is_chain = graphs.bonds, ~graphs.is_ring_bond
    is_aliphatic = ~atoms.is_aromatic
    end = atoms.degree == 1
    methyl = atoms.is_one_of(_CARBON) & (atoms.hydrogens == 3)
    is_carbon = atoms.is_one_of(_CARBON) & is_aliphatic

    def bears_three(mask: Tensor) -> Tensor:
        return is_carbon & ((atoms.at_other(mask) & (bonds == SINGLE)).sum(2) >= 3)

    # neither end is terminal, at a triple bond, or the centre of CX3 or of tert-butyl
    usual = (atoms.degree > 1) & (atoms.n_bonds(TRIPLE) == 0) & graphs.is_atom
    for mask in (*(atoms.is_one_of(x) for x in (_FLUORINE, _CHLORINE, _BROMINE)), methyl):
        usual &= ~bears_three(mask)
    # one end, moreover, is neither side of an amide, ester or amidine bond
    of_three = is_carbon & (atoms.degree == 3)
    carbonyl = of_three & atoms.doubly_bonded_to(_NITROGEN, _OXYGEN, _SULFUR)
    iminium = of_three & _has_iminium(atoms)
    nitrogen = atoms.is_one_of(_NITROGEN)
    bridge = nitrogen | (is_aliphatic & (atoms.is_one_of(_OXYGEN) | (atoms.is_one_of(_SULFUR) & ~end)))
    is_free = (bonds == SINGLE) & is_chain

    def beside(own: Tensor, other: Tensor) -> Tensor:
        return own & (atoms.at_other(other) & is_free).any(2)

    amide = beside(carbonyl, bridge) | beside(bridge, carbonyl)
    amide |= beside(iminium, nitrogen & ~end) | beside(nitrogen & ~end, iminium)
    first = usual & ~amide
    is_rotatable = is_free & usual[..., None] & atoms.at_other(usual) & (first[..., None] | atoms.at_other(first))
    return is_rotatable.sum((1, 2)).double() / 2  # each bond has two ends


def _has_iminium(atoms: _Atoms) -> Tensor:
    positive = atoms.is_one_of(_NITROGEN) & ~atoms.is_aromatic & (atoms.charge == 1)
    return (atoms.at_other(positive) & (atoms.graphs.bonds == DOUBLE)).any(2)


def _polar_surface(atoms: _Atoms) -> Tensor:
    degree, hydrogens = atoms.degree, atoms.hydrogens
    kinds = [atoms.n_bonds(kind) for kind in (SINGLE, DOUBLE, TRIPLE, AROMATIC)]
    in_three = atoms.graphs.atoms[..., IN_RING_OF_3] > 0
    # atoms of other kinds have the area of a regression
    nitrogen = (30.5 - 8.2 * degree.double() + 1.5 * hydrogens).clamp(min=0)
    oxygen = (28.5 - 8.6 * degree.double() + 1.5 * hydrogens).clamp(min=0)
    area = torch.where(atoms.element == _NITROGEN, nitrogen, torch.where(atoms.element == _OXYGEN, oxygen, 0.0))
    code = atoms.element.long()
    for part in (degree, hydrogens, *kinds, atoms.charge + 4):
        code = code * 8 + part.clamp(0, 7)
    for (element, n, n_hydrogens, *counts, charge, ring), value in _AREAS.items():
        key = element
        for number in (n, n_hydrogens, *counts, charge + 4):
            key = key * 8 + number
        is_kind = code == key
        area = torch.where(is_kind if ring is None else is_kind & (in_three == ring), value, area)
    return area.sum(1)


def _fraction_sp3(atoms: _Atoms) -> Tensor:
    carbon = atoms.is_one_of(_CARBON)
    sp3 = carbon & (atoms.degree + atoms.hydrogens == 4)
    return _count(sp3) / _count(carbon).clamp(min=1)


#: descriptors by their names in ``rdkit.Chem.Descriptors``
_FUNCTIONS: Mapping[str, Callable[[_Atoms], Tensor]] = {
    "MolWt": _weight,
    "HeavyAtomCount": _heavy_atoms,
    "NumHDonors": _donors,
    "NumHAcceptors": _acceptors,
    "NHOHCount": lambda a: torch.where(a.is_one_of(_NITROGEN, _OXYGEN), a.hydrogens, 0).sum(1).double(),
    "NOCount": lambda a: _count(a.is_one_of(_NITROGEN, _OXYGEN)),
    "NumHeteroatoms": lambda a: _count((a.element > 1) & ~a.is_one_of(_CARBON)),
    "NumRotatableBonds": _rotatable_bonds,
    "RingCount": lambda a: a.graphs.n_rings.double(),
    "TPSA": _polar_surface,
    "FractionCSP3": _fraction_sp3,
}
#: the names of all descriptors
NAMES = tuple(_FUNCTIONS)


def descriptor(graphs: MolecularGraphs, name: str) -> Tensor:
    """Return a descriptor of n molecules: n, float64, NaN where it is not known (an unusual element or isotope).

    Args:
        graphs: n molecules.
        name: one of ``NAMES``.
    """
    return _FUNCTIONS[name](_Atoms(graphs))
