"""Circular substructures of molecules, not folded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from al_loop.features._molecules import parse_all
from al_loop.features.base import Features
from al_loop.features.molecules.circular import distinct_counts, substructures
from al_loop.features.molecules.graphs import MolecularGraphs
from al_loop.features.molecules.similarity import Counts, SharedCounts, tanimoto


class Circular(Features):
    """The circular substructures of a molecule and their counts, each with a column of its own rather than folded.

    No two substructures share a column, as some do in ``morgan``. A row lists the identifiers of a molecule's distinct
    substructures (RDKit's, up to 2^32) and, behind them, their counts; the kernels ``sparse_tanimoto`` and
    ``sparse_minmax`` read such rows.

    Args:
        radius: bonds from the centre to the rim of the largest substructure (2 is ECFP4).
        max_substructures: distinct substructures of the largest molecule; fewer than ``radius`` + 1 for each of its
            heavy atoms.
    """

    kind = "circular"
    object_type = "molecule"
    kernel: ClassVar[str] = "sparse_tanimoto"

    def __init__(
        self,
        radius: Annotated[int, Field(ge=0, le=8)] = 2,
        max_substructures: Annotated[int, Field(ge=16, le=4096)] = 256,
    ) -> None:
        super().__init__()
        self.radius = radius
        self.max_substructures = max_substructures

    @property
    def d(self) -> int:
        return 2 * self.max_substructures

    @cached_property
    def _generator(self) -> Any:
        from rdkit.Chem import rdFingerprintGenerator

        return rdFingerprintGenerator.GetMorganGenerator(radius=self.radius)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in super().__getstate__().items() if name != "_generator"}

    def compute(self, objects: Sequence[str]) -> Tensor:
        """Return identifiers and counts of the substructures in n SMILES: n x d, int64.

        Raises:
            ValueError: RDKit cannot read a SMILES, or a molecule is too large.
        """
        rows = np.zeros((len(objects), 2, self.max_substructures), dtype=np.int64)
        for row, smiles, molecule in zip(rows, objects, parse_all(objects), strict=True):
            found = sorted(self._generator.GetSparseCountFingerprint(molecule).GetNonzeroElements().items())
            if len(found) > self.max_substructures:
                raise ValueError(
                    f"the molecule {smiles!r} has {len(found)} distinct substructures, more than "
                    f"{self.max_substructures}; raise features.max_substructures"
                )
            if found:
                row[:, : len(found)] = np.array(found, dtype=np.int64).T
        return torch.from_numpy(rows).flatten(1)

    def of_graphs(self, graphs: MolecularGraphs) -> Tensor:
        """Return identifiers and counts of n molecular graphs: n x d, int64.

        Raises:
            ValueError: a molecule of as many atoms as these graphs may have is too large.
        """
        ids, counts = distinct_counts(substructures(graphs, self.radius))
        spare = self.max_substructures - ids.shape[1]
        if spare < 0:
            raise ValueError(
                f"molecules of {graphs.atoms.shape[1]} atoms may have {ids.shape[1]} substructures, more than "
                f"{self.max_substructures}; raise features.max_substructures"
            )
        pad = torch.nn.functional.pad
        return torch.cat([pad(ids, (0, spare)), pad(counts, (0, spare))], 1)

    def similarity(self, X1: Tensor, X2: Tensor) -> Tensor:
        """Return the Tanimoto similarity sum of minima / sum of maxima of the counts, as RDKit: n1 x n2."""
        a, b = (Counts(*X.long().unflatten(1, (2, -1)).unbind(1)).trimmed() for X in (X1, X2))
        return tanimoto(SharedCounts(b, is_minimum=True)(a), a.counts.sum(1), b.counts.sum(1))
