"""The proposer of batches: fits models, trains the sampler, selects candidates and forecasts their outcome."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from al_loop.campaign.candidates import CandidateSource
from al_loop.campaign.context import CampaignContext
from al_loop.campaign.course import retrained_for
from al_loop.campaign.executor import SamplerTraining
from al_loop.campaign.picking import first_calls, pick
from al_loop.campaign.reaching import MAX_STAGES
from al_loop.campaign.round_state import RoundState
from al_loop.errors import CampaignError, counted, summary
from al_loop.features.base import Features, refusals
from al_loop.ledger import Observation, Proposal
from al_loop.modelling.fidelity_selection import BatchLimits
from al_loop.modelling.fitted import FittedModels
from al_loop.monitoring import metrics
from al_loop.monitoring.forecast import Forecast, forecast
from al_loop.seeding import derive_seed
from al_loop.system import stopping

if TYPE_CHECKING:
    from al_loop.modelling.fitter import ModelFitter

_MOST_SIMILARITIES = 4_000_000  # at once, which take 32 MB
_AT_ONCE = 20_000  # measured objects that are compared together
_HYPERVOLUME_SAMPLES = 128  # samples of a batch whose hypervolume is computed for the forecast


@dataclass(frozen=True)
class Batch:
    """The proposals for a round.

    Args:
        proposals: the objects, with their predictions.
        info: numbers for the ledger.
        forecast: what the batch is expected to bring; None for random objects.
    """

    proposals: Sequence[Proposal]
    info: Mapping[str, Any]
    forecast: Forecast | None = None


class Proposer:
    """Proposes batches from what the ledger says.

    Args:
        context: of the open campaign.
        training: the sampler; None where the environment lists all objects, so that each is scored.
    """

    def __init__(self, context: CampaignContext, training: SamplerTraining | None) -> None:
        self._context, self._training = context, training
        self._parts, self._config, self._ledger = context.parts, context.config, context.ledger
        #: where the candidates come from
        self.source = CandidateSource(context.parts, training)
        self._left_out = set[str]()  # objects without features, as reported
        self._explanation = ""  # of the surrogate's choice, as last reported

    def restore(self, number: int) -> None:
        """Continue with the sampler's state after a round; a damaged checkpoint costs the weights alone.

        Args:
            number: the round.

        Raises:
            CampaignError: the checkpoints cannot be reached.
        """
        if self._training is None:
            return
        info = self._ledger.rounds()[number].info
        if (not number or "is_first" in info) and "reached" not in info:
            return
        reporter = self._context.reporter
        if keys := retrained_for(self._ledger, number + 1):
            reporter.note(f"{', '.join(keys)} changed: the sampler starts anew, from fresh weights")
            return
        problem = self._load(number)
        if problem is None:
            reporter.detail(f"the sampler continues from {self._context.checkpoints.name(number)}")
            return
        fits = number > 1 and not retrained_for(self._ledger, number)
        if fits and self._load(number - 1) is None:
            earlier = self._context.checkpoints.name(number - 1)
            problem += f"the sampler continues from the round before, {earlier}, no measurement is lost"
        else:
            problem += "the sampler starts from fresh weights, no measurement is lost"
        aside = self._context.checkpoints.keep_aside(number)
        reporter.note(problem + (f"; the file is kept as {aside}" if aside else ""))

    def _load(self, number: int) -> str | None:
        """Load the sampler's state after a round; return None, or the beginning of a note on what is wrong with it."""
        assert self._training is not None
        checkpoints = self._context.checkpoints
        try:
            self._training.load(checkpoints.load(number))
        except CampaignError:
            raise
        except Exception as error:  # a damaged file raises almost anything
            reason = f"{type(error).__name__}: {summary(error)}"
            return f"the checkpoint {checkpoints.name(number)} cannot be used ({reason}); "
        return None

    def n_first(self, number: int, n_answers: int) -> int | None:
        """Return how many objects a round has if it is a first batch, which no model selects; None if it is not.

        It is one if it begins the campaign, or if nothing measured has a value and ``rounds.initial`` was raised.

        Args:
            number: the round.
            n_answers: the answers up to which the batch is decided.
        """
        if not number:
            return self._config.rounds.initial
        state = self._context.states.until(n_answers)
        if any(o.values is not None for o in state.observations):
            return None
        n_more = self._config.rounds.initial - sum(c.origin not in ("told", "imported") for c in state.candidates)
        return n_more if n_more > 0 else None

    def first_batch(self, n: int, known: Set[str] = frozenset(), number: int = 0) -> Batch:
        """Return objects for n calls, random or drawn by the sampler of an energy.

        Of several fidelities some objects are measured at each, and the others at the cheapest.

        Args:
            n: number of calls; with earlier data it may be 0.
            known: objects with earlier measurements, which are left out.
            number: the round.
        """
        if not n and not self.source.must_reach(0):
            return Batch([], {})
        closed = self._ledger.known_objects() | known
        with self._context.reporter.phase(number, "first batch", n) as phase:
            found = self.source.first(n, closed, phase.advance)
        if self.source.must_reach(n - len(found)):
            found += self._reached(n - len(found), closed | {name for name, _ in found}, number)
        self._note_left_out(refusals(self._parts.features), "proposed")
        calls = first_calls(found, n, self._parts.fidelities.names)
        proposals = [Proposal(object=name, origin=origin, fidelity=fidelity) for name, origin, fidelity in calls]
        reached = self.source.reached
        return Batch(proposals, {} if reached is None else {"reached": reached.info})

    def _reached(self, n: int, closed: Set[str], number: int) -> list[tuple[str, str]]:
        """Train the sampler towards the constraints, keep its state, and return up to n objects that meet them."""
        n_steps = MAX_STAGES * self._config.sampler.steps
        with self._context.reporter.phase(number, "towards the constraints", n_steps) as phase:
            found = self.source.reach(n, closed, on_step=phase.advance)
        assert self._training is not None
        self._context.checkpoints.save(number, self._training.state())
        if self.source.reached is not None and self.source.reached.objects:
            self._context.note(self.source.reached.summary)
        return found

    # -- models --------------------------------------------------------------------------------------------------------

    def fit(self, number: int, n_answers: int) -> FittedModels:
        """Fit the models of a round.

        Args:
            number: the round.
            n_answers: fits to the answers up to this number; what else was proposed counts as pending.

        Raises:
            CampaignError: no object was measured successfully.
        """
        with self._context.reporter.phase(number, "fit", 1) as phase:
            state = self._context.states.until(n_answers)
            observations = state.observations
            n_values = sum(o.values is not None for o in observations)
            if not n_values:
                raise CampaignError(self._all_failed())
            answered = {o.candidate_id for o in observations}
            vetoed = self._ledger.vetoed()
            pending = [c for c in state.candidates if c.id not in answered and c.id not in vetoed]
            self._explain(n_values)
            self._refit_features(observations)
            factors = state.recalibration() if self._config.recalibrate else [1.0] * len(self._parts.objectives)
            fitter = self._fitter(number, state)
            models = self._context.executor.fit(fitter, observations, pending, factors)
            phase.advance()
        self._note_left_out(models.info.get("left_out", {}), "learned from")
        return models

    def _fitter(self, number: int, state: RoundState) -> ModelFitter:
        """Return the fitter of a round, with energies that are refitted to the good objects if the config says so."""
        fitter, energies = self._parts.fitter, self._parts.energies
        if energies is None or not energies.is_refitted:
            return fitter
        return fitter.with_energies(energies.refitted(state.ranked(), derive_seed(self._config.seed, number, "energy")))

    def _refit_features(self, observations: Sequence[Observation]) -> None:
        """Let the features adapt to the objects measured so far."""
        features, objectives = self._parts.features, self._parts.objectives
        if not isinstance(features, Features):
            return
        index, sign = objectives.indices[0], objectives.signs[0]
        pairs = [(o.object, sign * o.values[index]) for o in observations if o.values is not None]
        pairs = [(name, value) for name, value in pairs if math.isfinite(value)]
        seed = derive_seed(self._parts.config.seed, "features", len(pairs))
        features.refit([name for name, _ in pairs], [value for _, value in pairs], seed)

    def _note_left_out(self, reasons: Mapping[str, str], use: str) -> None:
        """Tell the user of objects that have no features, once each.

        Args:
            reasons: the reason for each object.
            use: what they are not used for.
        """
        new = {name: reason for name, reason in reasons.items() if name not in self._left_out}
        self._left_out.update(new)
        if new:
            name, reason = next(iter(new.items()))
            which = f"{name:.80} has" if len(new) == 1 else f"{len(new)} objects have"
            self._context.note(f"{which} no features and cannot be {use}; {name:.80}: {reason}")

    def _explain(self, n: int) -> None:
        """Tell the user which method fits n measurements, whenever that changes."""
        explanation = self._parts.surrogate.explain(n)
        if explanation is not None and explanation.split(":")[0] != self._explanation:
            self._explanation = explanation.split(":")[0]
            self._context.note(explanation)

    def _all_failed(self) -> str:
        failures = [e for e in self._ledger.evaluations() if e.failure_kind]
        first = f"; the first failure: {failures[0].failure_kind}: {failures[0].reason}" if failures else ""
        retry, initial = f"al-loop retry {self._context.directory.path}", self._config.rounds.initial
        return (
            f"the oracle gave no value for any of {counted(len(failures), 'object')}, so nothing can be learned{first}"
            f". Correct the oracle, then: {retry}, and run the same command again; if the objects are to blame, raise "
            f"rounds.initial ({initial}) to measure others first"
        )

    # -- the sampler ---------------------------------------------------------------------------------------------------

    def train(self, number: int, n_answers: int, models: FittedModels, on_step: Callable[[], None]) -> dict[str, Any]:
        """Train the sampler on the models' reward, and keep its state.

        Args:
            number: the round.
            n_answers: the answers that the models were fitted to; later ones belong to the next round.
            models: the fitted models.
            on_step: called after each step; what it raises ends the training.

        Returns:
            Numbers for the ledger; none where there is no sampler.
        """
        if self._training is None:
            return {}
        sinks, n_steps = self._context.sinks, self._config.sampler.steps
        measured = self._context.states.until(n_answers).measured()
        with self._context.reporter.phase(number, "train", n_steps) as phase:
            for step in self._training.train(number, models.reward, measured, self._parts.seeds.objects):
                stopping.look()
                on_step()
                phase.advance(f"loss {step.loss:.2f}")
                sinks.log((number - 1) * n_steps + step.number, {"train/loss": step.loss})
        self._context.checkpoints.save(number, self._training.state())
        info = self._training.info()
        sinks.log(number, {f"training/{k}": v for k, v in info.items() if isinstance(v, int | float)})
        if n_lost := info.get("samplers_lost"):
            lost = f"{counted(n_lost, 'sampler')} died and {'was' if n_lost == 1 else 'were'} replaced"
            self._context.note(f"round {number}: {lost}; their unfinished draws were repeated")
        return info

    # -- the batch -----------------------------------------------------------------------------------------------------

    def select(self, number: int, n_answers: int, models: FittedModels, n: int, cost_left: float) -> Batch:
        """Select a batch, and forecast its outcome.

        Args:
            number: the round.
            n_answers: the answers that the models were fitted to; later ones belong to the next round.
            models: the fitted models.
            n: number of calls.
            cost_left: what the batch may cost.

        Returns:
            The batch, without proposals if there is no new acceptable object and nothing to measure again.
        """
        with self._context.reporter.phase(number, "select", 1) as phase:
            state = self._context.states.until(n_answers)
            limit = min(self._config.rounds.batch_cost or math.inf, cost_left)
            again = self._to_remeasure(state, n - 1, limit)
            n_new = n - len(again)
            pool = self.source.pool(number, models, n_new, state.proposed_at_target, state.proposed, state)
            self._note_left_out(refusals(self._parts.features), "proposed")
            batch = at_target = None
            if pool is None:
                again = self._to_remeasure(state, n, limit)
            else:
                limit -= len(again) * self._parts.fidelities.costs[-1]
                seed = derive_seed(self._config.seed, number, "select")
                picks = pick(self._parts, models, pool, BatchLimits(n_new, limit), state, seed)
                batch = pool.take([row for row, _ in picks]).at([level for _, level in picks])
                top = len(self._parts.fidelities) - 1
                at_target = pool.take(sorted({row for row, level in picks if level == top}))
            if again:
                repeated = self.source.again(models, [name for name, _ in again])
                batch = repeated if batch is None else batch.followed_by(repeated)
            if batch is None:
                return Batch([], {})
            means, stds = models.predict(batch.X, batch.levels)
            nearest = self._nearest(batch.X, models.X)
            phase.advance()
        expected = self._forecast(number, models, at_target.X, state) if at_target else None
        replicates = [0] * (len(batch) - len(again)) + [replicate for _, replicate in again]
        proposals = [
            Proposal(
                object=name,
                origin=origin,
                predicted_mean=float(mean),
                predicted_std=float(std),
                acquisition=float(score),
                fidelity=self._parts.fidelities.names[level],
                replicate=replicate,
            )
            for name, origin, score, level, mean, std, replicate in zip(
                batch.objects,
                batch.origins,
                batch.scores,
                batch.levels,
                means[:, 0],
                stds[:, 0],
                replicates,
                strict=True,
            )
        ]
        info = {
            "predicted": {"mean": means.tolist(), "std": stds.tolist()},
            "nearest": nearest.tolist(),
            **({} if expected is None else {"forecast": expected.as_dict()}),
        }
        return Batch(proposals, info, expected)

    def _nearest(self, X: Tensor, others: Tensor) -> Tensor:
        """Return the similarity of each row to the nearest of other rows, a part at a time where they are many."""
        similarity = self._parts.features.similarity
        nearest = torch.full((len(X),), -math.inf, dtype=torch.float64)
        for part in others.split(_AT_ONCE):
            rows = X.split(max(_MOST_SIMILARITIES // max(len(part), 1), 1))
            torch.maximum(nearest, torch.cat([similarity(row, part).max(dim=1).values for row in rows]), out=nearest)
        return nearest

    def _to_remeasure(self, state: RoundState, most: int, limit: float) -> list[tuple[str, int]]:
        """Return the objects of a batch that are measured again, each with the number of its measurements.

        Args:
            state: of the campaign.
            most: largest number of objects.
            limit: the cost at which the batch is full.
        """
        rounds, cost = self._config.rounds, self._parts.fidelities.costs[-1]
        most = min(most, rounds.remeasure)
        if self._parts.fidelities.are_several:  # at least one new object must fit in
            while most > 0 and most * cost >= limit:
                most -= 1
        if most < 1:
            return []
        results = state.to_remeasure(rounds.replicates)
        return list(islice((result for result in results if self.source.can_be_proposed(result[0])), most))

    def _forecast(self, number: int, models: FittedModels, X: Tensor, state: RoundState) -> Forecast:
        """Return what objects that are measured at the target (rows of X) are likely to bring."""
        seed, objectives = derive_seed(self._config.seed, number, "forecast"), self._parts.objectives
        samples = models.joint_samples(X, seed)
        is_valid = models.draw_validity(X, len(samples), derive_seed(seed, "success"))
        results, goal = state.valid_values(), objectives.record_goal
        if not objectives.are_several:
            worst = -math.inf if goal == "maximise" else math.inf
            values = np.where(is_valid, samples[..., 0], worst)
            bests = values.max(axis=1, initial=worst) if goal == "maximise" else values.min(axis=1, initial=worst)
            return forecast(bests, metrics.best([v[0] for v in results], goal), goal)
        is_on_front = metrics.non_dominated(results, objectives.goals)
        front = [v for v, is_on in zip(results, is_on_front, strict=True) if is_on]
        batches = [sample[valid] for sample, valid in zip(samples[:_HYPERVOLUME_SAMPLES], is_valid, strict=False)]
        point, goals = state.reference_point, objectives.goals
        volumes = [metrics.hypervolume([*front, *values], goals, point) for values in batches]
        return forecast(np.array(volumes), state.hypervolume(results), goal)
