"""Base classes of cheap properties."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from al_loop.smiles import read_smiles

if TYPE_CHECKING:
    from torch import Tensor

    from al_loop.features.molecules.graphs import MolecularGraphs


class Property(ABC):
    """A number that costs (almost) nothing to compute, on which a constraint sets bounds."""

    #: the name in a config; empty for a user's own
    kind: ClassVar[str] = ""
    #: a distance from the bound that counts as badly violated; scales the penalty in the reward
    scale: ClassVar[float] = 1.0
    #: the smallest and the largest value that it can have; a bound beyond them is refused
    span: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    #: the objects that it applies to: "molecule" (SMILES), "sequence", or None for any
    object_type: ClassVar[str | None] = None

    @abstractmethod
    def compute(self, objects: Sequence[str]) -> NDArray[np.float64]:
        """Return the property of n objects: n, NaN where an object cannot be read."""

    def of_graphs(self, graphs: MolecularGraphs) -> Tensor | None:
        """Return the property of n molecular graphs: n, float64; None (the default) if this is not supported.

        Args:
            graphs: n molecules.
        """
        return None


class MoleculeProperty(Property):
    """A property of molecules, defined by its value for one RDKit molecule."""

    object_type = "molecule"

    @abstractmethod
    def of_molecule(self, molecule: Any) -> float:
        """Return the property of an RDKit molecule, which must not be modified. Import RDKit inside, not at the top."""

    def compute(self, objects: Sequence[str]) -> NDArray[np.float64]:
        """Return the property of n SMILES: n, NaN where RDKit cannot read the SMILES."""
        molecules = map(read_smiles, objects)
        values = [np.nan if molecule is None else self.of_molecule(molecule) for molecule in molecules]
        return np.array(values, dtype=np.float64)
