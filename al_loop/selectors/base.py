"""Base class of selectors, and the context in which they select."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from torch import Tensor

#: similarity in [0, 1] of feature rows: n1 x d, n2 x d -> n1 x n2
Similarity = Callable[[Tensor, Tensor], Tensor]


class _Missing(Sequence[Any]):
    """A field of a context that was not passed: any use of it raises a ValueError."""

    def __init__(self, name: str) -> None:
        self._name = name

    def _refuse(self) -> NoReturn:
        raise ValueError(
            f"SelectionContext.{self._name} is required by this selector; pass it when the context is created"
        )

    def __call__(self, *_: Any) -> NoReturn:
        self._refuse()

    def __getitem__(self, _: Any) -> NoReturn:
        self._refuse()

    def __len__(self) -> NoReturn:
        self._refuse()


_OBJECTS, _RESCORE, _PREDICT, _DRAW = (_Missing(name) for name in ("objects", "rescore", "predict", "draw"))


@dataclass(frozen=True)
class SelectionContext:
    """The candidates of a round, and what is known about them and about the pending objects.

    Most selectors need ``n``, ``scores``, ``X`` and ``similarity`` only; the first use of a field that was not passed
    raises a ValueError that names it.

    Args:
        n: how many candidates to pick.
        scores: c acquisition values of the candidates, larger is better; NaN counts as the worst.
        X: c x d features of the candidates.
        similarity: of feature rows, in [0, 1].
        X_pending: p x d features of the objects being measured; no rows count as None.
        objects: the c candidates.
        pending_objects: the p objects being measured.
        rescore: (picked, indices) -> the scores that the candidates at ``indices`` have once those at ``picked`` are
            pending too.
        predict: posterior means and variances of single feature rows, n x d -> n, n; larger is better.
        draw: (rows n x d, number of draws k, seed) -> k joint draws from the posterior of their values, k x n.
        seed: of random choices, another one for each round.
        X_best: k x d features of the measured objects that share the best value, no rows if there are several
            objectives; None: not known.
    """

    n: int
    scores: Tensor
    X: Tensor
    similarity: Similarity
    X_pending: Tensor | None = None
    objects: Sequence[str] = _OBJECTS
    pending_objects: Sequence[str] = ()
    rescore: Callable[[Sequence[int], Sequence[int]], Tensor] = _RESCORE
    predict: Callable[[Tensor], tuple[Tensor, Tensor]] = _PREDICT
    draw: Callable[[Tensor, int, int], Tensor] = _DRAW
    seed: int = 0
    X_best: Tensor | None = None

    def __post_init__(self) -> None:
        if self.X_pending is not None and not len(self.X_pending):
            object.__setattr__(self, "X_pending", None)
        if self.scores.dim() != 1 or self.X.dim() != 2 or len(self.X) != len(self.scores):
            raise ValueError(
                "SelectionContext: expected c scores and c x d features, got "
                f"{tuple(self.scores.shape)} and {tuple(self.X.shape)}"
            )
        if self.X_pending is not None and (self.X_pending.dim() != 2 or self.X_pending.shape[1] != self.X.shape[1]):
            raise ValueError(
                f"SelectionContext.X_pending: expected p x {self.X.shape[1]}, got {tuple(self.X_pending.shape)}"
            )
        if not isinstance(self.objects, _Missing) and len(self.objects) != len(self.scores):
            raise ValueError(f"SelectionContext.objects: expected {len(self.scores)}, got {len(self.objects)}")

    @property
    def n_picks(self) -> int:
        """Return how many picks there can be: n, or the number of candidates if there are fewer."""
        return max(min(self.n, len(self.scores)), 0)


class Selector(ABC):
    """Picks a batch from candidates. Deterministic: it holds settings only."""

    #: posterior deviations that it adds to the acquisition for each share of a batch
    bonuses: tuple[float, ...] = (0.0,)

    @abstractmethod
    def select(self, context: SelectionContext) -> list[int]:
        """Return the indices of the min(n, c) picked candidates, in the order of picking.

        The batch should keep away from pending objects. The tensors of the context must not be changed.
        """
