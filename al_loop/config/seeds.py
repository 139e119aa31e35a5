"""The part of a config that names the objects from which a campaign starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from al_loop.config.plugins import Part, is_built_in
from al_loop.system.path_texts import PathText

Seeds = Annotated[
    PathText | tuple[str, ...],
    Field(
        description="objects to start from, such as hits: a file (.smi, .csv, ...) or a list. They are in the first "
        "batch with objects near them, and in the replay, from which searches start"
    ),
]

Scaffold = Annotated[
    str | tuple[str, ...] | None,
    Field(
        description="short for environment.scaffold: what every molecule has, with [*] for each substituent, or two "
        "parts that a linker is to connect"
    ),
]


def with_scaffold(content: Any) -> Any:
    """Return a config's content with a ``scaffold`` at its top as the argument of the environment that it is short for.

    Raises:
        ValueError: the environment has another one, or takes none.
    """
    if not isinstance(content, Mapping) or content.get("scaffold") is None:
        return content
    environment = content.get("environment")
    part = {"kind": environment} if isinstance(environment, str) else environment
    if isinstance(part, Part):
        part = part.model_dump(exclude_none=True)
    if not isinstance(part, Mapping):
        return content
    kind = part.get("kind")
    if isinstance(kind, str) and kind != "fragments" and is_built_in("environment", kind):
        raise ValueError(
            f"scaffold: {kind} builds no molecules from a scaffold; use environment: fragments, or remove it"
        )
    if part.get("scaffold") not in (None, content["scaffold"]):
        raise ValueError("scaffold: environment.scaffold is another one; keep one of them")
    rest = {key: value for key, value in content.items() if key != "scaffold"}
    return {**rest, "environment": {**part, "scaffold": content["scaffold"]}}
