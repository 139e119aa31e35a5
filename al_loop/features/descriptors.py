"""Physico-chemical descriptors of molecules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from al_loop.features._molecules import parse_all
from al_loop.features.base import Features

#: RDKit's descriptors that equal another but for rounding, cost much more than all others, or depend on the order
#: of the atoms
_EXCLUDED = {"Ipc", "AvgIpc", "SPS", "ExactMolWt", "HeavyAtomMolWt", "MaxAbsPartialCharge", "MinAbsPartialCharge"}
_LARGEST = 1e6


class Descriptors(Features):
    """RDKit's physico-chemical descriptors: size, polarity, charges, rings, functional groups; about 200 numbers.

    They are in their own units; a kernel on them (``matern52``, ``rbf``) brings the columns to one scale. A descriptor
    that cannot be computed (a charge of an unknown atom) is 0. About 8 ms per molecule.
    """

    kind = "descriptors"
    object_type = "molecule"
    kernel: ClassVar[str] = "matern52"

    @property
    def d(self) -> int:
        """Return the number of descriptors."""
        return len(self._functions())

    @staticmethod
    def _functions() -> list[tuple[str, object]]:
        from rdkit.Chem import Descriptors as RDKit

        return [(name, function) for name, function in RDKit.descList if name not in _EXCLUDED]

    def compute(self, objects: Sequence[str]) -> Tensor:
        """Return the descriptors of n SMILES: n x d, float32.

        Raises:
            ValueError: RDKit cannot read a SMILES.
        """
        functions = self._functions()
        rows = np.zeros((len(objects), len(functions)), dtype=np.float32)
        for i, molecule in enumerate(parse_all(objects)):
            values = np.array([function(molecule) for _, function in functions], dtype=np.float64)  # type: ignore[operator]
            rows[i] = np.nan_to_num(values, nan=0.0, posinf=_LARGEST, neginf=-_LARGEST).clip(-_LARGEST, _LARGEST)
        return torch.from_numpy(rows)

    def similarity(self, X1: Tensor, X2: Tensor) -> Tensor:
        """Return the cosine of the signed logarithms of the descriptors, at least 0: n1 x n2."""
        A, B = (torch.nn.functional.normalize(X.sign() * X.abs().log1p(), dim=-1) for X in (X1, X2))
        return (A @ B.T).clamp(0, 1)
