"""The names of objectives: which are reserved, and which would collide in the tables of a run. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from al_loop.errors import ConfigError
from al_loop.oracles.base import Fidelity, Objective

#: columns, beside those of the objectives, of the tables that people fill in and of those that a run is read as
RESERVED_NAMES = (
    "candidate", "id", "object", "smiles", "sequence", "structure", "round", "position", "origin", "fidelity",
    "failure", "reason", "comment", "cost", "seconds", "started", "finished", "worker", "attempts", "number",
    "arrived", "revision", "replicate", "censored", "details",
    "predicted_mean", "predicted_std", "acquisition", "within_bounds",
)  # fmt: skip


def predicted_columns(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the columns of the predicted mean and standard deviation of each optimised objective.

    Args:
        names: the optimised objectives; a single one needs no label.
    """
    if len(names) == 1:
        return [("predicted_mean", "predicted_std")]
    return [(f"predicted_mean_{name}", f"predicted_std_{name}") for name in names]


def check_objective_names(objectives: Sequence[Objective], fidelities: Sequence[Fidelity] = ()) -> None:
    """Check, before a campaign starts, that every column of its tables can be told apart.

    Upper and lower case make no difference, since tables that people bring are read that way.

    Args:
        objectives: everything that the oracle measures.
        fidelities: the fidelities at which it can.

    Raises:
        ConfigError: a name is empty, reserved, used twice, or the name of another objective's column.
    """
    owners: dict[str, str] = {}
    for objective in objectives:
        name = objective.name
        if not name.strip() or name != name.strip() or not name.isprintable():
            raise ConfigError(
                f"objective {name!r}: expected a printable name without blanks around it; rename this value of the "
                "oracle"
            )
        if name.casefold() in RESERVED_NAMES:
            raise ConfigError(
                f"objective {name!r}: the tables of a run have a column of this name; rename this value of the oracle "
                f"(reserved: {', '.join(RESERVED_NAMES)})"
            )
        for column, meaning in _columns(objective):
            owner = owners.get(column.casefold())
            if owner is not None:
                raise ConfigError(
                    f"objectives: {column!r} would be both {owner} and {meaning}; rename one of the oracle's values"
                )
        owners |= {column.casefold(): meaning for column, meaning in _columns(objective)}
    names = [f.name for f in fidelities]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"fidelities: {twice[0]!r} is there twice; every fidelity needs a name of its own")


def _columns(objective: Objective) -> Iterator[tuple[str, str]]:
    """Yield each column that an objective may have in a table, with its meaning for messages."""
    name = objective.name
    yield name, f"the value {name!r}"
    if objective.unit:
        yield f"{name} ({objective.unit})", f"the value {name!r} in {objective.unit}"
    yield from ((f"{name}{blank}std", f"the standard deviation of {name!r}") for blank in "_ ")
    for column, what in zip((f"predicted_mean_{name}", f"predicted_std_{name}"), ("mean", "deviation"), strict=True):
        yield column, f"the predicted {what} of {name!r}"
