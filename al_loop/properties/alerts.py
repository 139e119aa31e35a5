"""Structural alerts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from al_loop.properties.base import Property


class Alerts(Property):
    """Number of structural alerts: assay interference (PAINS) or groups unwanted in drugs (BRENK).

    Args:
        catalog: PAINS (Baell & Holloway 2010), BRENK (Brenk et al. 2008), or both.
    """

    kind = "alerts"
    object_type = "molecule"
    scale: ClassVar[float] = 1.0

    def __init__(self, catalog: Literal["PAINS", "BRENK", "both"] = "both") -> None:
        if catalog not in ("PAINS", "BRENK", "both"):
            raise ValueError(f"property.catalog: {catalog!r} is not one of PAINS, BRENK, both")
        self.catalog = catalog

    @cached_property
    def _filters(self) -> Any:
        from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams

        parameters = FilterCatalogParams()
        for name in ("PAINS", "BRENK") if self.catalog == "both" else (self.catalog,):
            parameters.AddCatalog(getattr(FilterCatalogParams.FilterCatalogs, name))
        return FilterCatalog(parameters)

    def __getstate__(self) -> dict[str, object]:
        return {"catalog": self.catalog}  # RDKit builds the filters anew in another process

    def compute(self, objects: Sequence[str]) -> NDArray[np.float64]:
        """How many alerts match each SMILES: n."""
        from al_loop.properties._molecules import per_molecule

        return per_molecule(objects, lambda molecule: len(self._filters.GetMatches(molecule)))
