"""The fidelities of the oracle among which a campaign chooses. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Fidelities:
    """The fidelities at which a campaign measures, cheapest first; a single one unless it chooses among several.

    A *level* is an index into them. The last one, the target, is what is optimised.

    Args:
        names: names of the fidelities, as the oracle declares them; ``("",)`` for an oracle that declares none.
        costs: cost of one call at each fidelity, in the oracle's currency.
    """

    names: tuple[str, ...] = ("",)
    costs: tuple[float, ...] = (1.0,)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def are_several(self) -> bool:
        """Whether there is a choice."""
        return len(self.names) > 1

    @property
    def target(self) -> str:
        """Name of the fidelity that is optimised."""
        return self.names[-1]

    @property
    def prices(self) -> Mapping[str, float]:
        """Cost of one call at each fidelity, by name."""
        return dict(zip(self.names, self.costs, strict=True))

    def level(self, name: str) -> int:
        """Return the index of a fidelity; measurements at any other fidelity count as measured at the target."""
        return self.names.index(name) if name in self.names else len(self.names) - 1

    def is_target(self, name: str) -> bool:
        """Return whether a value measured at this fidelity is a value of what is optimised."""
        return not self.are_several or name in ("", self.target)
