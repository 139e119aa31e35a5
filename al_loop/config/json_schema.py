"""The JSON schema of a config file, for editors and other tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from al_loop.config.arguments import arguments_model
from al_loop.config.check import SECTIONS
from al_loop.config.plugins import built_in, find
from al_loop.config.schema import CampaignConfig

#: arguments of a policy that only the campaign can supply
_NOT_KEYS_OF_A_POLICY = ("environment", "n_conditions")


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a config file, with the arguments of every built-in part."""
    schema = CampaignConfig.model_json_schema()
    definitions, properties = schema["$defs"], schema["properties"]
    sampler = definitions["SamplerSettings"]["properties"]
    nothing = {"type": "null"}
    for section in SECTIONS:
        properties[section] = {"anyOf": _part_schemas(section, definitions)}
    properties["features"]["anyOf"].append(nothing)
    sampler["objective"] = {"anyOf": _part_schemas("objective", definitions)}
    sampler["searches"]["items"] = {"anyOf": _part_schemas("search", definitions)}
    sampler["evolution"] = {"anyOf": [*_part_schemas("evolution", definitions), nothing]}
    policies = _part_schemas("policy", definitions, without=_NOT_KEYS_OF_A_POLICY)
    sampler["policy"] = {"anyOf": [*policies, nothing]}
    number = {"anyOf": [{"type": "number"}, nothing]}
    properties["sinks"]["items"] = {"anyOf": _part_schemas("sink", definitions)}
    constraints = _part_schemas("property", definitions, {"min": number, "max": number})
    properties["constraints"]["items"] = {"anyOf": constraints}
    return schema


def _part_schemas(
    section: str,
    definitions: dict[str, Any],
    more_keys: Mapping[str, Any] | None = None,
    without: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Return a schema for each built-in part of a section, and one for a user's own part.

    Args:
        section: the kind of part, a key of ``plugins.ROOMS``.
        definitions: the shared definitions, to which the definitions of the parts are added.
        more_keys: schemas of keys that each part has besides its arguments.
        without: arguments to omit, since they are not keys of the config.
    """
    schemas: list[dict[str, Any]] = []
    keys = dict(more_keys or {})
    for info in built_in(section):
        arguments = arguments_model(find(section, info.kind), without=without)
        schema = arguments.model_json_schema(ref_template="#/$defs/{model}", by_alias=True)
        definitions.update(schema.pop("$defs", {}))
        schema["properties"] = {"kind": {"const": info.kind}, **schema.get("properties", {}), **keys}
        schema["required"] = ["kind", *schema.get("required", [])]
        schema["description"] = info.summary
        schemas.append(schema)
    target_schema = {"type": "object", "properties": {"target": {"type": "string"}, **keys}, "required": ["target"]}
    return [*schemas, target_schema]
