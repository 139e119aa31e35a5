"""Drug-likeness."""

from __future__ import annotations

from typing import Any, ClassVar

from al_loop.properties.base import MoleculeProperty


class QED(MoleculeProperty):
    """Quantitative estimate of drug-likeness, 0 to 1, larger is more drug-like (Bickerton et al. 2012)."""

    kind = "qed"
    scale: ClassVar[float] = 0.2
    span: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def of_molecule(self, molecule: Any) -> float:
        from rdkit.Chem.QED import qed

        return float(qed(molecule))  # type: ignore[no-untyped-call]
