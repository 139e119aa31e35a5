"""Motifs that sequences share, each at one place or absent."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from al_loop.environments.assignment import Assignments
from al_loop.environments.base import Environment
from al_loop.latent.multinomial import MultinomialModel
from al_loop.latent.numbers import numbered
from al_loop.latent.words import PAD, OfWords, Words, lengths_of
from al_loop.system.alphabets import letters_of
from al_loop.system.checks import whole_number


class Motifs(OfWords, MultinomialModel):
    """Sequences with motifs: letters of a background, but for the places that motifs cover without overlap.

    The latent of a sequence is the start of each motif, or that it is absent, so that the motifs compete for places.
    With one motif this is the model of MEME with at most one occurrence in each sequence (Bailey and Elkan 1994).

    Args:
        alphabet: the letters, such as ``ACGU``; or ``dna``, ``rna`` or ``protein``.
        length: number of letters of the longest sequence.
        motifs: number of motifs.
        width: number of letters of a motif.
        smoothing: pseudo-count of each probability in the M-step.
    """

    kind = "motifs"
    is_partial: ClassVar[bool] = True

    def __init__(
        self,
        alphabet: str,
        length: Annotated[int, Field(ge=1)],
        motifs: Annotated[int, Field(ge=1)] = 2,
        width: Annotated[int, Field(ge=1)] = 3,
        smoothing: Annotated[float, Field(ge=0, le=1e9)] = 0.1,
    ) -> None:
        super().__init__(smoothing, alphabet=alphabet, length=length, motifs=motifs, width=width)
        for name, value in (("motifs", motifs), ("width", width), ("length", length)):
            whole_number(name, value, 1)
        if width > length:
            raise ValueError(f"width: must be at most the length of the sequences, {length}, got {width}")
        self.words = Words(str(letters_of(alphabet)), length)
        self._motifs, self._width, self._n_starts = motifs, width, length - width + 1
        n_letters, double = len(self.words.letters), torch.float64
        self.background = nn.Parameter(torch.full((n_letters,), -math.log(n_letters), dtype=double))
        self.letter = nn.Parameter(torch.full((motifs, width, n_letters), -math.log(n_letters), dtype=double))
        #: log-probabilities that a motif is absent, and present, where there is room for it
        self.presence = nn.Parameter(torch.full((motifs, 2), -math.log(2), dtype=double))
        self.register_buffer("n_lengths", torch.tensor([0.0] * length + [1.0]))

    n_lengths: Tensor

    def tables(self) -> list[nn.Parameter]:
        return [self.background, self.letter, self.presence]

    def latents(self) -> Environment:
        """Return the starts of the motifs; the last letter stands for an absent one."""
        return Assignments(numbered(self._n_starts + 1), self._motifs, order="left_to_right")

    def explain(self, x: Tensor, z: Tensor) -> list[str]:
        """Return the letters that the motifs cover, such as ``1:GGA@4 2:-``."""
        texts = []
        for word, starts in zip(self.write(x), z.tolist(), strict=True):
            parts = [
                f"{i}:-" if start == self._n_starts else f"{i}:{word[start : start + self._width]}@{start + 1}"
                for i, start in enumerate(starts, 1)
            ]
            texts.append(" ".join(parts))
        return texts

    def _free(self, x: Tensor, starts: Tensor, n_placed: int) -> Tensor:
        """Return a mask of the starts at which the next motif fits, shape n x n_starts.

        Args:
            x: sequences, shape n x length.
            starts: starts of all motifs, of which the first ``n_placed`` count, shape n x motifs.
            n_placed: number of motifs that have their places.
        """
        place = torch.arange(self._n_starts, device=x.device)
        free = place + self._width <= lengths_of(x)[:, None]
        for other in starts[:, :n_placed].T:
            is_there = (other < self._n_starts)[:, None]
            free = free & ~(is_there & ((place - other[:, None]).abs() < self._width))
        return free

    def allowed(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the starts at which the next motif fits, and that it is absent."""
        n_placed = (z <= self._n_starts).sum(1)
        free = torch.zeros(len(x), self._n_starts, dtype=torch.bool, device=x.device)
        for k in range(self._motifs):
            free = torch.where((n_placed == k)[:, None], self._free(x, z, k), free)
        return torch.nn.functional.pad(free, (0, 1), value=True)

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        return self.log_partial(x, z)

    def log_partial(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the log-probabilities of the places so far, and of all letters given these, shape n."""
        letter = x.clamp(min=0)
        total = torch.where(x != PAD, self.background[letter], 0.0).sum(1)
        for k in range(self._motifs):
            total = total + self._log_place(x, z, k)
        return total

    def _log_place(self, x: Tensor, z: Tensor, k: int) -> Tensor:
        """Return what the place of a motif adds to the log-joint, shape n; 0 while it is open."""
        start = z[:, k]
        free = self._free(x, z, k)
        n_free = free.sum(1)
        is_present, is_absent = start < self._n_starts, start == self._n_starts
        at = start.clamp(max=self._n_starts - 1)
        fits = free.gather(1, at[:, None])[:, 0]
        present = self.presence[k, 1] - n_free.clamp(min=1).log() + self.log_odds(x, at, k)
        present = torch.where(fits, present, -torch.inf)
        absent = torch.where(n_free > 0, self.presence[k, 0], 0.0)
        return torch.where(is_present, present, torch.where(is_absent, absent, 0.0))

    def log_odds(self, x: Tensor, start: Tensor, k: int) -> Tensor:
        """Return the log-odds of the letters at a place under a motif and under the background, shape n.

        Args:
            x: sequences, shape n x length.
            start: a start in each, shape n.
            k: the motif.
        """
        offset = torch.arange(self._width, device=x.device)
        covered = x.gather(1, start[:, None] + offset).clamp(min=0)
        return (self.letter[k, offset, covered] - self.background[covered]).sum(1)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw sequences with the lengths of those that the model was initialised with, and the starts of motifs."""
        length = torch.multinomial(self.n_lengths, n, replacement=True, generator=generator)
        place = torch.arange(self.words.length)
        with torch.no_grad():
            is_letter = place < length[:, None]
            x = torch.multinomial(self.background.exp(), n * len(place), replacement=True, generator=generator)
            x = torch.where(is_letter, x.view(n, -1), PAD)
            z = torch.full((n, self._motifs), self._n_starts + 1)
            for k in range(self._motifs):
                free = self._free(x, z, k)
                is_present = torch.rand(n, generator=generator) < self.presence[k, 1].exp()
                weight = torch.where(free.any(1, keepdim=True), free.float(), 1.0)
                start = torch.multinomial(weight, 1, generator=generator)[:, 0]
                z[:, k] = torch.where(is_present & free.any(1), start, self._n_starts)
                for offset in range(self._width):
                    probabilities = self.letter[k, offset].exp()
                    letters = torch.multinomial(probabilities, n, replacement=True, generator=generator)
                    is_covered = (z[:, k] < self._n_starts)[:, None] & (place == z[:, k, None] + offset)
                    x = torch.where(is_covered, letters[:, None], x)
        return x, z

    def initialise(self, x: Tensor, generator: torch.Generator) -> None:
        """Set each motif to a random word of the observations, softened, and the background to their letters."""
        length = lengths_of(x)
        self.n_lengths.copy_(torch.bincount(length, minlength=self.words.length + 1))
        n_letters = len(self.words.letters)
        with torch.no_grad():
            count = torch.bincount(x[x != PAD], minlength=n_letters) + 1.0
            self.background.copy_((count / count.sum()).log())
            long_enough = x[length >= self._width]
            for k in range(self._motifs if len(long_enough) else 0):
                row = long_enough[int(torch.randint(len(long_enough), (1,), generator=generator))]
                last = int((row != PAD).sum()) - self._width
                start = int(torch.randint(last + 1, (1,), generator=generator))
                word = torch.nn.functional.one_hot(row[start : start + self._width], n_letters).double()
                self.letter[k] = (0.5 * word + 0.5 * self.background.exp()).log()
            self.presence.fill_(-math.log(2))

    def summaries(self, x: Tensor, z: Tensor) -> Tensor:
        """Return, for each motif, whether it is present, the log-odds of its letters, and its place from 0 to 1.

        Args:
            x: observations, shape n x width.
            z: terminal states of their latents, shape n x k.
        """
        columns = []
        for k in range(self._motifs):
            is_present = (z[:, k] < self._n_starts).double()
            start = z[:, k].clamp(max=self._n_starts - 1)
            odds = self.log_odds(x, start, k).detach() / self._width
            columns += [is_present, is_present * odds, is_present * start / max(self._n_starts - 1, 1)]
        return torch.stack(columns, 1)
