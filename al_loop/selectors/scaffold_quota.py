"""A quota of molecules per scaffold."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from pydantic import Field

from al_loop.selectors._similarities import best_first
from al_loop.selectors.base import SelectionContext, Selector
from al_loop.system import stopping


class ScaffoldQuota(Selector):
    """The best by score, with a quota per Bemis-Murcko scaffold (Bemis & Murcko 1996).

    Molecules without a ring share the empty scaffold, and so one quota. Pending molecules count towards the quotas of
    their scaffolds. If the batch is not full when all quotas are, each scaffold gets a second quota, then a third, ...

    Args:
        per_scaffold: molecules per scaffold.
    """

    kind = "scaffold_quota"

    def __init__(self, per_scaffold: Annotated[int, Field(ge=1)] = 1) -> None:
        if per_scaffold < 1:
            raise ValueError(f"selector.per_scaffold: {per_scaffold} must be at least 1")
        self.per_scaffold = per_scaffold

    def select(self, context: SelectionContext) -> list[int]:
        """Return the picks; equal scores in the given order.

        Raises:
            ConfigError: an object is not a molecule.
        """
        used = Counter(_scaffold(smiles) for smiles in context.pending_objects)
        waiting = best_first(context.scores)
        picked: list[int] = []
        scaffolds: dict[int, str] = {}
        quota = self.per_scaffold
        while len(picked) < context.n_picks:
            over_quota = []
            for i in waiting:
                stopping.look()
                if len(picked) == context.n_picks:
                    break
                if i not in scaffolds:
                    scaffolds[i] = _scaffold(context.objects[i])
                if used[scaffolds[i]] < quota:
                    used[scaffolds[i]] += 1
                    picked.append(i)
                else:
                    over_quota.append(i)
            waiting, quota = over_quota, quota + self.per_scaffold
        return picked


def _scaffold(smiles: str) -> str:
    from al_loop.errors import ConfigError
    from al_loop.monitoring.metrics import scaffold

    core = scaffold(smiles)
    if core is None:
        raise ConfigError(
            f"selector.kind: 'scaffold_quota' requires molecules, and RDKit cannot read {smiles!r}; "
            "use another selector, e.g. diverse"
        )
    return core
