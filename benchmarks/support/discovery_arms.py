"""The arms of the discovery benchmarks: random objects, greedy, genetic algorithms, and the loop with its parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from al_loop import Campaign, open_run
from al_loop.environments.base import Environment
from al_loop.errors import ConfigError
from al_loop.features.base import describable
from al_loop.gflownet.random_objects import random_objects
from al_loop.gflownet.searches.base import Parents, SearchContext
from al_loop.gflownet.searches.genetic import Genetic
from al_loop.seeding import derive_seed
from al_loop.surrogates.base import SurrogateModel, as_surrogate_model
from benchmarks.support.discovery import Arm, CountedOracle

_DRAW = 256  # objects drawn at once
_SCREENED = 20  # random objects that greedy screens, in batches
_GENERATIONS, _CHILDREN = 20, 512  # of the genetic algorithm on the surrogate
_ATTEMPTS = 200  # draws after which a space counts as exhausted

#: what is taken out of the loop -> the changes of its config
ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "loop, no diversity": {"selector": {"kind": "greedy"}},
    "loop, no replay or searches": {
        "sampler": {"searches": [], "replay_size": 0, "measured_size": 0, "evolution": None}
    },
}


def random_new(oracle: CountedOracle, n: int, seed: int, closed: set[str] | None = None) -> list[str]:
    """Return n random acceptable objects that were not measured yet, fewer only if the space has no more.

    Args:
        oracle: of the run.
        n: number of objects.
        seed: of the draw.
        closed: further objects that are left out.
    """
    parts, generator = oracle.parts, torch.Generator().manual_seed(seed)
    known = {*oracle.known, *(closed or ())}
    if parts.environment.objects is not None:
        order = torch.randperm(len(parts.environment.objects), generator=generator).tolist()
        return [name for i in order if (name := parts.environment.objects[i]) not in known][:n]
    found: dict[str, None] = {}
    for _ in range(max(_ATTEMPTS, 20 * n // _DRAW)):
        drawn = random_objects(parts.environment, _DRAW, generator)
        found.update(dict.fromkeys(parts.constraints.acceptable([o for o in dict.fromkeys(drawn) if o not in known])))
        if len(found) >= n:
            break
    return list(found)[:n]


def batch_sizes(oracle: CountedOracle) -> list[int]:
    """Return the sizes of the batches that spend the budget: the random first one, if any, and the rounds'."""
    first = oracle.budget - oracle.n_rounds * oracle.batch_size
    return [*([first] if first else []), *[oracle.batch_size] * oracle.n_rounds]


def screen(oracle: CountedOracle, folder: Path) -> None:
    """Measure random objects."""
    for number, n in enumerate(batch_sizes(oracle)):
        oracle(random_new(oracle, n, derive_seed(oracle.seed, "screen", number)))


class Evolution:
    """The operators of a genetic algorithm: crossover and mutation of the search ``genetic``, on objects.

    Args:
        environment: the space.
        seed: of all random choices.
        mutation: share of the steps that are replaced.
    """

    def __init__(self, environment: Environment, seed: int, mutation: float = 0.1) -> None:
        self._environment, self._search = environment, Genetic(mutation)
        self._generator = torch.Generator().manual_seed(seed)
        self._states: dict[str, Tensor | None] = {}

    def _encoded(self, objects: Sequence[str]) -> Tensor:
        """Return the states of the objects that lie within the space."""
        for name in objects:
            if name not in self._states:
                try:
                    self._states[name] = self._environment.encode([name])
                except ValueError:
                    self._states[name] = None
        states = [state for name in objects if (state := self._states[name]) is not None]
        if not states:
            raise ConfigError("no object of the population lies within the space")
        return torch.cat(states)

    def children(self, population: Sequence[str], n: int) -> list[str]:
        """Return the distinct children of n random pairs; better parents, which come first, are picked more often.

        Args:
            population: the best first.
            n: number of pairs.
        """
        states = self._encoded(population)
        # rank r is picked in proportion to 1 / (0.1 population + r), as in Graph GA's rank-based relatives
        weights = 1 / (0.1 * len(states) + torch.arange(len(states), dtype=torch.float64))
        rows = torch.multinomial(weights, n, replacement=True, generator=self._generator)
        context = SearchContext(self._environment, None)
        terminal = self._search.propose(context, Parents(states[rows]), self._generator).terminal
        return [o for o in dict.fromkeys(self._environment.decode(terminal)) if self._environment.is_valid(o)]


def _ranked(values: Mapping[str, float], n: int) -> list[str]:
    """Return the n best objects, failures last."""
    return sorted(values, key=lambda name: -math.inf if math.isnan(values[name]) else values[name], reverse=True)[:n]


def genetic(oracle: CountedOracle, folder: Path, population: int = 128) -> None:
    """Measure children of the best measured objects, generation by generation.

    Args:
        oracle: of the run.
        folder: unused.
        population: number of the best objects that have children.
    """
    evolution = Evolution(oracle.parts.environment, derive_seed(oracle.seed, "genetic"))
    for number, n in enumerate(batch_sizes(oracle)):
        if not oracle.history:
            oracle(random_new(oracle, n, derive_seed(oracle.seed, "screen", number)))
            continue
        known = oracle.known
        best = _ranked({k: v for k, v in known.items() if not math.isnan(v)} or known, population)
        found: dict[str, None] = {}
        for _ in range(_ATTEMPTS):
            new = [o for o in evolution.children(best, 2 * n) if o not in known]
            found.update(dict.fromkeys(oracle.parts.constraints.acceptable(new)))
            if len(found) >= n:
                break
        batch = list(found)[:n]
        oracle(batch + random_new(oracle, n - len(batch), derive_seed(oracle.seed, "rest", number), set(batch)))


def _fitted(oracle: CountedOracle) -> SurrogateModel:
    """Return the loop's surrogate, fitted to all measurements that have a value, standardised."""
    measured = {name: value for name, value in oracle.known.items() if not math.isnan(value)}
    names = describable(oracle.parts.features, list(measured))
    y = torch.tensor([measured[name] for name in names], dtype=torch.float64)
    y = (y - y.mean()) / y.std().clamp_min(1e-9)
    return as_surrogate_model(oracle.parts.surrogate.fit(oracle.parts.features(names), y[:, None]))


def _means(oracle: CountedOracle, model: SurrogateModel, names: Sequence[str]) -> dict[str, float]:
    """Return the posterior mean of each object that has features."""
    described = describable(oracle.parts.features, list(names))
    chunks = [described[i : i + 4096] for i in range(0, len(described), 4096)]
    means = [model.mean_and_variance(oracle.parts.features(chunk))[0] for chunk in chunks]
    return dict(zip(described, torch.cat(means).tolist(), strict=True)) if means else {}


def greedy(oracle: CountedOracle, folder: Path) -> None:
    """Measure the random objects that the loop's surrogate expects most of; of a listed space, the best of the list."""
    for number, n in enumerate(batch_sizes(oracle)):
        seed = derive_seed(oracle.seed, "screen", number)
        if not oracle.history:
            oracle(random_new(oracle, n, seed))
            continue
        listed = oracle.parts.environment.objects
        names = random_new(oracle, len(listed) if listed is not None else _SCREENED * n, seed)
        oracle(_ranked(_means(oracle, _fitted(oracle), names), n))


def genetic_on_surrogate(oracle: CountedOracle, folder: Path, population: int = 128) -> None:
    """Measure the best objects that a genetic algorithm finds under the mean of the loop's surrogate.

    Args:
        oracle: of the run.
        folder: unused.
        population: number of the best objects that have children.
    """
    for number, n in enumerate(batch_sizes(oracle)):
        seed = derive_seed(oracle.seed, "screen", number)
        if not oracle.history:
            oracle(random_new(oracle, n, seed))
            continue
        known, model = oracle.known, _fitted(oracle)
        evolution = Evolution(oracle.parts.environment, derive_seed(oracle.seed, "genetic", number))
        start = _ranked({k: v for k, v in known.items() if not math.isnan(v)} or known, population)
        values = _means(oracle, model, start)
        for _ in range(_GENERATIONS):
            children = [o for o in evolution.children(_ranked(values, population), _CHILDREN) if o not in values]
            values |= _means(oracle, model, oracle.parts.constraints.acceptable(children))
        batch = _ranked({name: value for name, value in values.items() if name not in known}, n)
        oracle(batch + random_new(oracle, n - len(batch), derive_seed(oracle.seed, "rest", number), set(batch)))


def loop(oracle: CountedOracle, folder: Path, **changes: Any) -> None:
    """Run a campaign on the task, and count its calls.

    Args:
        oracle: of the run.
        folder: the run directory.
        changes: of the task's config.
    """
    if oracle.data:
        folder.parent.mkdir(parents=True, exist_ok=True)
        path = folder.parent / f"{folder.name}-data.csv"
        name, sign = oracle.parts.objectives.names[0], oracle.sign
        rows = [(m.object, *(("", "invalid") if math.isnan(m.value) else (sign * m.value, ""))) for m in oracle.data]
        pd.DataFrame(rows, columns=["object", name, "failure"]).to_csv(path, index=False)
        changes = {**changes, "initial_data": {"file": str(path.resolve())}}
    config = oracle.task.config(oracle.seed, **changes)
    with Campaign(config, folder) as campaign:
        campaign.run()
    with open_run(folder) as opened:
        table, column = opened.evaluations.sort_index(), opened.value_column
    table = table[table["round"].notna()] if "round" in table else table
    data = {m.object for m in oracle.data}
    for _, batch in table[~table["object"].isin(data)].groupby("round"):
        oracle.record(list(batch["object"]), [oracle.sign * float(v) for v in batch[column]])


def loop_without_uncertainty(oracle: CountedOracle, folder: Path) -> None:
    """Run the loop by the mean of the surrogate alone, and count its calls."""
    is_graded = oracle.config.selector.kind == "graded"  # which adds posterior deviations by itself
    selector = {"selector": {"kind": "graded", "bonuses": [0.0]}} if is_graded else {}
    loop(oracle, folder, acquisition={"kind": "ucb", "kappa": 1e-6}, **selector)


def loops(changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Arm]:
    """Return the arms that are the loop with a change of its config, by name."""
    return {name: partial(loop, **change) for name, change in changes.items()}


def arms(has_sampler: bool = True) -> dict[str, Arm]:
    """Return the usual arms.

    Args:
        has_sampler: whether objects are made rather than listed, so that there is something to evolve.
    """
    parts = dict(ABLATIONS)
    result: dict[str, Arm] = {"loop": loop, "random": screen, "greedy": greedy}
    if has_sampler:
        result |= {"genetic": genetic, "genetic on surrogate": genetic_on_surrogate}
    else:
        parts.pop("loop, no replay or searches")
    return result | {"loop, no uncertainty": loop_without_uncertainty} | loops(parts)
