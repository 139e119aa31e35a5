"""The structure of feature rows, for encoders that read more in a row than a vector."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

#: unit in which rows store a graph's integers, so small that kernels on whole rows depend on the fingerprint alone
GRAPH_UNIT = 2.0**-40
#: number of values of each field of an atom: element, hydrogens, charge, is aromatic, is in a ring
ATOM_FIELDS = (14, 5, 3, 2, 2)
#: single, double, triple and aromatic
N_BOND_TYPES = 4


@dataclass(frozen=True)
class SequenceLayout:
    """Rows of one-hot letters, position by position: length x (letters, then the blank)."""

    alphabet: str
    length: int

    @property
    def d(self) -> int:
        """Return the length of a row."""
        return self.length * self.n_letters

    @property
    def n_letters(self) -> int:
        """Return the number of letters, with the blank."""
        return len(self.alphabet) + 1

    def letters(self, X: Tensor) -> Tensor:
        """Return the index of the letter at each position, that of the blank being the last: n x d -> n x length."""
        return X.reshape(len(X), self.length, self.n_letters).argmax(-1)

    @property
    def complements(self) -> dict[str, str]:
        """Return the complement of each letter of the alphabet of DNA or RNA; empty for other alphabets."""
        pairs = {"ACGT": dict(zip("ACGT", "TGCA", strict=True)), "ACGU": dict(zip("ACGU", "UGCA", strict=True))}
        return pairs.get("".join(sorted(self.alphabet)), {})


@dataclass(frozen=True)
class GraphLayout:
    """Rows of a fingerprint (n_bits), then atoms (max_atoms), then bonds (max_bonds), as integers x ``GRAPH_UNIT``.

    0 is no atom or no bond. An atom is 1 + its fields as the digits of a number (the radices are
    ``ATOM_FIELDS``, the first field counts least); a molecule's atoms come first. A bond of type t from the i-th atom
    to the j-th is 1 + t + 4 (j + max_atoms i).
    """

    n_bits: int
    max_atoms: int
    max_bonds: int

    @property
    def d(self) -> int:
        """Return the length of a row."""
        return self.n_bits + self.max_atoms + self.max_bonds

    def integers(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Return the atoms (n x max_atoms) and bonds (n x max_bonds) of n x d rows."""
        atoms, bonds = (X[:, self.n_bits :] / GRAPH_UNIT).round().long().split([self.max_atoms, self.max_bonds], dim=1)
        return atoms, bonds


Layout = SequenceLayout | GraphLayout
