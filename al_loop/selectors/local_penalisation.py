"""Local penalisation of the candidates around each pick."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from al_loop.selectors._similarities import Similarities, best_first, cleaned
from al_loop.selectors.base import SelectionContext, Selector
from al_loop.selectors.diverse import scaled
from al_loop.system import stopping

#: distance below which two candidates count as the same
_LEAST_DISTANCE = 1e-3
#: number of best candidates among which the steepest change is searched
_N_PAIRED = 4096


class LocalPenalisation(Selector):
    """A ball around each pick is penalised in which, by the surrogate, the best cannot lie (González et al. 2016).

    If f changes by at most K per unit of distance and M is its maximum, then the maximum is no nearer to x than
    (M - f(x)) / K. The score of each candidate is multiplied, for every pick and pending object, by the probability
    that the candidate lies outside of that ball, given the posterior of f there: wide around objects expected to be
    poor, narrow around those expected to be nearly the best. The distance is sqrt(2 - 2 similarity), that of the
    similarity's feature space, in which a Gaussian process has such a K: the steepest change of the posterior mean
    between two candidates, and at least the largest posterior deviation. M is the largest posterior mean of a
    candidate, which K keeps outside of every candidate's ball (a lucky measurement would not be).

    Args:
        transform: how scores become positive: ``softplus`` of the scores scaled as in ``diverse``, or ``log`` if the
            acquisition is already a logarithm (log_ei, qlogei, qlognei, pi, max_value_entropy).
        strength: exponent of the penalties.
    """

    kind = "local_penalisation"

    def __init__(
        self, transform: Literal["softplus", "log"] = "softplus", strength: Annotated[float, Field(gt=0)] = 1.0
    ) -> None:
        if transform not in ("softplus", "log"):
            raise ValueError(f"selector.transform: {transform!r} is not one of softplus, log")
        if not (strength > 0 and math.isfinite(strength)):
            raise ValueError(f"selector.strength: {strength} must be a positive number")
        self.transform = transform
        self.strength = strength

    def select(self, context: SelectionContext) -> list[int]:
        """Return the picks; ties go to the higher score, then to the first candidate."""
        n, similarity = len(context.scores), context.similarity
        if not n:
            return []
        order = best_first(context.scores)
        X, scores = context.X[order], cleaned(context.scores)[order]
        if self.transform == "log":
            value = scores.clamp_max(torch.finfo(scores.dtype).max)
        else:
            value = torch.nn.functional.softplus(scaled(scores)).log()
        mean, variance = (part.double() for part in context.predict(X))
        top = float(mean.max())
        steepest = _steepest(mean[:_N_PAIRED], variance, similarity(X[:_N_PAIRED], X[:_N_PAIRED]).double())
        if context.X_pending is not None:
            X_pending = context.X_pending
            rows = similarity(X_pending, X).double()
            for row, m, v in zip(rows, *(part.double() for part in context.predict(X_pending)), strict=True):
                value = value + self.strength * log_outside(row, m, v, top, steepest)
        similarities = Similarities(X, similarity, context.n_picks)
        is_free = torch.ones(n, dtype=torch.bool)
        picked: list[int] = []
        for _ in range(context.n_picks):
            stopping.look()
            best = int(value.masked_fill(~is_free, -float("inf")).numpy().argmax())
            if not is_free[best]:  # all the others are at minus infinity
                best = int(is_free.int().numpy().argmax())
            picked.append(best)
            is_free[best] = False
            outside = log_outside(similarities[best], mean[best], variance[best], top, steepest)
            value = value + self.strength * outside
        return [order[i] for i in picked]


def distance(similarity: Tensor) -> Tensor:
    """Return the distance in the feature space of a similarity s with s(x, x) = 1."""
    return (2 - 2 * similarity).clamp_min(0).sqrt()


def _steepest(mean: Tensor, variance: Tensor, similarity: Tensor) -> float:
    """Return the steepest change of the mean per distance, or the usual change of a draw if that is more.

    A draw of a Gaussian process with variance v changes by sqrt(v) x distance, in the root mean square.
    """
    apart = distance(similarity)
    is_apart = apart > _LEAST_DISTANCE
    slopes = ((mean[:, None] - mean).abs() / apart)[is_apart]
    steepest = float(slopes.max()) if len(slopes) else 0.0
    return max(steepest, math.sqrt(float(variance.max())))


def log_outside(similarity: Tensor, mean: Tensor, variance: Tensor, top: float, steepest: float) -> Tensor:
    """Return the log probability that objects lie outside of the ball around one object.

    It is log P(steepest x distance > top - f), f ~ N(mean, variance).

    Args:
        similarity: n similarities to the object.
        mean: posterior mean of the object.
        variance: posterior variance of the object.
        top: the largest posterior mean of a candidate.
        steepest: the largest change of f per distance.
    """
    std = variance.clamp_min(1e-24).sqrt()
    log_probability: Tensor = torch.special.log_ndtr((steepest * distance(similarity) - (top - mean)) / std)
    return log_probability
