"""The interface of all sets of evolutionary operators, and the search that uses them."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from al_loop.datafiles.object_lists import read_objects
from al_loop.system.path_texts import PathText

#: objects -> how good each one is; larger is better
Score = Callable[[Sequence[str]], Sequence[float]]
#: objects -> those that may be proposed
Filter = Callable[[Sequence[str]], Sequence[str]]

_PRESSURE = 1e-2  # share of the population that is added to each rank, see ``_ranked``
_MOST_TRIES = 4  # attempts at a child, for each child that is wanted


@dataclass
class Population:
    """Objects with their scores, the best first.

    Args:
        scores: the scores by object.
    """

    scores: dict[str, float] = field(default_factory=dict)

    def add(self, objects: Sequence[str], scores: Sequence[float]) -> None:
        """Add objects, and sort anew."""
        self.scores.update(zip(objects, scores, strict=True))
        self.scores = dict(sorted(self.scores.items(), key=lambda item: -item[1]))


class Evolution(ABC):
    """A genetic algorithm whose fitness is the acquisition, so that it costs no oracle call.

    It starts from the objects that were measured as the best, and from the best draws of the sampler. All children that
    are new and acceptable join the candidates of the round; they need not be objects that the environment can build,
    but they have what it requires of all, such as a scaffold.

    Args:
        children: children in each generation, at least 1.
        generations: number of generations in each round, at least 1.
        population: the best objects, from which the parents are drawn, at least 2.
        library: a file with objects that are like those wanted, such as a catalogue; no measurement of them is used.
        immigrants: random objects of the library in each round, which are candidates and may become parents.

    Raises:
        ValueError: an argument is out of range.
    """

    #: the objects that the operators take: "molecule" (SMILES), "sequence", or None for any
    object_type: ClassVar[str | None] = None

    def __init__(
        self,
        children: int = 300,
        generations: int = 4,
        population: int = 100,
        library: PathText | None = None,
        immigrants: int = 100,
    ) -> None:
        if children < 1 or generations < 1 or population < 2:
            raise ValueError(
                "children and generations must be at least 1 and population at least 2, got "
                f"{children}, {generations} and {population}"
            )
        if immigrants < 0:
            raise ValueError(f"immigrants must be at least 0, got {immigrants}")
        self.children, self.generations, self.population = children, generations, population
        self.library, self.n_immigrants = library, immigrants

    @cached_property
    def _listed(self) -> list[str]:
        return [] if self.library is None else read_objects(self.library)

    def immigrants(self, seed: int) -> list[str]:
        """Return random objects of the library, in the notation of the environment.

        Args:
            seed: source of all randomness.
        """
        n = min(self.n_immigrants, len(self._listed))
        chosen = (self.canonical(name) for name in random.Random(seed).sample(self._listed, n))
        return list(dict.fromkeys(name for name in chosen if name is not None))

    def canonical(self, name: str) -> str | None:
        """Return an object of the library in the notation of the environment; None if it cannot be read."""
        return name

    @abstractmethod
    def child(self, first: str, second: str, generator: random.Random) -> str | None:
        """Return a child of two objects, in the notation of the environment; None if the operator does not apply.

        Args:
            first: a parent; the child may be a variant of it alone.
            second: another parent.
            generator: source of all randomness.
        """

    def brood(self, parents: Sequence[str], n: int, generator: random.Random) -> list[str]:
        """Return up to n distinct children that are not among the parents.

        Args:
            parents: at least one object, the best first; better ones have more children.
            n: number of children.
            generator: source of all randomness.
        """
        known, children = set(parents), dict[str, None]()
        for _ in range(_MOST_TRIES * n):
            child = self.child(_ranked(parents, generator), _ranked(parents, generator), generator)
            if child is not None and child not in known:
                children[child] = None
                if len(children) == n:
                    break
        return list(children)

    def evolve(
        self, starts: Sequence[str], score: Score, acceptable: Filter, seed: int, thin: Filter | None = None
    ) -> list[str]:
        """Return all acceptable children of all generations.

        Args:
            starts: the first population, at least one object.
            score: the fitness.
            acceptable: selects the children that may be proposed or have children.
            seed: source of all randomness.
            thin: selects those of the objects, the best first, that may be parents together; None: all.
        """
        generator, population = random.Random(seed), Population()
        population.add(starts, score(starts))
        made: dict[str, None] = {}
        for _ in range(self.generations):
            parents = list(population.scores)
            parents = (parents if thin is None else list(thin(parents)))[: self.population]
            known = population.scores
            children = [c for c in self.brood(parents, self.children, generator) if c not in known]
            children = list(acceptable(children))
            if children:
                population.add(children, score(children))
                made.update(dict.fromkeys(children))
        return list(made)


def _ranked(objects: Sequence[str], generator: random.Random) -> str:
    """Draw an object with a probability in proportion to 1 / (rank + a hundredth of their number)."""
    n = len(objects)
    offset = 1 + _PRESSURE * n
    # the inverse of the integral of 1 / (offset + rank)
    rank = int(offset * ((offset + n) / offset) ** generator.random() - offset)
    return objects[min(rank, n - 1)]
