"""The part of a config that adds learned energies to the samplers' reward."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from al_loop.config.frozen import Frozen
from al_loop.system.path_texts import PathText


class EnergyTerm(Frozen):
    """An energy of `al-loop learn-energy` as a term of the log-reward."""

    file: Annotated[PathText, Field(description="a file written by `al-loop learn-energy`")]
    weight: Annotated[float, Field(description="factor of its score; below 0, objects like its data are avoided")] = 1.0
    refit_steps: Annotated[
        int,
        Field(ge=0, description="training steps in each round on its data and the good measured objects; 0: as it is"),
    ] = 0
    good: Annotated[
        float, Field(gt=0, le=1, description="share of the measured objects, the best, that count as good in a refit")
    ] = 0.25


EnergyTerms = Annotated[
    EnergyTerm | tuple[EnergyTerm, ...],
    Field(
        description="learned energies whose scores are added: log R = beta x acquisition + sum of weight x score; one, "
        "or a list of them"
    ),
]


def energy_items(terms: EnergyTerm | tuple[EnergyTerm, ...]) -> tuple[EnergyTerm, ...]:
    """Return the items of ``reward.energy``, which may be a single one."""
    return terms if isinstance(terms, tuple) else (terms,)
