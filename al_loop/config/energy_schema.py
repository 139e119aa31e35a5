"""The schema of a config of ``al-loop learn-energy``: the space, the energy, its sampler and their training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from al_loop.config.frozen import Frozen
from al_loop.config.locations import KeyPath
from al_loop.config.plugins import Part
from al_loop.config.resources import Resources
from al_loop.config.schema import CampaignConfig, SamplerSettings


class EnergySampler(Frozen):
    """The sampler that is trained along with an energy; keys as in a campaign's ``sampler``."""

    objective: Annotated[Part, Field(description="the loss of the training")] = Part(kind="trajectory_balance")
    backward: Annotated[Literal["learned", "uniform", "maximum_entropy"], Field(description="the backward policy")] = (
        "learned"
    )
    policy: Annotated[Part | None, Field(description="if omitted, one that suits the environment")] = None
    hidden: Annotated[int, Field(ge=1, description="width of the policy network")] = 128
    layers: Annotated[int, Field(ge=1, description="layers of the policy network")] = 2
    lr: Annotated[float, Field(gt=0, description="learning rate of the policy")] = 3e-3
    lr_log_z: Annotated[float, Field(gt=0, description="learning rate of log Z")] = 0.1
    clip_norm: Annotated[
        Annotated[float, Field(gt=0)] | None, Field(description="largest norm of a gradient; null: any")
    ] = 10.0
    epsilon: Annotated[float, Field(ge=0, le=1, description="share of random actions in training")] = 0.0
    temperature: Annotated[float, Field(gt=0, description="temperature of the policy while exploring")] = 1.0
    ema: Annotated[
        float, Field(ge=0, lt=1, description="decay of the moving average of weights used for sampling; 0: none")
    ] = 0.0
    staleness: Annotated[int, Field(ge=0, description="most steps by which the sampling weights may lag behind")] = 0
    device: Annotated[str, Field(description="cpu, cuda, cuda:1, ...")] = "cpu"
    precision: Annotated[Literal["float32", "bfloat16"], Field(description="number type of the training")] = "float32"


class EnergyConfig(Frozen):
    """An energy that is learned from data, together with a sampler."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the training")] = "energy"
    seed: Annotated[int, Field(ge=0, description="source of all randomness")] = 0
    environment: Annotated[Part, Field(description="the space of objects")]
    features: Annotated[
        Part | None,
        Field(description="input of the energy; if omitted: fingerprints or graphs of molecules, one-hot letters else"),
    ] = None
    energy: Annotated[Part, Field(description="the model of log p up to a constant: mlp, graph or pairwise")] = Part(
        kind="mlp"
    )
    sampler: EnergySampler = EnergySampler()
    steps: Annotated[int, Field(ge=1, description="steps, each a gradient step of both")] = 5000
    batch_size: Annotated[int, Field(ge=1, description="objects that the sampler draws in a step")] = 128
    data_batch: Annotated[int, Field(ge=1, description="objects of the data in a step")] = 128
    lr: Annotated[float, Field(gt=0, description="learning rate of the energy")] = 3e-3
    negatives: Annotated[
        Literal["fresh", "back_and_forth"],
        Field(description="what the energy lowers: fresh objects of the sampler, or moves from the data"),
    ] = "fresh"
    is_corrected: Annotated[
        bool, Field(description="weight fresh negatives, and accept moves by Metropolis-Hastings")
    ] = True
    warmup: Annotated[
        float, Field(ge=0, le=1, description="share of the steps in which moves grow from 1 step to all of them")
    ] = 0.5
    settle: Annotated[
        float, Field(ge=0, lt=1, description="share of the steps, at the end, in which only the sampler learns")
    ] = 0.25
    l2: Annotated[float, Field(ge=0, description="weight of the mean squared score")] = 1e-4
    decay: Annotated[float, Field(ge=0, description="weight decay of the energy")] = 0.0
    ema: Annotated[float, Field(ge=0, lt=1, description="decay of the moving average of the energy's weights")] = 0.0
    base_steps: Annotated[
        int,
        Field(
            ge=0,
            description="steps of maximum likelihood of a policy whose log-likelihood is added to the scores, and with "
            "whose weights the sampler begins; 0: none",
        ),
    ] = 0
    validation: Annotated[float, Field(ge=0, lt=1, description="held-out share of the objects")] = 0.1
    validations: Annotated[int, Field(ge=1, description="evaluations of the held-out objects")] = 10
    patience: Annotated[
        int, Field(ge=0, description="evaluations without progress after which the training stops; 0: never")
    ] = 0
    most_refused: Annotated[float, Field(ge=0, le=1, description="largest share of objects outside the space")] = 0.5
    resources: Resources = Resources()
    sinks: tuple[Part, ...] = Field((), description="services that receive metrics while it runs")


def parts_of_energy(config: EnergyConfig) -> Iterator[tuple[str, Part, KeyPath]]:
    """Yield the section (a key of ``plugins.ROOMS``), the part and the key path of each part."""
    yield "environment", config.environment, ("environment",)
    yield "energy", config.energy, ("energy",)
    if config.features is not None:
        yield "features", config.features, ("features",)
    yield "objective", config.sampler.objective, ("sampler", "objective")
    if config.sampler.policy is not None:
        yield "policy", config.sampler.policy, ("sampler", "policy")
    for i, sink in enumerate(config.sinks):
        yield "sink", sink, ("sinks", i)


def of_file(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a config for ``EnergyConfig``, from that of a campaign's config or of one of its own.

    In a campaign's config, the section ``energy`` has the settings of the training beside the arguments of the energy.

    Args:
        content: the content of the file, with the changes of the command line.
    """
    own = dict(content)
    section = own.get("energy")
    if isinstance(section, Mapping):
        inner = dict(section)
        for key in (*_TRAINING_KEYS, "features"):
            if key in inner:
                own.setdefault(key, inner.pop(key))
        own["energy"] = inner if "kind" in inner or "target" in inner else {"kind": "mlp", **inner}
    if "oracle" not in content:
        return own
    own = {key: value for key, value in own.items() if key in EnergyConfig.model_fields or key not in _OF_CAMPAIGNS}
    if not (isinstance(section, Mapping) and "features" in section):
        own.pop("features", None)  # those of the campaign's surrogate
    if isinstance(own.get("sampler"), Mapping):
        sampler = {key: value for key, value in own["sampler"].items() if key not in _OF_SEARCHES}
        own["sampler"] = sampler
    return own


#: keys of ``EnergyConfig`` that are settings of the training
_TRAINING_KEYS = tuple(
    name
    for name in EnergyConfig.model_fields
    if name not in ("name", "seed", "environment", "features", "energy", "sampler", "resources", "sinks")
)
_OF_CAMPAIGNS = tuple(CampaignConfig.model_fields)
#: keys of a campaign's ``sampler`` that are of the search for good objects
_OF_SEARCHES = tuple(
    name
    for name in SamplerSettings.model_fields
    if name not in EnergySampler.model_fields or name in ("kind", "objective", "epsilon", "temperature", "staleness")
)
