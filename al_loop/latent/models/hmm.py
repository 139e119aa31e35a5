"""Hidden Markov models."""

from __future__ import annotations

import math
from collections.abc import Sequence
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


class HMM(OfWords, MultinomialModel):
    """A hidden Markov model of sequences: a chain of states, each of which emits a letter.

    The sampler names the states from left to right. ``exact_step`` is Baum-Welch.

    Args:
        alphabet: the letters: a text if each is one character, otherwise a list; or ``dna``, ``rna`` or ``protein``.
        length: number of letters of the longest sequence.
        states: number of states.
        smoothing: pseudo-count of each probability in the M-step.
    """

    kind = "hmm"
    policy: ClassVar[str] = "tagging"
    is_partial: ClassVar[bool] = True
    n_lengths: Tensor

    def __init__(
        self,
        alphabet: str | list[str],
        length: Annotated[int, Field(ge=1)],
        states: Annotated[int, Field(ge=1)] = 5,
        smoothing: Annotated[float, Field(ge=0, le=1e9)] = 0.01,
    ) -> None:
        super().__init__(smoothing, alphabet=alphabet, length=length, states=states)
        whole_number("states", states, 1)
        letters = letters_of(alphabet) if isinstance(alphabet, str) else alphabet
        self.words, self._states = Words(letters, length), states
        n_letters = len(self.words.letters)
        self.first = nn.Parameter(torch.full((states,), -math.log(states), dtype=torch.float64))
        self.next = nn.Parameter(torch.full((states, states), -math.log(states), dtype=torch.float64))
        self.emission = nn.Parameter(torch.full((states, n_letters), -math.log(n_letters), dtype=torch.float64))
        self.register_buffer("n_lengths", torch.tensor([0.0] * length + [1.0]))

    def tables(self) -> list[nn.Parameter]:
        return [self.first, self.next, self.emission]

    def latents(self) -> Environment:
        """Return the states of all places; those after the end of a sequence are uniform."""
        return Assignments(numbered(self._states), self.words.length, order="left_to_right")

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        return self.log_partial(x, z)

    def log_partial(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the log-probabilities of the states named so far, and of their letters, shape n."""
        is_named = z < self._states
        is_letter, state = is_named & (x != PAD), z.clamp(max=self._states - 1)
        emitted = self.emission[state, x.clamp(min=0)]
        moved = torch.cat([self.first[state[:, :1]], self.next[state[:, :-1], state[:, 1:]]], 1)
        after = torch.where(is_named & (x == PAD), -math.log(self._states), 0.0)
        return (torch.where(is_letter, emitted + moved, 0.0) + after).sum(1)

    @property
    def is_exact(self) -> bool:
        return True

    def log_evidence(self, x: Tensor) -> Tensor:
        """Return log p(x), shape n, by the forward algorithm."""
        return self._forward(self.emission[:, x.clamp(min=0)].permute(1, 2, 0), x)

    def _forward(self, emitted: Tensor, x: Tensor) -> Tensor:
        """Return log p(x), shape n, given the log-probabilities of the letters, shape n x length x states."""
        forward = self.first + emitted[:, 0]
        for t in range(1, x.shape[1]):
            step = (forward[:, :, None] + self.next).logsumexp(1) + emitted[:, t]
            forward = torch.where((x[:, t] != PAD)[:, None], step, forward)
        return forward.logsumexp(1)

    def exact_summaries(self, x: Tensor) -> Tensor:
        """Return the exact probabilities of the states of all places, shape n x (length * states)."""
        with torch.enable_grad():  # the forward-backward algorithm, as the derivative of the forward one
            emitted = self.emission[:, x.clamp(min=0)].permute(1, 2, 0).detach().requires_grad_()
            (marginals,) = torch.autograd.grad(self._forward(emitted, x).sum(), [emitted])
        return torch.where((x != PAD)[..., None], marginals, 1 / self._states).flatten(1)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw sequences with the lengths of those that the model was initialised with, and their states."""
        length = torch.multinomial(self.n_lengths, n, replacement=True, generator=generator)
        with torch.no_grad():
            state = torch.multinomial(self.first.exp(), n, replacement=True, generator=generator)
            z, x = [state], []
            for t in range(self.words.length):
                x.append(torch.multinomial(self.emission.exp()[z[t]], 1, generator=generator)[:, 0])
                z.append(torch.multinomial(self.next.exp()[z[t]], 1, generator=generator)[:, 0])
            is_letter = torch.arange(self.words.length) < length[:, None]
            uniform = torch.randint(self._states, (n, self.words.length), generator=generator)
        states = torch.where(is_letter, torch.stack(z[:-1], 1), uniform)
        return torch.where(is_letter, torch.stack(x, 1), PAD), states

    def initialise(self, x: Tensor, generator: torch.Generator) -> None:
        """Set the tables to random distributions, and the distribution of lengths to that of the observations."""
        self.randomise(generator)
        self.n_lengths.copy_(torch.bincount(lengths_of(x), minlength=self.words.length + 1))

    def paths(self, x: Sequence[str] | Tensor, z: Tensor) -> list[list[int]]:
        """Return the states of the letters of sequences, without those after the end.

        Args:
            x: n sequences.
            z: their latents, shape n x length.
        """
        rows = x if isinstance(x, Tensor) else self.read(x)
        return [row[:n] for row, n in zip(z.tolist(), lengths_of(rows).tolist(), strict=True)]

    def explain(self, x: Tensor, z: Tensor) -> list[str]:
        return ["-".join(map(str, path)) for path in self.paths(x, z)]
