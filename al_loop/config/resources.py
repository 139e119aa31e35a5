"""The section ``resources`` of a config: what each role of a campaign may use."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from al_loop.config.frozen import Frozen, Seconds


class Role(Frozen):
    """Resources of each Ray actor of a role."""

    num_cpus: Annotated[float, Field(ge=0, description="CPU cores")] = 1.0
    num_gpus: Annotated[
        float, Field(ge=0, description="may be a fraction of one GPU; with 0 the role runs on the CPU")
    ] = 0.0
    memory_gb: Annotated[float | None, Field(gt=0, description="memory to reserve, in GB")] = None
    custom: Annotated[
        dict[str, Annotated[float, Field(gt=0)]], Field(description="Ray's custom resources, by name")
    ] = {}  # noqa: RUF012  pydantic copies it
    labels: Annotated[dict[str, str], Field(description="labels that its node must have")] = {}  # noqa: RUF012

    @field_validator("num_gpus")
    @classmethod
    def _is_whole_above_one(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError("expected a fraction of one GPU, or a whole number of GPUs")
        return value


class SamplerRole(Role):
    """The samplers, which draw in parallel; their number does not change any result."""

    count: Annotated[int, Field(ge=1, description="samplers; see sampler.staleness and sampler.shares")] = 1


class LearnerRole(Role):
    """The learner, whose processes share each batch."""

    replicas: Annotated[
        int,
        Field(
            ge=1,
            description="processes (Ray actors) that train one policy, each on a part of every batch and with these "
            "resources; without Ray, on the next GPUs of this machine. Results are reproducible for the same number",
        ),
    ] = 1


class Resources(Frozen):
    """Threads of the campaign's processes, and resources of each Ray actor (ignored without Ray)."""

    threads: Annotated[
        int,
        Field(
            ge=1,
            description="threads of torch; small networks do not benefit from more, and results are bit-identical "
            "only with the same number",
        ),
    ] = 1
    sampler: SamplerRole = SamplerRole()
    decoders: Annotated[
        Annotated[int, Field(ge=0)] | Literal["auto"],
        Field(
            description="processes beside each sampler that decode its objects and compute their features and "
            "properties, while it draws again or the learner trains; auto: one for each further core (on Ray: for each "
            "core of the cluster); 0: none. They change no result, and take no cores from Ray's count"
        ),
    ] = 0
    learner: Annotated[LearnerRole, Field(description="trains on the samplers' draws")] = LearnerRole(num_cpus=0)
    surrogate: Annotated[Role, Field(description="fits the models once a round, on its GPU if it has one")] = Role(
        num_cpus=0
    )
    oracle: Annotated[Role, Field(description="each of the evaluation.workers")] = Role()
    wait_s: Annotated[
        Seconds,
        Field(description="how long to wait for the cluster to have room for each role (autoscaling), in seconds"),
    ] = 0.0
