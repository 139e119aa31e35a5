"""The section ``reward`` of a campaign's config."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from al_loop.config.energy_terms import EnergyTerms
from al_loop.config.frozen import Frozen


class LikelihoodPrior(Frozen):
    """The likelihood under a language model, as a factor of the reward: p(object | prompt)^(1 / temperature)."""

    temperature: Annotated[
        float, Field(gt=0, description="1: as likely as the model says; larger: further from the model")
    ] = 1.0


class Reward(Frozen):
    """The samplers' reward: exp(beta x standardised acquisition value), standardised in each round."""

    beta: Annotated[float, Field(gt=0, description="inverse temperature: how strongly good objects are preferred")] = (
        4.0
    )
    clip: Annotated[float, Field(gt=0, description="standardised acquisition values are clipped to [-clip, clip]")] = (
        5.0
    )
    feasibility: Annotated[
        float, Field(ge=0, description="power of P(the oracle returns a value) as a factor of the reward; 0: ignored")
    ] = 0.0
    feasibility_by: Annotated[
        Literal["similarity", "auto"] | None,
        Field(
            description="how P(the oracle returns a value) is learned: from similar objects; auto: from forbidden "
            "neighbours of letters where these predict failures of sequences; if omitted: similarity"
        ),
    ] = None
    cost: Annotated[
        float, Field(ge=0, description="power of the expected cost of a call as a divisor of the reward; 0: ignored")
    ] = 0.0
    cost_by: Annotated[
        Literal["cost", "seconds"], Field(description="cost of a call: in the oracle's currency, or its duration")
    ] = "cost"
    decode: Annotated[
        Literal["auto", "always", "never"],
        Field(
            description="whether samplers decode objects to score them; never: features and properties are computed "
            "from molecular graphs (fragments with the features morgan or circular), and only properties that require "
            "RDKit are not; auto: never on a GPU, where possible, and always on a CPU"
        ),
    ] = "auto"
    prior: Annotated[
        LikelihoodPrior | None,
        Field(description="with environment tokens: the language model's likelihood; if omitted, at temperature 1"),
    ] = None
    preferences: Annotated[
        bool,
        Field(
            description="with several objectives: condition the samplers on preferences between them; false: reward "
            "the acquisition value"
        ),
    ] = True
    energy: EnergyTerms = ()
