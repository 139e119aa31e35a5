"""The base of all models of a config, and types of their numbers."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from al_loop.system.checks import LONGEST_S

#: a number that a value is compared with, which may also be infinite
Bound = Annotated[float, Field(allow_inf_nan=True)]
_AS_LONG_AS_TIMERS_TAKE = AfterValidator(lambda seconds: min(seconds, LONGEST_S))
#: a time, which may be infinite
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=True), _AS_LONG_AS_TIMERS_TAKE]
PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=True), _AS_LONG_AS_TIMERS_TAKE]


class Frozen(BaseModel):
    """A section of a config, which does not change and has no unknown keys; its numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
