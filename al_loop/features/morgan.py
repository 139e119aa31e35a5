"""Morgan fingerprints of molecules."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from al_loop.features._molecules import parse_all
from al_loop.features._similarity import min_max_similarity
from al_loop.features.base import Features
from al_loop.features.molecules.circular import folded_counts, substructures
from al_loop.features.molecules.graphs import MolecularGraphs


class Morgan(Features):
    """Morgan fingerprints: the circular substructures of a molecule and their counts.

    Counts are kept in 8 bits and saturate at 255, which no molecule of the usual sizes reaches.

    Args:
        radius: bonds from the centre to the rim of the largest substructure (2 is ECFP4).
        n_bits: the length of the vector that substructures are hashed into.
        counts: whether to count substructures, rather than mark their presence.
        roles: whether to distinguish atoms by their role (donor, acceptor, aromatic, halogen, acid, base), not by
            their element (FCFP; Gobbi & Poppinger 1998).
    """

    kind = "morgan"
    object_type = "molecule"
    kernel: ClassVar[str] = "tanimoto"

    def __init__(
        self,
        radius: Annotated[int, Field(ge=0, le=8)] = 2,
        n_bits: Annotated[int, Field(ge=16, le=65536)] = 2048,
        counts: bool = True,
        roles: bool = False,
    ) -> None:
        super().__init__()
        self.radius = radius
        self.n_bits = n_bits
        self.counts = counts
        self.roles = roles

    @property
    def d(self) -> int:
        return self.n_bits

    @cached_property
    def _generator(self) -> Any:
        from rdkit.Chem import rdFingerprintGenerator

        roles = rdFingerprintGenerator.GetMorganFeatureAtomInvGen() if self.roles else None
        return rdFingerprintGenerator.GetMorganGenerator(
            radius=self.radius, fpSize=self.n_bits, atomInvariantsGenerator=roles
        )

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in super().__getstate__().items() if name != "_generator"}

    def compute(self, objects: Sequence[str]) -> Tensor:
        """Return the fingerprints of n SMILES: n x n_bits, uint8.

        Raises:
            ValueError: RDKit cannot read a SMILES.
        """
        rows = np.empty((len(objects), self.n_bits), dtype=np.uint8)
        for i, molecule in enumerate(parse_all(objects)):
            if self.counts:
                rows[i] = np.minimum(self._generator.GetCountFingerprintAsNumPy(molecule), 255)
            else:
                rows[i] = self._generator.GetFingerprintAsNumPy(molecule)
        return torch.from_numpy(rows)

    def of_graphs(self, graphs: MolecularGraphs) -> Tensor | None:
        if self.roles:
            return None
        counts = folded_counts(substructures(graphs, self.radius), self.n_bits)
        return counts.clamp_(max=255 if self.counts else 1)

    def similarity(self, X1: Tensor, X2: Tensor) -> Tensor:
        """Return the Tanimoto similarity, n1 x n2; on counts sum of minima / sum of maxima, as in RDKit."""
        return min_max_similarity(X1, X2)
