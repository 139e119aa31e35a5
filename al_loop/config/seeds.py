"""The part of a config that names the objects from which a campaign starts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from al_loop.system.path_texts import PathText

Seeds = Annotated[
    PathText | tuple[str, ...],
    Field(
        description="objects to start from, such as hits: a file (.smi, .csv, ...) or a list. They are in the first "
        "batch with objects near them, and in the replay, from which searches start"
    ),
]
