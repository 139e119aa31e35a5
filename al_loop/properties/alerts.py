"""Structural alerts."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar, Literal

from al_loop.properties.base import MoleculeProperty


class Alerts(MoleculeProperty):
    """Number of structural alerts: assay interference (PAINS) or groups unwanted in drugs (BRENK).

    Args:
        catalog: PAINS (Baell & Holloway 2010), BRENK (Brenk et al. 2008), or both.
    """

    kind = "alerts"
    scale: ClassVar[float] = 1.0
    span: ClassVar[tuple[float, float]] = (0.0, math.inf)

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
        return {"catalog": self.catalog}  # the filters are built again in another process

    def of_molecule(self, molecule: Any) -> float:
        return float(len(self._filters.GetMatches(molecule)))
