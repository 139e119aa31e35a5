"""Similarity to given molecules."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_loop.properties.base import Property


class SimilarityTo(Property):
    """Largest Tanimoto similarity to given molecules (Morgan counts of radius 2), 0 to 1.

    A ``min`` keeps a campaign near a known series; a ``max`` keeps it away from what is patented or toxic.

    Args:
        smiles: the molecules.
    """

    kind = "similarity"
    object_type = "molecule"
    scale: ClassVar[float] = 0.2

    def __init__(self, smiles: Annotated[Sequence[str], Field(min_length=1)]) -> None:
        self.smiles = tuple(smiles)
        if not self.smiles:
            raise ValueError("property.smiles: give at least one molecule")
        _ = self._references

    @cached_property
    def _generator(self) -> Any:
        from rdkit.Chem import rdFingerprintGenerator

        return rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)

    @cached_property
    def _references(self) -> list[Any]:
        from al_loop.smiles import read_smiles

        found = []
        for smiles in self.smiles:
            molecule = read_smiles(smiles)
            if molecule is None:
                raise ValueError(f"property.smiles: RDKit cannot read {smiles!r}")
            found.append(self._generator.GetCountFingerprint(molecule))
        return found

    def __getstate__(self) -> dict[str, object]:
        return {"smiles": self.smiles}

    def compute(self, objects: Sequence[str]) -> NDArray[np.float64]:
        """The largest similarity of each SMILES: n."""
        from rdkit.DataStructs import BulkTanimotoSimilarity

        from al_loop.properties._molecules import per_molecule

        return per_molecule(
            objects,
            lambda molecule: max(
                BulkTanimotoSimilarity(self._generator.GetCountFingerprint(molecule), self._references)
            ),
        )
