"""Why each candidate was chosen, from what was known and predicted when it was."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from al_loop.monitoring.scores import MIDDLE, NEAR
from al_loop.system.numbers import significant

if TYPE_CHECKING:
    from al_loop.analysis.tables import RunTables
    from al_loop.oracles.base import Objective

#: the deviation of a prediction, relative to the median of its batch, above which a candidate counts as uncertain
_UNCERTAIN = 1.2
_ORIGINS = {
    "imported": ("earlier data", "earlier data, which cost this campaign nothing"),
    "seed": ("seed", "one of the campaign's seeds"),
    "told": ("told", "a person reported it without a proposal"),
    "pinned": ("pinned", "a person added it to the batch"),
    "remeasured": ("measured again", "measured again, because it is among the best and its value is noisy"),
}

#: reasons for objects of the first batch, of which nothing was predicted
_FIRST = {
    "nearby": "a seed of which some steps were built again at random",
    "reached": "drawn by the sampler after it was trained to meet the constraints, as random objects hardly ever do",
}


def reasons(run: RunTables) -> pd.DataFrame:
    """Return one row per candidate, indexed by its id: why it was chosen.

    ``choice`` is ``promising`` (predicted better than the best so far), ``exploring`` (unlike what was measured, or
    more uncertain than its batch), ``in between``, ``random``, or how people came by it. ``nearest`` is the similarity
    to the nearest object that was measured before, by the campaign's features; ``chance`` the probability, by the
    prediction, to be better than ``best_before``, the best value known at that time. With several objectives, these two
    are missing.

    Args:
        run: the run.
    """
    candidates = run.candidates
    rounds = candidates["round"].to_numpy()
    nearest = _nearest(run, rounds, candidates["position"].to_numpy())
    frame = pd.DataFrame({"choice": "in between", "nearest": nearest}, index=candidates.index)
    columns = run.prediction_columns(run.value_column)
    assert columns is not None
    mean, std = (candidates[name].to_numpy(dtype=np.float64) for name in columns)
    best_before, chance = np.full(len(frame), np.nan), np.full(len(frame), np.nan)
    if len(run.optimised) == 1:
        sign = 1.0 if run.objective.goal == "maximise" else -1.0
        best_before = _best_before(run, rounds, sign)
        with np.errstate(divide="ignore", invalid="ignore"):
            chance = _normal_cdf(sign * (mean - best_before) / std)
        frame.loc[(sign * (mean - best_before) > 0).tolist(), "choice"] = "promising"
    usual = pd.Series(std).groupby(rounds).transform("median").to_numpy()
    explores = (nearest < MIDDLE) | (std > _UNCERTAIN * usual)
    frame.loc[(explores & (frame["choice"] != "promising").to_numpy()).tolist(), "choice"] = "exploring"
    origin = candidates["origin"].to_numpy()
    has_none = ~np.isfinite(mean)
    frame.loc[has_none.tolist(), "choice"] = "random"
    for name, (choice, _) in _ORIGINS.items():
        frame.loc[(origin == name).tolist(), "choice"] = choice
    return frame.assign(chance=chance, best_before=best_before)


def reason_texts(run: RunTables, frame: pd.DataFrame, ids: Iterable[int]) -> dict[int, str]:
    """Return a sentence for each of some candidates that says why it was chosen.

    Args:
        run: the run.
        frame: of ``reasons``.
        ids: the candidates.
    """
    said = {d.candidate_id: d for d in run.ledger.decisions() if d.action == "pin" and d.candidate_id is not None}
    wanted = list(ids)
    candidates, whys = (table.loc[wanted].to_dict("records") for table in (run.candidates, frame))
    predicted = [(objective, run.prediction_columns(column)) for column, objective in run.optimised.items()]
    texts = {}
    for number, candidate, why in zip(wanted, candidates, whys, strict=True):
        text = _text(predicted, candidate, why)
        if (decision := said.get(number)) is not None:
            text = f"{decision.by} added it to the batch: {decision.reason}"
        texts[number] = text
    return texts


def _text(
    predicted: Sequence[tuple[Objective, tuple[str, str] | None]], candidate: Mapping[Any, Any], why: Mapping[Any, Any]
) -> str:
    if (known := _ORIGINS.get(candidate["origin"])) is not None:
        return known[1]
    if why["choice"] == "random":
        return _FIRST.get(candidate["origin"]) or (
            "drawn at random, since the model had learned nothing yet"
            if candidate["round"] == 0
            else "drawn at random, because the sampler had no other new object"
        )
    values = []
    for objective, names in predicted:
        assert names is not None
        unit = f" {objective.unit}" if objective.unit else ""
        name = f"{objective.name.replace('_', ' ')} " if len(predicted) > 1 else ""
        values.append(f"{name}{significant(candidate[names[0]])} ± {significant(candidate[names[1]], 2)}{unit}")
    parts = [f"predicted {' and '.join(values)}"]
    if math.isfinite(why["chance"]):
        parts.append(f"a chance of {why['chance']:.0%} to beat the best known then ({significant(why['best_before'])})")
    parts.append(_novelty(why["nearest"]))
    start = {"promising": "for its value", "exploring": "to learn"}.get(why["choice"], "for value and knowledge")
    return f"{start}: {', '.join(part for part in parts if part)}"


def _novelty(nearest: float) -> str:
    if not math.isfinite(nearest):
        return ""
    if nearest >= NEAR:
        return f"close to an object measured before (similarity {nearest:.2f})"
    if nearest >= MIDDLE:
        return f"a variation of what was measured (similarity {nearest:.2f})"
    return f"unlike anything measured before (similarity {nearest:.2f})"


def _nearest(run: RunTables, rounds: NDArray[Any], positions: NDArray[Any]) -> NDArray[np.float64]:
    """Return the recorded similarity of each candidate to the nearest measured object; NaN where there is none."""
    nearest = np.full(len(rounds), np.nan)
    for row in run.round_rows:
        recorded = np.array(row.info.get("nearest", ()), dtype=np.float64)
        rows = np.flatnonzero((rounds == row.number) & (positions < len(recorded)))
        nearest[rows] = recorded[positions[rows]]
    return nearest


def _best_before(run: RunTables, rounds: NDArray[Any], sign: float) -> NDArray[np.float64]:
    """Return the best value that was known when each candidate's round was decided; NaN where there was none."""
    results = run.results.dropna(subset=[run.value_column]).sort_values("number")
    numbers, arrived = results["number"].to_numpy(), results["arrived"].to_numpy()
    best = np.concatenate([[np.nan], np.fmax.accumulate(sign * results[run.value_column].to_numpy(dtype=np.float64))])
    of_round = {}
    for row in run.round_rows:
        until = row.info.get("n_answers")
        n = np.searchsorted(numbers, until, side="right") if until is not None else int((arrived < row.number).sum())
        of_round[row.number] = sign * float(best[n])
    return np.array([of_round.get(number, np.nan) for number in rounds.tolist()], dtype=np.float64)


def _normal_cdf(z: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import ndtr

    cdf: NDArray[np.float64] = ndtr(z)
    return cdf
