"""A plan: what simulated campaigns reached, as a value and as a file beside the run. Loads neither torch nor pandas."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from al_loop.errors import ConfigError, counted
from al_loop.oracles.base import Goal
from al_loop.storage.files import write_whole
from al_loop.system.numbers import significant
from al_loop.system.private_files import make_private_folder

Array = NDArray[np.float64]
Kind = Literal["config", "batch", "data", "fidelity"]

FILE = "plan.json"
VERSION = 1
_DIGITS = 6  # significant ones of a value in the file
HOPELESS: Final = 0.1  # chance of the goal below which stopping is advised
_LEAST_GROUP = 5  # simulations that a rule to stop must rest on


@dataclass(frozen=True, eq=False)
class SimulatedVariant:
    """A way to lead the campaign, and what it reached.

    Args:
        name: such as "batches of 8".
        kind: what it differs in from the config.
        batch_size: objects measured in a round.
        initial: random objects measured first.
        curves: the best value after each number of calls, simulations x calls; NaN where there is none.
    """

    name: str
    kind: Kind
    batch_size: int
    initial: int
    curves: Array

    def rounds(self, n_calls: int) -> int:
        """Return the number of rounds that so many calls take, the first batch included."""
        return (1 if self.initial else 0) + math.ceil(max(n_calls - self.initial, 0) / self.batch_size)


@dataclass(frozen=True, eq=False)
class Plan:
    """The simulated campaigns of a config.

    Args:
        name: of the campaign.
        objective: name of what is optimised, or "hypervolume".
        unit: its unit.
        direction: its better direction.
        goal: the value to reach; where the goal is a share of random objects, the median over the imagined oracles.
        goal_text: the goal in words.
        goals: the value to reach on each imagined oracle.
        calls: the numbers of calls that were asked for.
        variants: the config's own way first.
        cost_per_call: in the oracle's currency.
        hours_per_call: None: unknown.
        workers: calls that run at the same time.
        assumptions: what is assumed, a sentence each.
        shortcuts: how the simulation is cheaper than the campaign, a sentence each.
    """

    name: str
    objective: str
    unit: str
    direction: Goal
    goal: float
    goal_text: str
    goals: tuple[float, ...]
    calls: tuple[int, ...]
    variants: tuple[SimulatedVariant, ...]
    cost_per_call: float
    hours_per_call: float | None
    workers: int
    assumptions: tuple[str, ...]
    shortcuts: tuple[str, ...]

    @property
    def sign(self) -> float:
        """1 if larger values are better, else -1."""
        return 1.0 if self.direction == "maximise" else -1.0

    @property
    def main(self) -> SimulatedVariant:
        """The campaign as the config has it."""
        return self.variants[0]

    @property
    def simulations(self) -> int:
        """The number of imagined oracles."""
        return len(self.goals)

    def reached(self, n_calls: int, variant: SimulatedVariant | None = None) -> NDArray[np.bool_]:
        """Return for each simulation whether it has reached the goal after so many calls."""
        best = (variant or self.main).curves[:, n_calls - 1]
        reached: NDArray[np.bool_] = self.sign * (best - np.array(self.goals)) >= 0
        return reached

    def chance(self, n_calls: int, variant: SimulatedVariant | None = None) -> tuple[float, float]:
        """Return the chance to reach the goal after so many calls, and its standard error."""
        n, k = self.simulations, int(self.reached(n_calls, variant).sum())
        p = (k + 0.5) / (n + 1)  # of which the error is not 0 at either end
        return k / n, math.sqrt(p * (1 - p) / n)

    def band(self, n_calls: int, variant: SimulatedVariant | None = None) -> tuple[float, float, float]:
        """Return the best value of the worst tenth of the simulations, of the median, and of the best tenth."""
        best = self.sign * (variant or self.main).curves[:, n_calls - 1]
        best = np.where(np.isnan(best), -np.inf, best)
        low, middle, high = (self.sign * _quantile(np.sort(best), share) for share in (0.1, 0.5, 0.9))
        return low, middle, high

    def stop_below(self, n_calls: int) -> float | None:
        """Return the best value after so many calls up to which hardly any simulation reached the goal by the end.

        None: there is no such value, or too few simulations to tell.
        """
        best = self.sign * np.nan_to_num(self.main.curves[:, n_calls - 1], nan=-np.inf if self.sign > 0 else np.inf)
        order = np.argsort(best, kind="stable")
        shares = np.cumsum(self.reached(self.calls[-1])[order]) / np.arange(1, len(order) + 1)
        hopeless = np.flatnonzero(shares < HOPELESS)
        hopeless = hopeless[hopeless >= _LEAST_GROUP - 1]
        if not len(hopeless) or hopeless[-1] == len(order) - 1:
            return None
        value = self.sign * float(best[order[hopeless[-1]]])
        return value if math.isfinite(value) else None

    def hours(self, variant: SimulatedVariant, n_calls: int) -> float | None:
        """Return how long the oracle takes for so many calls, where its workers wait for the end of each round."""
        if self.hours_per_call is None:
            return None
        first, batch = min(variant.initial, n_calls), variant.batch_size
        full, rest = divmod(max(n_calls - first, 0), batch)
        waves = (
            math.ceil(first / self.workers) + full * math.ceil(batch / self.workers) + math.ceil(rest / self.workers)
        )
        return waves * self.hours_per_call

    # -- for people ----------------------------------------------------------------------------------------------------

    def number(self, value: float) -> str:
        """Return a value with its unit."""
        return f"{significant(value)} {self.unit}".rstrip() if math.isfinite(value) else "no value"

    def lines(self) -> list[str]:
        """Return the plan in sentences."""
        lines = [f"Goal: {self.goal_text}."]
        for n in self.calls:
            (p, error), (low, middle, high) = self.chance(n), self.band(n)
            money = f", cost {significant(n * self.cost_per_call, 6)}" if self.cost_per_call else ""
            hours = self.hours(self.main, n)
            time = "" if hours is None else f", {_duration(hours)}"
            spent = f"{counted(self.main.rounds(n), 'round')}{money}{time}"
            tenths = f"worst tenth {self.number(low)} or worse, best tenth {self.number(high)} or better"
            lines.append(
                f"After {n} calls ({spent}): chance {p:.0%} ± {error:.0%}; best {self.number(middle)} ({tenths})."
            )
        lines += (
            self._choices("batch", "batch size") + self._choices("fidelity", "fidelity") + self._choices("data", "")
        )
        lines += self._rules()
        return lines

    def _choices(self, kind: Kind, noun: str) -> list[str]:
        """Return how variants of a kind compare with the config's own way, on the same imagined oracles."""
        others = [v for v in self.variants if v.kind == kind]
        if not others:
            return []
        n = self._telling_calls()
        lines = []
        for variant in others:
            gain, error = self.difference(variant, n)
            p, _ = self.chance(n, variant)
            word = "no better or worse" if abs(gain) <= 2 * error else "better" if gain > 0 else "worse"
            per = "" if abs(gain) <= 2 * error else f" by {self.number(abs(gain))}"
            lines.append(
                f"{variant.name[:1].upper()}{variant.name[1:]}: after {n} calls {word} than the config{per} "
                f"(± {significant(error, 2)}; chance {p:.0%}, {counted(variant.rounds(n), 'round')})."
            )
        if noun == "batch size":
            best = self.best_batch()
            lines.append(f"Best batch size: {best.batch_size} (the largest that is not clearly worse than another).")
        if noun == "fidelity":
            gain, error = self.difference(others[0], n)
            advice = "the target alone" if gain > 2 * error else "as the config, choosing among fidelities"
            lines.append(f"Best fidelity: {advice}.")
        return lines

    def _telling_calls(self) -> int:
        """Return the number of calls at which the chance is nearest to one half, where variants differ most."""
        return min(self.calls, key=lambda n: (abs(self.chance(n)[0] - 0.5), -n))

    def difference(
        self, variant: SimulatedVariant, n_calls: int, other: SimulatedVariant | None = None
    ) -> tuple[float, float]:
        """Return by how much a variant's best value is better than another's, and the standard error.

        Both were simulated on the same imagined oracles, so that the differences pair.

        Args:
            variant: the variant.
            n_calls: after how many calls.
            other: what it is compared with; None: the config's own way.
        """
        both = self.sign * (variant.curves[:, n_calls - 1] - (other or self.main).curves[:, n_calls - 1])
        both = both[np.isfinite(both)]
        if len(both) < 2:
            return 0.0, math.inf
        return float(both.mean()), float(both.std(ddof=1) / math.sqrt(len(both)))

    def best_batch(self) -> SimulatedVariant:
        """Return the largest batch that is not clearly worse than the one with the best mean."""
        options = [self.main, *(v for v in self.variants if v.kind == "batch")]
        n = self._telling_calls()
        top = max(options, key=lambda v: self.difference(v, n)[0])

        def is_clearly_worse(variant: SimulatedVariant) -> bool:
            gain, error = self.difference(top, n, variant)
            return gain > 2 * error

        return max((v for v in options if not is_clearly_worse(v)), key=lambda v: v.batch_size)

    def _rules(self) -> list[str]:
        word = "below" if self.sign > 0 else "above"
        rules = [
            f"{self.number(value)} after {n} calls"
            for n in self.calls[:-1]
            if (value := self.stop_below(n)) is not None
        ]
        if not rules:
            return []
        return [
            f"When to stop: with the best at or {word} {' or '.join(rules)}, fewer than {HOPELESS:.0%} of the "
            f"simulations reached the goal by {self.calls[-1]} calls."
        ]

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{html.escape(line)}</li>" for line in self.lines())
        notes = "".join(f"<li>{html.escape(line)}</li>" for line in (*self.assumptions, *self.shortcuts))
        return f"<ul>{items}</ul><p>What is assumed:</p><ul>{notes}</ul>"

    # -- the file ------------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> Path:
        """Write the plan beside a run, whole or not at all.

        Args:
            folder: the directory of the run, which is created if it does not exist.

        Raises:
            ConfigError: it cannot be written.
        """
        try:
            make_private_folder(folder)
            write_whole(folder / FILE, json.dumps(self.as_dict(), allow_nan=False).encode())
        except OSError as error:
            raise ConfigError(f"cannot write {folder / FILE}: {error.strerror}; choose another --run-dir") from None
        return folder / FILE

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as plain values; other variants than the config's have their values at ``calls`` alone."""
        content = {k: v for k, v in asdict(replace(self, variants=())).items() if k != "variants"}
        variants = []
        for variant in self.variants:
            at = np.arange(1, variant.curves.shape[1] + 1) if variant is self.main else np.array(self.calls)
            curves = [[_plain(v) for v in row] for row in variant.curves[:, at - 1].tolist()]
            own = {k: v for k, v in vars(variant).items() if k != "curves"}
            variants.append({**own, "at": at.tolist(), "curves": curves})
        return {"version": VERSION, **content, "goals": [_plain(g) for g in self.goals], "variants": variants}


def _quantile(values: Array, share: float) -> float:
    """Return a quantile of n sorted values, of which the k-th has the expected rank k / (n + 1)."""
    position = min(max(share * (len(values) + 1) - 1, 0.0), len(values) - 1.0)
    low, high = float(values[math.floor(position)]), float(values[math.ceil(position)])
    return low + (position % 1) * (high - low) if math.isfinite(low) else low


def _plain(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None


def _duration(hours: float) -> str:
    return f"{hours:.0f} h" if hours >= 10 else f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.0f} min"


def read_plan(folder: Path) -> Plan | None:
    """Return the plan beside a run; None if there is none that this version reads."""
    try:
        content = json.loads((folder / FILE).read_bytes())
        return _plan(content) if content["version"] == VERSION else None
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def _plan(content: Mapping[str, Any]) -> Plan:
    n_most = max(content["calls"])
    variants = []
    for entry in content["variants"]:
        curves = np.full((len(entry["curves"]), n_most), np.nan)
        at = np.array(entry["at"], dtype=np.int64)
        curves[:, at - 1] = _numbers(entry["curves"])
        variants.append(SimulatedVariant(entry["name"], entry["kind"], entry["batch_size"], entry["initial"], curves))
    fields = {k: v for k, v in content.items() if k not in ("version", "variants")}
    for key in ("calls", "assumptions", "shortcuts"):
        fields[key] = tuple(fields[key])
    fields["goals"] = tuple(math.nan if g is None else float(g) for g in fields["goals"])
    plan = Plan(**fields, variants=tuple(variants))
    if plan.main.curves.shape[0] != plan.simulations:
        raise ValueError("the curves do not fit the goals")
    return plan


def _numbers(rows: Sequence[Sequence[float | None]]) -> Array:
    return np.array([[math.nan if v is None else v for v in row] for row in rows], dtype=np.float64)


__all__ = ["FILE", "HOPELESS", "Plan", "SimulatedVariant", "read_plan"]
