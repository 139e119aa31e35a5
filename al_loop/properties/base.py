"""What a cheap property is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray


class Property(ABC):
    """A number that costs (almost) nothing to compute, by which a constraint says what is acceptable."""

    #: a distance from the bound that counts as badly violated; scales the penalty in the reward
    scale: ClassVar[float] = 1.0
    #: what it can describe: "molecule" (SMILES), "sequence", or None for anything
    object_type: ClassVar[str | None] = None

    @abstractmethod
    def compute(self, objects: Sequence[str]) -> NDArray[np.float64]:
        """The property of each object: n, NaN where the object cannot be read."""
