"""At most a few molecules per scaffold."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from pydantic import Field
from torch import Tensor

from al_loop.selectors._similarities import best_first
from al_loop.selectors.base import SelectionContext, Similarity
from al_loop.selectors.informed import InformedSelector


class ScaffoldQuota(InformedSelector):
    """The best by score, at most so many per Bemis-Murcko scaffold (Bemis & Murcko 1996).

    Molecules without a ring share the empty scaffold, and so one quota. Pending molecules use up the quotas of their
    scaffolds. Where the quotas leave too few, each scaffold gets a second quota, then a third, ...

    Args:
        per_scaffold: the quota.
    """

    kind = "scaffold_quota"

    def __init__(self, per_scaffold: Annotated[int, Field(ge=1)] = 1) -> None:
        if per_scaffold < 1:
            raise ValueError(f"selector.per_scaffold: {per_scaffold} must be at least 1")
        self.per_scaffold = per_scaffold

    def select_knowing(
        self,
        facts: SelectionContext,
        q: int,
        scores: Tensor,
        X: Tensor,
        similarity: Similarity,
        X_pending: Tensor | None = None,
    ) -> list[int]:
        """See the base class; equal scores in the order given.

        Raises:
            ConfigError: an object is no molecule.
        """
        if facts.objects is None:
            raise self.lacks("objects")
        used = Counter(_scaffold(smiles) for smiles in facts.pending_objects or ())
        left = best_first(scores)
        picked: list[int] = []
        known: dict[int, str] = {}
        wanted, quota = min(q, len(left)), self.per_scaffold
        while len(picked) < wanted:
            over = []
            for i in left:
                if len(picked) == wanted:
                    break
                if i not in known:
                    known[i] = _scaffold(facts.objects[i])
                if used[known[i]] < quota:
                    used[known[i]] += 1
                    picked.append(i)
                else:
                    over.append(i)
            left, quota = over, quota + self.per_scaffold
        return picked


def _scaffold(smiles: str) -> str:
    from al_loop.errors import ConfigError
    from al_loop.monitoring.metrics import scaffold

    found = scaffold(smiles)
    if found is None:
        raise ConfigError(
            f"selector.kind: 'scaffold_quota' is for molecules, and {smiles!r} is none that RDKit reads; "
            "choose another selector, e.g. diverse"
        )
    return found
