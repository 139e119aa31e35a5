"""The config of a campaign: schema, loading, validation, and the exchangeable parts that it names.

- ``schema``: the pydantic models, one for each section
- ``plugins``: discovery of parts by ``kind`` or ``target``, and the schema of their arguments
- ``build``: building a part from its section, with the values that the campaign supplies
- ``load``: YAML file and overrides to a checked ``CampaignConfig``
- ``import_path``: the import path of ``target:`` modules, and name clashes
- ``locations``: YAML parsing with line numbers, for error messages
- ``overrides``: ``key=value`` on the command line
- ``check``: validation of parts and of their combinations
- ``json_schema``: the JSON schema of a config file
"""

from al_loop.config.build import BuildContext, build
from al_loop.config.check import unsupported_by_ppo
from al_loop.config.import_path import add_to_path
from al_loop.config.json_schema import json_schema
from al_loop.config.load import load_config, parse_config, read_content
from al_loop.config.plugins import Part
from al_loop.config.resources import LearnerRole, Role, SamplerRole
from al_loop.config.schema import Budget, CampaignConfig, Evaluation

__all__ = [
    "Budget",
    "BuildContext",
    "CampaignConfig",
    "Evaluation",
    "LearnerRole",
    "Part",
    "Role",
    "SamplerRole",
    "add_to_path",
    "build",
    "json_schema",
    "load_config",
    "parse_config",
    "read_content",
    "unsupported_by_ppo",
]
