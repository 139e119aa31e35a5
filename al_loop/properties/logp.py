"""Lipophilicity."""

from __future__ import annotations

from typing import Any, ClassVar

from al_loop.properties.base import MoleculeProperty


class LogP(MoleculeProperty):
    """Estimated logP, octanol over water (Wildman & Crippen 1999)."""

    kind = "logp"
    scale: ClassVar[float] = 1.0

    def of_molecule(self, molecule: Any) -> float:
        from rdkit.Chem.rdMolDescriptors import CalcCrippenDescriptors

        return float(CalcCrippenDescriptors(molecule)[0])
