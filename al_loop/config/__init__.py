"""Campaign configs: schema, loading, building the parts they name."""

from al_loop.config.schema import (
    Budget,
    CampaignConfig,
    Evaluation,
    Part,
    Role,
    SamplerRole,
    add_to_path,
    build,
    json_schema,
    load_config,
    oracle_of,
    parse_config,
    ppo_cannot,
)

__all__ = [
    "Budget",
    "CampaignConfig",
    "Evaluation",
    "Part",
    "Role",
    "SamplerRole",
    "add_to_path",
    "build",
    "json_schema",
    "load_config",
    "oracle_of",
    "parse_config",
    "ppo_cannot",
]
