"""Ease of synthesis."""

from __future__ import annotations

from typing import Any, ClassVar

from al_loop.properties.base import MoleculeProperty


class SAScore(MoleculeProperty):
    """Synthetic accessibility score, 1 (easy to make) to 10 (hard) (Ertl & Schuffenhauer 2009)."""

    kind = "sa_score"
    scale: ClassVar[float] = 1.0
    span: ClassVar[tuple[float, float]] = (1.0, 10.0)

    def of_molecule(self, molecule: Any) -> float:
        from rdkit.Contrib.SA_Score.sascorer import calculateScore

        return float(calculateScore(molecule))
