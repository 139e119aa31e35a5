"""Constraints on cheap properties of objects, which are computed rather than measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from al_loop.errors import counted
from al_loop.features.molecules.graphs import MolecularGraphs
from al_loop.properties.base import Property


@dataclass(frozen=True)
class PropertyBound:
    """An interval in which a cheap property must lie.

    Args:
        property: the property.
        min: its lowest acceptable value, in its unit; None for no lower bound.
        max: its highest acceptable value, in its unit; None for no upper bound.
    """

    property: Property
    min: float | None
    max: float | None

    def violation(self, objects: Sequence[str]) -> Tensor:
        """Return each object's distance from the bounds in units of the property's scale, n; inf if unknown."""
        computed = np.asarray(self.property.compute(objects), dtype=np.float64)
        if computed.shape != (len(objects),):
            name, n = type(self.property).__name__, len(objects)
            raise ValueError(f"{name}.compute returned the shape {computed.shape} for {n} objects, expected ({n},)")
        return self._violation(torch.from_numpy(computed))

    def violation_of_graphs(self, graphs: MolecularGraphs) -> Tensor | None:
        """Return each molecule's distance from the bounds, as ``violation``; None if the property requires objects."""
        values = self.property.of_graphs(graphs)
        return None if values is None else self._violation(values)

    def _violation(self, values: Tensor) -> Tensor:
        low = torch.zeros_like(values) if self.min is None else (self.min - values).clamp(min=0)
        high = torch.zeros_like(values) if self.max is None else (values - self.max).clamp(min=0)
        return torch.where(values.isnan(), torch.inf, (low + high) / self.property.scale)


class Constraints:
    """All property bounds of a campaign; the violation of each object is computed once and cached.

    Args:
        bounds: the bounds.
    """

    def __init__(self, bounds: Sequence[PropertyBound] = ()) -> None:
        self._bounds = tuple(bounds)
        self._violations: dict[str, float] = {}

    def violation(self, objects: Sequence[str]) -> Tensor:
        """Return the sum of each object's violations, n; 0 for an acceptable object."""
        new = [o for o in dict.fromkeys(objects) if o not in self._violations]
        if new:
            total = torch.zeros(len(new), dtype=torch.float64)
            for bound in self._bounds:
                total += bound.violation(new)
            self._violations.update(zip(new, total.tolist(), strict=True))
        return torch.tensor([self._violations[o] for o in objects], dtype=torch.float64)

    def distances(self, objects: Sequence[str]) -> Tensor:
        """Return each object's distance from each bound in units of its property's scale, n x bounds; inf if unknown.

        Args:
            objects: the objects.
        """
        columns = [bound.violation(objects) for bound in self._bounds]
        return torch.stack(columns, dim=1) if columns else torch.zeros(len(objects), 0, dtype=torch.float64)

    def knows(self, name: str) -> bool:
        """Return whether the violation of an object is cached."""
        return name in self._violations

    def remember(self, objects: Sequence[str], violations: Sequence[float]) -> None:
        """Cache violations that were computed in another process.

        Args:
            objects: the objects.
            violations: the sum of each object's violations.
        """
        self._violations.update(zip(objects, violations, strict=True))

    def forget(self) -> None:
        """Drop the cached violations."""
        self._violations.clear()

    def of_objects(self, graphs: MolecularGraphs) -> Constraints:
        """Return the bounds that require objects, since their properties cannot be computed from graphs like these."""
        return Constraints([b for b in self._bounds if b.property.of_graphs(graphs) is None])

    def violation_of_graphs(self, graphs: MolecularGraphs) -> Tensor:
        """Return the sum of each molecule's violations of the bounds that do not require objects, n, on their device.

        Args:
            graphs: n molecules.
        """
        total = torch.zeros(len(graphs), dtype=torch.float64, device=graphs.device)
        for bound in self._bounds:
            violation = bound.violation_of_graphs(graphs)
            if violation is not None:
                total += violation
        return total

    def __len__(self) -> int:
        """Return the number of bounds."""
        return len(self._bounds)

    def acceptable(self, objects: Sequence[str]) -> list[str]:
        """Return the objects that violate no bound, in their order."""
        return [o for o, v in zip(objects, self.violation(objects).tolist(), strict=True) if v == 0]

    def explain(self, objects: Sequence[str]) -> str:
        """Return, for a message, that no object is acceptable, with the share of objects that meet each bound.

        Args:
            objects: objects none of which is acceptable.
        """
        names = list(dict.fromkeys(objects))
        if not self._bounds or not names:
            return "none is set, but the environment offers no object"
        return (
            f"none of {counted(len(names), 'different object')} drawn at random meets all of them: "
            f"{self.pass_rates(names)}; widen the bounds"
        )

    def pass_rates(self, objects: Sequence[str]) -> str:
        """Return, for a message, how many of some objects meet each bound.

        Args:
            objects: the objects, of which equal ones count once.
        """
        names = list(dict.fromkeys(objects))
        n_met = (self.distances(names) == 0).sum(0).tolist()
        rates = zip(self._labels(), n_met, strict=True)
        return "; ".join(f"{label} is met by {n} ({n / max(len(names), 1):.1%})" for label, n in rates)

    def _labels(self) -> list[str]:
        labels = []
        for i, bound in enumerate(self._bounds):
            ends = [f"{key} {value:g}" for key, value in (("min", bound.min), ("max", bound.max)) if value is not None]
            labels.append(
                f"constraints.{i} ({bound.property.kind or type(bound.property).__name__}, {', '.join(ends)})"
            )
        return labels

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_violations": {}}  # the cache does not travel to other processes
