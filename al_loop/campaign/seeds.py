"""The objects from which a campaign starts, as its environment can build them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from al_loop.campaign.charge_states import charge_states
from al_loop.datafiles.object_lists import read_object_list
from al_loop.environments.base import Environment
from al_loop.errors import ConfigError, counted, summary
from al_loop.smiles import canonical_smiles, largest_part, without_hydrogens

_MAX_NAMED = 10  # objects of one kind in a message


@dataclass(frozen=True)
class Seeds:
    """The objects from which a campaign starts.

    Args:
        objects: distinct objects of the space, in the order of the config.
        references: what similarity to the seeds means: the objects, and the molecules that were read but are not in
            the space, in the order of the config.
        notes: what was read, changed and left out.
    """

    objects: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_seeds(environment: Environment, given: str | Sequence[str]) -> Seeds:
    """Read the seeds of a config.

    Of a salt or mixture of molecules, the largest part counts. A molecule that is not in the space counts in
    another charge state that is: as the neutral molecule, or as the ion.

    Args:
        environment: the space.
        given: a file, see ``read_object_list``, or the objects.

    Raises:
        ConfigError: the file cannot be read, or none of the objects is in the space.
    """
    texts, places, n_blank = _texts(given)
    source = given if isinstance(given, str) else "the config"
    changes: dict[str, list[str]] = {}
    objects: dict[str, str] = {}
    references: dict[str, None] = {}
    outside: list[str] = []
    n_twice = 0
    for text, place in zip(texts, places, strict=True):
        try:
            name, changed = _in_space(environment, text)
        except ValueError as error:
            outside.append(f"{place}{text:.80}: {summary(error)}")
            if environment.object_type == "molecule" and (molecule := largest_part(text)) is not None:
                references[molecule] = None
            continue
        references[name] = None
        if name in objects:
            n_twice += 1
            continue
        objects[name] = text
        for change in changed:
            changes.setdefault(change, []).append(f"{text:.80} as {name:.80}")
    if not objects:
        what = f"none of the {len(texts)} objects of {source}" if len(texts) > 1 else f"the object of {source}"
        raise ConfigError(
            f"seeds: {what} is {'' if len(texts) > 1 else 'not '}in the space of the environment "
            f"({environment.describe()}): {_listed(outside)}"
        )
    verb = "is" if len(objects) == 1 else "are"
    notes = [f"{len(objects)} of {counted(len(texts), 'object')} of {source} {verb} in the space"]
    notes += [f"{change}: {_listed(which)}" for change, which in changes.items()]
    notes += [f"{counted(n_blank, 'row')} without an object left out"] if n_blank else []
    notes += [f"{counted(n_twice, 'duplicate')} left out"] if n_twice else []
    notes += [f"{len(outside)} not in the space: {_listed(outside)}"] if outside else []
    return Seeds(tuple(objects), tuple(references), tuple(notes))


def _texts(given: str | Sequence[str]) -> tuple[Sequence[str], Sequence[str], int]:
    """Return the texts of seeds, the beginning of a message about each, and the number of rows without an object."""
    if not isinstance(given, str):
        other = next((text for text in given if not isinstance(text, str)), None)
        if other is not None:
            raise ConfigError(f"seeds: expected texts, got {other!r:.80}")
        return list(given), [""] * len(given), 0
    try:
        read = read_object_list(given)
    except ConfigError as error:
        raise ConfigError(f"seeds: {error}") from None
    return read.objects, [f"{read.unit} {line}, " for line in read.lines], read.n_blank


def _listed(items: Sequence[str]) -> str:
    more = len(items) - _MAX_NAMED
    return "; ".join(items[:_MAX_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _in_space(environment: Environment, text: str) -> tuple[str, list[str]]:
    """Return an object as the environment writes it, and what had to be changed.

    Raises:
        ValueError: it is not in the space.
    """
    if environment.object_type != "molecule":
        return environment.decode(environment.encode([text]))[0], []
    refusal: ValueError | None = None
    for form, changes in _forms(text):
        try:
            name = environment.decode(environment.encode([form]))[0]
        except ValueError as error:
            refusal = refusal or error
            continue
        if name != form:
            changes = [*changes, "written without what the space does not have, such as stereochemistry"]
        return name, changes
    raise refusal or ValueError("it is not a molecule that RDKit can read")


def _forms(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the SMILES by which a molecule may be in the space, each with what was changed."""
    name = canonical_smiles(text)
    if name is None:
        return
    changes = []
    if "." in name:
        name = largest_part(name) or name
        changes.append("salts and mixtures, of which the largest part counts")
    yield name, changes
    if "[H]" in name and (bare := without_hydrogens(name)) is not None:
        name = bare
        yield name, changes
    for state, change in charge_states(name):
        yield state, [*changes, change]
