"""A genetic search for the best candidates of a round, around those that the sampler drew and the best measured."""

from __future__ import annotations

from collections.abc import Sequence, Set

import torch
from torch import Tensor

from al_loop.campaign.preparation import CampaignParts
from al_loop.config.schema import Refine
from al_loop.features.base import describable
from al_loop.gflownet.searches.base import Parents, SearchContext
from al_loop.gflownet.searches.genetic import Genetic
from al_loop.modelling.fitted import FittedModels
from al_loop.seeding import derive_seed
from al_loop.system import stopping

#: kept candidates of each share of the batch, in batches
_KEPT = 4
#: the rank that is picked half as often as the first, as a share of the population
_SELECTION = 0.1


class Refinement:
    """Generations of children of the best candidates, for each share of the batch that the selector picks.

    A child is made by the operators of the search ``genetic``. Children are scored, never measured: the batch is
    selected from them and from what the sampler drew.

    Args:
        parts: the parts of the campaign.
        models: the fitted models, for the scores.
        settings: numbers of generations and children.
        seed: of all random choices.
    """

    def __init__(self, parts: CampaignParts, models: FittedModels, settings: Refine, seed: int) -> None:
        self._parts, self._models, self._settings, self._seed = parts, models, settings, seed
        self._seen = set[str]()
        size = parts.environment.state_size
        self._names: list[str] = []
        self._states = torch.empty(0, size, dtype=torch.int64)
        self._scores = torch.empty(0, dtype=torch.float64)
        self._deviations = torch.empty(0, dtype=torch.float64)

    def search(self, drawn: Sequence[str], measured: Sequence[str], closed: Set[str], n: int) -> list[str]:
        """Return the best new candidates of each share, without those that were drawn.

        Args:
            drawn: candidates of the sampler.
            measured: good measured objects.
            closed: objects that cannot be candidates.
            n: size of the batch.
        """
        environment, settings = self._parts.environment, self._settings
        start = list(dict.fromkeys([*measured, *drawn]))
        states = [(name, state) for name in start if (state := self._encoded(name)) is not None]
        if not states:
            return []
        self._add([name for name, _ in states], torch.cat([state for _, state in states]))
        found: dict[str, None] = {}
        context = SearchContext(environment, None)
        genetic = Genetic(settings.mutation)
        bonuses = self._parts.selector.bonuses
        for share, bonus in enumerate(bonuses):
            generator = torch.Generator().manual_seed(derive_seed(self._seed, share))
            for _ in range(settings.generations):
                stopping.look()
                best = self._values(bonus).topk(min(settings.population, len(self._names))).indices
                weights = 1 / (_SELECTION * len(best) + torch.arange(len(best), dtype=torch.float64))
                rows = torch.multinomial(weights, settings.children, replacement=True, generator=generator)
                parents = Parents(self._states[best[rows]])
                terminal = genetic.propose(context, parents, generator).terminal
                self._add(environment.decode(terminal), terminal)
            order = self._values(bonus).argsort(descending=True, stable=True).tolist()
            new = [name for row in order if (name := self._names[row]) not in closed]
            found.update(dict.fromkeys(new[: _KEPT * max(n // len(bonuses), 1)]))
        known = set(drawn)
        return [name for name in found if name not in known]

    def _values(self, bonus: float) -> Tensor:
        return self._scores + bonus * self._deviations

    def _encoded(self, name: str) -> Tensor | None:
        try:
            return self._parts.environment.encode([name])
        except ValueError:  # an earlier measurement outside the space
            return None

    def _add(self, names: Sequence[str], states: Tensor) -> None:
        """Score new acceptable objects and add them."""
        rows = {name: row for row, name in enumerate(names) if name not in self._seen}
        valid = [name for name in rows if self._parts.environment.is_valid(name)]
        new = describable(self._parts.features, self._parts.constraints.acceptable(valid))
        self._seen.update(rows)
        if not new:
            return
        X = self._parts.features(new)
        self._names += new
        self._states = torch.cat([self._states, states[[rows[name] for name in new]]])
        self._scores = torch.cat([self._scores, self._models.scores(X).double().cpu()])
        deviations = self._models.mean_and_variance(X)[1].double().clamp_min(0).sqrt()
        self._deviations = torch.cat([self._deviations, deviations.cpu()])
