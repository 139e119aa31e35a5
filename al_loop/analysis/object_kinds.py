"""The type of a run's objects (molecules, sequences or others), from its config and the objects themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from al_loop.analysis.molecules import parse

ObjectType = Literal["molecule", "sequence", "other"]

_MOLECULES = ("fragments", "selfies")
_SEQUENCES = ("sequence", "assignment")
_LETTERS = re.compile(r"[A-Za-z*-]+")
_SAMPLE = 60  # objects that are looked at
_SHARE = 0.8  # of them that must be of a type


def kind_of_objects(config: Mapping[str, Any], objects: Sequence[str]) -> ObjectType:
    """Return the type of a run's objects; the environment need not be importable.

    Args:
        config: the campaign's config, as the ledger records it.
        objects: objects of the run, of which a sample is looked at where the config does not say.
    """
    environment = config.get("environment")
    settings = environment if isinstance(environment, Mapping) else {"kind": environment}
    types: tuple[ObjectType, ...] = ("molecule", "sequence", "other")
    for declared in types:
        if settings.get("object_type") == declared:
            return declared
    if settings.get("kind") in _MOLECULES:
        return "molecule"
    if settings.get("kind") in _SEQUENCES:
        return "sequence"
    sample = list(objects[:: max(1, len(objects) // _SAMPLE)])[:_SAMPLE]
    if not sample:
        return "other"
    if sum(molecule is not None for molecule in parse(sample)) >= _SHARE * len(sample):
        return "molecule"
    if sum(_LETTERS.fullmatch(name) is not None for name in sample) >= _SHARE * len(sample):
        return "sequence"
    return "other"
