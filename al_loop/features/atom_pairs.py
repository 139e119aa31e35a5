"""Atom pairs of molecules."""

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


class AtomPairs(Features):
    """Atom pairs: counts of two kinds of atoms that are so many bonds apart (Carhart et al. 1985).

    They cover the whole molecule, while circular substructures end at their radius.

    Args:
        n_bits: the length of the vector that pairs are hashed into.
    """

    kind = "atom_pairs"
    object_type = "molecule"
    kernel: ClassVar[str] = "tanimoto"

    def __init__(self, n_bits: Annotated[int, Field(ge=16, le=65536)] = 4096) -> None:
        super().__init__()
        self.n_bits = n_bits

    @property
    def d(self) -> int:
        return self.n_bits

    @cached_property
    def _generator(self) -> Any:
        from rdkit.Chem import rdFingerprintGenerator

        return rdFingerprintGenerator.GetAtomPairGenerator(fpSize=self.n_bits)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in super().__getstate__().items() if name != "_generator"}

    def compute(self, objects: Sequence[str]) -> Tensor:
        """Return the counts of pairs in n SMILES: n x n_bits, uint8 (saturating at 255).

        Raises:
            ValueError: RDKit cannot read a SMILES.
        """
        rows = np.empty((len(objects), self.n_bits), dtype=np.uint8)
        for i, molecule in enumerate(parse_all(objects)):
            rows[i] = np.minimum(self._generator.GetCountFingerprintAsNumPy(molecule), 255)
        return torch.from_numpy(rows)

    def similarity(self, X1: Tensor, X2: Tensor) -> Tensor:
        """Return the Tanimoto similarity of counts: n1 x n2."""
        return min_max_similarity(X1, X2)
