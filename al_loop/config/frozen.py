"""The base of all models of a config."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A section of a config, which does not change and has no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)
