"""What a latent-variable model says of an object's hidden structure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from al_loop.config.plugins import load_target
from al_loop.features.base import Features
from al_loop.system.path_texts import PathText

#: the latents' engine is on a higher floor, and a file says which model it needs
_READER = "al_loop.latent.features:PosteriorFeatures"


class Latent(Features):
    """Posterior means of the latents of a model, such as which motifs a sequence has, how well they fit, and where.

    In each round the model is fitted further to the best of the measured objects, so that it describes what they have
    in common; always from the model in the file on, so that a round can be reproduced.

    Args:
        file: a file written by ``al-loop fit-latent``.
        rounds: rounds of EM in which the model is refitted in each round of the campaign; 0: never.
        share: share of the measured objects, the best, to which it is refitted.
    """

    kind = "latent"
    kernel: ClassVar[str] = "matern52"

    def __init__(
        self,
        file: PathText,
        rounds: Annotated[int, Field(ge=0)] = 10,
        share: Annotated[float, Field(gt=0, le=1)] = 0.5,
    ) -> None:
        super().__init__()
        self.file, self.rounds, self.share = file, rounds, share
        self._read: list[Any] = []
        self._refitted: list[Any] = []

    def _of_file(self) -> Any:
        """Return the features of the model in the file, read when it is first needed."""
        if not self._read:
            self._read.append(load_target(_READER)(self.file))
        return self._read[0]

    def _current(self) -> Any:
        return self._refitted[0] if self._refitted else self._of_file()

    @property
    def d(self) -> int:
        """Return the number of features."""
        return int(self._current().d)

    def compute(self, objects: Sequence[str]) -> Tensor:
        """Return the posterior means: n x d, float64.

        Raises:
            ValueError: an object is not an observation of the model.
        """
        rows: Tensor = self._current()(list(objects))
        return rows

    def refit(self, objects: Sequence[str], values: Sequence[float], seed: int) -> None:
        """Fit the model of the file further to the best objects.

        Args:
            objects: measured objects.
            values: their values, larger is better.
            seed: source of all randomness.
        """
        describable = set(self.describable(objects))
        best = sorted((-value, name) for name, value in zip(objects, values, strict=True) if name in describable)
        names = [name for _, name in best[: math.ceil(self.share * len(best))]]
        if not self.rounds or not names:
            return
        self._refitted = [self._of_file().refitted(names, self.rounds, seed)]
        self.forget()

    def similarity(self, X1: Tensor, X2: Tensor) -> Tensor:
        """Return 1 / (1 + squared distance): n1 x n2."""
        return 1 / (1 + torch.cdist(X1.double(), X2.double()) ** 2)
