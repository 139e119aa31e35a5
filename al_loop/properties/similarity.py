"""Similarity to reference molecules."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from al_loop.properties.base import MoleculeProperty
from al_loop.smiles import read_smiles

if TYPE_CHECKING:
    from torch import Tensor

    from al_loop.features.molecules.graphs import MolecularGraphs


class SimilarityTo(MoleculeProperty):
    """Largest Tanimoto similarity to reference molecules (Morgan counts of radius 2), 0 to 1.

    A ``min`` keeps a campaign near a known series; a ``max`` keeps it away from what is patented or toxic. With both, a
    campaign that starts from ``seeds`` proposes analogues of them, neither too near nor too far.

    Args:
        smiles: the reference molecules; if omitted, the campaign's ``seeds``, also those that the environment cannot
            build.
        seeds: the reference molecules where there are no others.
    """

    kind = "similarity"
    scale: ClassVar[float] = 0.2
    span: ClassVar[tuple[float, float]] = (0.0, 1.0)
    _N_BITS: ClassVar[int] = 2048

    def __init__(self, smiles: Annotated[Sequence[str], Field(min_length=1)] = (), seeds: Sequence[str] = ()) -> None:
        self.smiles = tuple(smiles or seeds)
        if not self.smiles:
            raise ValueError("property.smiles: give at least one molecule, or the campaign's seeds")
        _ = self._references

    @cached_property
    def _generator(self) -> Any:
        from rdkit.Chem import rdFingerprintGenerator

        return rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=self._N_BITS)

    @cached_property
    def _references(self) -> list[Any]:
        fingerprints = []
        for smiles in self.smiles:
            molecule = read_smiles(smiles)
            if molecule is None:
                raise ValueError(f"property.smiles: RDKit cannot read {smiles!r}")
            fingerprints.append(self._generator.GetCountFingerprint(molecule))
        return fingerprints

    def __getstate__(self) -> dict[str, object]:
        return {"smiles": self.smiles}

    def of_molecule(self, molecule: Any) -> float:
        from rdkit.DataStructs import BulkTanimotoSimilarity

        return float(max(BulkTanimotoSimilarity(self._generator.GetCountFingerprint(molecule), self._references)))

    def of_graphs(self, graphs: MolecularGraphs) -> Tensor:
        from al_loop.features.molecules.circular import folded_counts, substructures

        counts = folded_counts(substructures(graphs, radius=2), self._N_BITS)
        largest = counts.new_zeros(len(counts), dtype=counts.dtype)
        for reference in self._references:
            bits = reference.GetNonzeroElements()
            columns = list(bits)
            theirs = counts.new_tensor([float(bits[column]) for column in columns])
            shared = counts[:, columns].minimum(theirs).sum(1)
            largest = largest.maximum(shared / (counts.sum(1) + theirs.sum() - shared))
        return largest.double()
