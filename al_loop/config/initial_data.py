"""The part of a config that names earlier measurements, from which a campaign learns before its first call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from al_loop.config.frozen import Frozen
from al_loop.system.path_texts import PathText

Replicates = Literal["average", "first", "last", "refuse"]


class EarlierData(Frozen):
    """A table of earlier measurements, or another run; columns are recognised by their headings as by `tell`."""

    file: Annotated[PathText, Field(description="CSV, TSV, Excel, Parquet, SDF, or the directory of another run")]
    object: Annotated[str | None, Field(description="the column of objects, if its heading does not say so")] = None
    id: Annotated[str | None, Field(description="the column of names or numbers of the objects")] = None
    values: Annotated[dict[str, str], Field(description="objective -> the column of its values")] = {}  # noqa: RUF012  pydantic copies it
    units: Annotated[
        dict[str, str], Field(description="objective -> unit of its column, converted to the objective's")
    ] = {}  # noqa: RUF012  pydantic copies it
    noise: Annotated[
        dict[str, str | float],
        Field(description="objective -> the column of standard deviations, or one for all in the objective's unit"),
    ] = {}  # noqa: RUF012  pydantic copies it
    failure: Annotated[str | None, Field(description="the column of failures")] = None
    replicates: Annotated[
        Replicates, Field(description="what counts if an object was measured several times, with different values")
    ] = "average"
    fidelity: Annotated[
        str | None, Field(description="the fidelity of the measurements; if omitted, the one that is optimised")
    ] = None


InitialData = Annotated[
    PathText | EarlierData | tuple[PathText | EarlierData, ...],
    Field(
        description="earlier measurements, from which the campaign learns before its first call; they cost nothing of "
        "its budget"
    ),
]


def earlier_data_items(data: str | EarlierData | tuple[str | EarlierData, ...]) -> tuple[EarlierData, ...]:
    """Return the items of ``initial_data``, which may be a single one, or only name a file."""
    items = data if isinstance(data, tuple) else (data,)
    return tuple(EarlierData(file=item) if isinstance(item, str) else item for item in items)


def without_random_objects(content: Any) -> Any:
    """Return a config's content without a random first batch if there is earlier data, unless it asks for both."""
    if not isinstance(content, Mapping) or not content.get("initial_data"):
        return content
    rounds = content.get("rounds", {})
    if not isinstance(rounds, Mapping) or "initial" in rounds:
        return content
    return {**content, "rounds": {**rounds, "initial": 0}}
