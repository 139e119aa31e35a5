"""The schema of the config's ``diversity_filter``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from al_loop.config.frozen import Bound, Frozen


class DiversityFilter(Frozen):
    """Search for many different good objects: none near a good one that was measured is proposed (Blaschke 2020)."""

    good: Annotated[Bound, Field(description="value from which an object is good, in the unit of the objective")]
    distance: Annotated[
        float,
        Field(
            gt=0, le=1, description="smallest distance (1 - similarity of the features) of candidates from each other "
            "and from good objects"
        ),
    ] = 0.7  # fmt: skip
