"""The settings of a plan."""

from __future__ import annotations

from dataclasses import dataclass

from al_loop.errors import ConfigError


@dataclass(frozen=True)
class PlanSettings:
    """The settings of a plan: its goal, and what is simulated.

    Args:
        goal: the value to reach, in the oracle's unit (with several objectives: the hypervolume); or ``"1%"``, the
            best share of random objects.
        calls: after how many calls the chance to reach it is asked for, in increasing order; of a campaign that
            chooses fidelities: for the cost of as many calls at the target.
        simulations: number of imagined oracles, on each of which every variant of the campaign is simulated.
        batches: further batch sizes; None: half and twice the config's.
        pool: number of objects of the space that are candidates in each round.
        mean: without data, the mean of the oracle's values of random objects.
        spread: without data, their standard deviation.
        limit: the best value that is possible, such as 1 for a share; None: any.
        hours_per_call: how long a call takes; None: unknown.
        has_variants: whether to simulate other batch sizes, fidelities and initial data, too.
        draws_hyperparameters: whether hyperparameters are drawn from their posterior, for every imagined oracle anew;
            else all have the most likely ones.
    """

    goal: float | str
    calls: tuple[int, ...] = (50, 100, 200)
    simulations: int = 48
    batches: tuple[int, ...] | None = None
    pool: int = 1500
    mean: float = 0.0
    spread: float = 1.0
    limit: float | None = None
    hours_per_call: float | None = None
    has_variants: bool = True
    draws_hyperparameters: bool = True

    def __post_init__(self) -> None:
        if not self.calls or min(self.calls) < 1 or max(self.calls) > 100_000:
            raise ConfigError(f"--calls: expected numbers of calls from 1 on, such as 50,100,200, got {self.calls}")
        if self.simulations < 2:
            raise ConfigError(f"--simulations: at least 2 are required, got {self.simulations}")
        if not self.spread > 0:
            raise ConfigError(f"--spread: a standard deviation is above 0, got {self.spread:g}")
        if self.pool < 2:
            raise ConfigError(f"--pool: at least 2 objects are required, got {self.pool}")
        if self.batches is not None and (not self.batches or min(self.batches) < 1):
            raise ConfigError(f"--batches: batch sizes are at least 1, got {self.batches}")
        if self.hours_per_call is not None and not self.hours_per_call > 0:
            raise ConfigError(f"--hours-per-call: must be above 0, got {self.hours_per_call:g}")
        _ = self.share
        object.__setattr__(self, "calls", tuple(sorted(set(self.calls))))

    @property
    def share(self) -> float | None:
        """The goal as a share of random objects; None where it is a value.

        Raises:
            ConfigError: it is neither.
        """
        if not isinstance(self.goal, str):
            return None
        text = self.goal.strip()
        try:
            share = float(text.removesuffix("%")) / 100
        except ValueError:
            share = 0.0
        if not text.endswith("%") or not 0 < share < 1:
            raise ConfigError(f"--goal: expected a value, or the best share of random objects such as 1%, got {text!r}")
        return share
