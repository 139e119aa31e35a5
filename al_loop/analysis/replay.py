"""A past round scored again under another acquisition or selector, and what cannot be known of it.

The models are fitted to what was known when the round was decided, as the campaign did. The candidates are those whose
value is known today: the batch itself and what was measured later. What the sampler would have drawn under another
reward, and what the objects that nobody measured are worth, cannot be known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from al_loop.errors import ConfigError, counted
from al_loop.ledger.queries import IMPORTED
from al_loop.system.numbers import significant

if TYPE_CHECKING:
    from al_loop.analysis.tables import RunTables
    from al_loop.campaign.preparation import CampaignParts
    from al_loop.modelling.fitted import FittedModels

Choice = str | Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Replay:
    """A past round under other choices.

    Args:
        number: the round.
        table: one row per candidate, best score first: its value, whether it ``was_chosen`` and ``would_be_chosen``.
        best_chosen: the best value of the batch that was measured; NaN if all failed.
        best_replayed: the best known value of the batch that would have been chosen.
        unknown: what cannot be known, a sentence each.
    """

    number: int
    table: pd.DataFrame
    best_chosen: float
    best_replayed: float
    unknown: tuple[str, ...]

    def _repr_html_(self) -> str:
        import html

        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.unknown)
        shown = self.table.head(30).to_html(float_format=significant, border=0)
        chosen, replayed = significant(self.best_chosen), significant(self.best_replayed)
        return (
            f"<p>Round {self.number}: the best of the batch was {chosen}; of the batch that would have been chosen "
            f"from what is known today, {replayed}.</p>{shown}<ul>{notes}</ul>"
        )


def replay(
    run: RunTables, number: int | None = None, *, acquisition: Choice | None = None, selector: Choice | None = None
) -> Replay:
    """Score a past round again; loads torch and fits the round's models.

    Args:
        run: the run, whose directory is on this machine.
        number: the round; None: the last one whose batch was chosen by a model and is answered.
        acquisition: another acquisition, such as ``"thompson"`` or ``{"kind": "ucb", "kappa": 4}``; None: the run's.
        selector: another selector; None: the run's.

    Raises:
        ConfigError: there is no such round, its batch was not chosen by a model, or the parts do not exist or fit.
    """
    from al_loop.campaign.round_state import RoundState

    row = _round(run, number)
    parts, observations = _parts(run, acquisition, selector), run.ledger.observations(until=row.info["n_answers"])
    if parts.fidelities.are_several:
        raise ConfigError("replay: rounds of campaigns that choose fidelities cannot be scored again; choose another")
    answered = {o.candidate_id for o in observations}
    vetoed, candidates = run.ledger.vetoed(), run.ledger.candidates()
    earlier = [c for c in candidates if c.round < row.number]
    pending = [c for c in earlier if c.id not in answered and c.id not in vetoed]
    models = parts.fitter.fit(observations, pending, row.info.get("factors") or [1.0] * len(parts.objectives))
    known = {c.object for c in earlier}
    values = run.target_evaluations
    later = values[(values["round"] >= row.number) & (values["origin"] != IMPORTED) & ~values["object"].isin(known)]
    later = later.drop_duplicates("object")
    batch = {c.object for c in candidates if c.round == row.number}
    tied = RoundState.read(run.ledger, parts, until=row.info["n_answers"]).tied()
    table, would = _scored(run, parts, models, later, tied, row.number, len(batch))
    table["was_chosen"] = table["object"].isin(batch)
    table["would_be_chosen"] = would
    table = table.sort_values("score", ascending=False)
    return Replay(
        row.number,
        table,
        _best(run, table[table["was_chosen"]]),
        _best(run, table[table["would_be_chosen"]]),
        _unknown(run, table, len(batch), has_sampler=parts.has_sampler),
    )


def _round(run: RunTables, number: int | None) -> Any:
    replayable = [r for r in run.round_rows if r.info.get("n_answers") is not None and "predicted" in r.info]
    numbers = [r.number for r in replayable]
    if number is None and replayable:
        answered = set(run.evaluations["round"])
        done = [r for r in replayable if r.number in answered]
        if done:
            return done[-1]
    for row in replayable:
        if row.number == number:
            return row
    shown = ", ".join(map(str, numbers)) or "none yet"
    raise ConfigError(f"replay: round {number} was not chosen by a model; rounds that were: {shown}")


def _parts(run: RunTables, acquisition: Choice | None, selector: Choice | None) -> CampaignParts:
    from al_loop.campaign.preparation import prepare
    from al_loop.campaign.recorded import config_of_run
    from al_loop.storage.locate import run_folder

    folder = run_folder(run.path)
    if folder is None:
        raise ConfigError(f"replay: {run.path} is a database alone; name the run directory, which has its parts")
    changed = dict(run.config)
    for section, choice in (("acquisition", acquisition), ("selector", selector)):
        if choice is not None:
            changed[section] = {"kind": choice} if isinstance(choice, str) else dict(choice)
    return prepare(config_of_run(changed, folder))


def _scored(
    run: RunTables,
    parts: CampaignParts,
    models: FittedModels,
    later: pd.DataFrame,
    tied: Sequence[str],
    number: int,
    n: int,
) -> tuple[pd.DataFrame, list[bool]]:
    """Return the candidates with their scores and predictions, and whether each would be chosen."""
    from al_loop.features.base import describable
    from al_loop.seeding import derive_seed
    from al_loop.selectors.base import SelectionContext

    later = later[later["object"].isin(describable(parts.features, later["object"].tolist()))]
    if later.empty:
        raise ConfigError(f"replay: nothing of round {number} or later is measured yet")
    objects = later["object"].tolist()
    X = parts.features(objects)
    scores = models.scores(X)
    context = SelectionContext(
        n=n,
        scores=scores,
        X=X,
        similarity=parts.features.similarity,
        X_pending=models.X_pending,
        objects=objects,
        pending_objects=models.pending,
        rescore=lambda picked, rows: models.rescore(X[list(picked)], X[list(rows)]),
        predict=models.mean_and_variance,
        draw=models.draw,
        seed=derive_seed(parts.config.seed, number, "select"),
        X_best=parts.features(describable(parts.features, tied)),
    )
    picked = set(parts.selector.select(context))
    means, stds = models.predict(X)
    frame = later[["object", "round", *run.optimised]].assign(score=scores.numpy())
    for i, column in enumerate(run.optimised):
        names = run.prediction_columns(column)
        assert names is not None
        frame = frame.assign(**{names[0]: means[:, i], names[1]: stds[:, i]})
    return frame, [i in picked for i in range(len(frame))]


def _best(run: RunTables, table: pd.DataFrame) -> float:
    values = table[run.value_column].dropna()
    if values.empty:
        return float(np.nan)
    return float(values.max() if run.objective.goal == "maximise" else values.min())


def _unknown(run: RunTables, table: pd.DataFrame, n: int, *, has_sampler: bool) -> tuple[str, ...]:
    failed = int(table[run.value_column].isna().sum())
    notes = [
        f"Only {counted(len(table), 'object')} could be scored: the batch of {n} and what was measured later. What the "
        "other choice would have found among objects that nobody measured cannot be known.",
        "The later objects were chosen by the campaign as it was, with what it had learned by then, so they favour "
        "its own choices, and objects that were good enough to be chosen at all.",
    ]
    if has_sampler:
        notes.append("The sampler would have been trained on another reward, and would have drawn other objects.")
    if failed:
        notes.append(f"{counted(failed, 'object')} failed, and would have failed again or not.")
    return tuple(notes)
