"""Molecular weight."""

from __future__ import annotations

from typing import Any, ClassVar

from al_loop.properties.base import MoleculeProperty


class MolWeight(MoleculeProperty):
    """Average molecular weight in g/mol; drugs taken by mouth are mostly below 500 (Lipinski et al. 1997)."""

    kind = "mol_weight"
    scale: ClassVar[float] = 50.0

    def of_molecule(self, molecule: Any) -> float:
        from rdkit.Chem.Descriptors import MolWt  # type: ignore[attr-defined]  # RDKit defines it at run time

        return float(MolWt(molecule))
