"""Morgan fingerprints of molecules."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from al_loop.features.base import Features
from al_loop.smiles import read_smiles


class Morgan(Features):
    """Morgan fingerprints: which circular substructures a molecule has, and how often.

    Counts are kept in 8 bits and saturate at 255, which no molecule of the usual sizes reaches.

    Args:
        radius: bonds from the centre to the rim of the largest substructure (2 is ECFP4).
        n_bits: the length of the vector that substructures are hashed into.
        counts: how often a substructure occurs, rather than whether it does.
        roles: atoms are told apart by what they do (donor, acceptor, aromatic, halogen, acid, base), not by their
            element (FCFP; Gobbi & Poppinger 1998).
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
        """The length of a feature vector."""
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
        """Fingerprints of SMILES: n x n_bits, uint8.

        Raises:
            ValueError: a SMILES that RDKit does not read.
        """
        rows = np.empty((len(objects), self.n_bits), dtype=np.uint8)
        for i, smiles in enumerate(objects):
            molecule = read_smiles(smiles)
            if molecule is None:
                raise ValueError(f"RDKit cannot read the SMILES {smiles!r}; give molecules as valid SMILES")
            if self.counts:
                rows[i] = np.minimum(self._generator.GetCountFingerprintAsNumPy(molecule), 255)
            else:
                rows[i] = self._generator.GetFingerprintAsNumPy(molecule)
        return torch.from_numpy(rows)

    def similarity(self, X1: Tensor, X2: Tensor) -> Tensor:
        """Tanimoto similarity: n1 x d, n2 x d -> n1 x n2; on counts sum of minima / sum of maxima, as RDKit has it."""
        return min_max_similarity(X1, X2)


def min_max_similarity(X1: Tensor, X2: Tensor) -> Tensor:
    """sum_i min(x_i, y_i) / sum_i max(x_i, y_i) of count rows (non-negative integers): n1 x d, n2 x d -> n1 x n2.

    The sum of minima is the sum over levels k = 1, 2, ... of the dot products of [x >= k] and [y >= k]; few columns
    reach the higher levels, so that all but the first products are small.
    """
    A, B = X1.to(torch.float32), X2.to(torch.float32)
    minima = torch.zeros(len(A), len(B))
    level = 1
    while A.numel() and B.numel():
        at_a, at_b = level <= A, level <= B
        columns = at_a.any(0) & at_b.any(0)
        A, B = A[:, columns], B[:, columns]
        minima += at_a[:, columns].float() @ at_b[:, columns].float().T
        level += 1
    minima = minima.double()
    maxima = X1.double().sum(-1).unsqueeze(-1) + X2.double().sum(-1).unsqueeze(-2) - minima
    return torch.where(maxima == 0, 1.0, minima / maxima)
