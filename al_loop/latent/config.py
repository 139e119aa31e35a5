"""The config of ``al-loop fit-latent``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from al_loop.config.frozen import Frozen
from al_loop.config.locations import KeyPath
from al_loop.config.plugins import Part
from al_loop.config.resources import Resources
from al_loop.config.task_files import load_task
from al_loop.latent.settings import EM


class LatentConfig(Frozen):
    """A latent-variable model to fit, and how."""

    name: Annotated[str, Field(description="the name of the fit, for sinks")] = "latent"
    seed: Annotated[int, Field(ge=0, description="the same seed gives the same model")] = 0
    latent: Annotated[Part, Field(description="the model")]
    em: Annotated[EM, Field(description="settings of GFlowNet-EM")] = EM()
    resources: Annotated[Resources, Field(description="threads, and the samplers' actors on Ray")] = Resources()
    sinks: tuple[Part, ...] = Field((), description="services that receive metrics while it runs: mlflow, wandb, ...")

    @property
    def fingerprint(self) -> str:
        """A hash of what the model depends on, apart from the number of rounds, which may grow without a schedule."""
        em = self.em
        has_schedule = em.final_threshold is not None or em.average > 0 or em.final_steps > 0
        content = self.model_dump(mode="json", include={"seed", "latent", "em"})
        for key in ("report_every", *(() if has_schedule else ("rounds",))):
            content["em"].pop(key)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def parts_of(config: LatentConfig) -> Iterator[tuple[str, Part, KeyPath]]:
    """Yield the section, the part and the key path of each part of a config."""
    yield "latent", config.latent, ("latent",)
    for i, sink in enumerate(config.sinks):
        yield "sink", sink, ("sinks", i)


def load_latent_config(path: str | Path, overrides: Sequence[str] = ()) -> LatentConfig:
    """Read and validate the config of a latent-variable model.

    Args:
        path: the YAML file.
        overrides: items of the form ``em.rounds=20``, with the value in YAML.

    Raises:
        ConfigError: the config is invalid; one line per error.
    """
    return load_task(path, overrides, LatentConfig, parts_of)
