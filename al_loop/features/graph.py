"""Molecules as graphs, beside their fingerprints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from al_loop.features._molecules import parse_all
from al_loop.features._similarity import min_max_similarity
from al_loop.features.base import Features
from al_loop.features.morgan import Morgan
from al_loop.features.row_layout import ATOM_FIELDS, GRAPH_UNIT, N_BOND_TYPES, GraphLayout

#: codes of elements by atomic number; all other elements share the last code
_ELEMENTS = {number: code for code, number in enumerate((6, 7, 8, 9, 16, 17, 35, 53, 15, 5, 14, 34, 1))}
_OTHER = ATOM_FIELDS[0] - 1


class Graph(Features):
    """Atoms and bonds of molecules, for the encoder ``graph`` of a surrogate, beside Morgan counts.

    The graph is stored in numbers below 1e-5, so that kernels on whole rows, such as that of ``gp``, depend on the
    fingerprint alone; so does ``similarity``.

    Args:
        max_atoms: heavy atoms of the largest molecule; it may have a quarter more bonds.
        radius: of the fingerprint, see ``morgan``.
        n_bits: length of the fingerprint.
    """

    kind = "graph"
    object_type = "molecule"
    kernel: ClassVar[str] = "tanimoto"

    def __init__(
        self,
        max_atoms: Annotated[int, Field(ge=1, le=1000)] = 80,
        radius: Annotated[int, Field(ge=0, le=8)] = 2,
        n_bits: Annotated[int, Field(ge=16, le=65536)] = 2048,
    ) -> None:
        super().__init__(cache_size=50_000)
        self._morgan = Morgan(radius, n_bits)
        self._layout = GraphLayout(n_bits, max_atoms, max_atoms + max_atoms // 4 + 1)

    @property
    def layout(self) -> GraphLayout:
        return self._layout

    @property
    def d(self) -> int:
        return self.layout.d

    def compute(self, objects: Sequence[str]) -> Tensor:
        """Return the rows of n SMILES: n x d, float32, see ``GraphLayout``.

        Raises:
            ValueError: RDKit cannot read a SMILES, or a molecule is too large.
        """
        layout = self.layout
        graphs = np.zeros((len(objects), layout.max_atoms + layout.max_bonds), dtype=np.float32)
        fingerprints = self._morgan.compute(objects)
        for row, smiles, molecule in zip(graphs, objects, parse_all(objects), strict=True):
            if molecule.GetNumAtoms() > layout.max_atoms or molecule.GetNumBonds() > layout.max_bonds:
                raise ValueError(
                    f"the molecule {smiles!r} has {molecule.GetNumAtoms()} atoms and {molecule.GetNumBonds()} bonds, "
                    f"more than {layout.max_atoms} and {layout.max_bonds}; raise features.max_atoms"
                )
            _write(row, molecule, layout.max_atoms)
        return torch.cat([fingerprints.float(), torch.from_numpy(graphs) * GRAPH_UNIT], dim=1)

    def similarity(self, X1: Tensor, X2: Tensor) -> Tensor:
        """Return the Tanimoto similarity of the fingerprints' counts, as in ``morgan``: n1 x n2."""
        return min_max_similarity(X1[:, : self.layout.n_bits], X2[:, : self.layout.n_bits])


def _write(row: NDArray[np.float32], molecule: Any, max_atoms: int) -> None:
    """Write the atoms and bonds of a molecule to a row, as integers."""
    for i, atom in enumerate(molecule.GetAtoms()):
        fields = (
            _ELEMENTS.get(atom.GetAtomicNum(), _OTHER),
            min(atom.GetTotalNumHs(), ATOM_FIELDS[1] - 1),
            1 + max(-1, min(1, atom.GetFormalCharge())),
            int(atom.GetIsAromatic()),
            int(atom.IsInRing()),
        )
        row[i] = 1 + np.ravel_multi_index(fields, ATOM_FIELDS, order="F")
    types = {1.0: 0, 2.0: 1, 3.0: 2, 1.5: 3}
    for i, bond in enumerate(molecule.GetBonds()):
        ends = bond.GetBeginAtomIdx() * max_atoms + bond.GetEndAtomIdx()
        row[max_atoms + i] = 1 + types.get(bond.GetBondTypeAsDouble(), 0) + N_BOND_TYPES * ends
