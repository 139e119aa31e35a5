"""Secondary structures of RNA under the nearest-neighbour energies of ViennaRNA."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from al_loop.environments.pairing import Pairings
from al_loop.errors import ConfigError
from al_loop.latent.base import LatentModel
from al_loop.latent.words import OfWords, Words, lengths_of
from al_loop.system.checks import in_range

#: pairs of the letters ACGU, by index
_CAN_PAIR = torch.tensor([[0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]], dtype=torch.bool)


class RNAStructures(OfWords, LatentModel):
    """RNA words with their secondary structures: log p(x, z) = -E(x, z) / RT, up to the probability of the word.

    The energies (Turner 2004) are given, so that an M-step has nothing to change: what is fitted is the sampler, which
    then folds any word. The exact partition function and exact draws (McCaskill 1990) are ViennaRNA's. Words are
    uniform.

    Args:
        length: number of letters of the longest word.
        temperature: in degrees Celsius, from -100 to 1,000.
        sampler: kind of the sampler's network: ``folding`` has learned weights of loops, ``pairing`` has not.
    """

    kind = "rna"

    def __init__(
        self,
        length: Annotated[int, Field(ge=1)] = 30,
        temperature: Annotated[float, Field(ge=-100, le=1000)] = 37.0,
        sampler: Literal["pairing", "folding"] = "pairing",
    ) -> None:
        arguments: dict[str, Any] = {} if sampler == "pairing" else {"sampler": sampler}
        super().__init__(length=length, temperature=temperature, **arguments)
        if sampler not in ("pairing", "folding"):
            raise ValueError(f"sampler: {sampler!r} is not one of pairing, folding")
        self.policy = sampler  # type: ignore[misc]
        in_range("temperature", temperature, -100, 1000)
        self.words, self._temperature = Words("ACGU", length), temperature
        self._log_kt = math.log(1.98717e-3 * (temperature + 273.15))  # kcal/mol, ViennaRNA's gas constant
        self.register_buffer("n_lengths", torch.tensor([0.0] * length + [1.0]))

    n_lengths: Tensor

    def latents(self) -> Pairings:
        return Pairings(self.words.length)

    def starts(self, x: Tensor) -> Tensor:
        return self.latents().start(lengths_of(x))

    def explain(self, x: Tensor, z: Tensor) -> list[str]:
        """Return the structures in dot-bracket notation."""
        return self.latents().decode(z)

    def allowed(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the partners whose letters can pair."""
        first, _ = self.latents().current(z)
        at = first.clamp(max=self.words.length - 1)[:, None]
        letter = x.gather(1, at).clamp(min=0)
        can_pair = _CAN_PAIR.to(x.device)[letter, x.clamp(min=0)] & (x >= 0)
        return can_pair | (torch.arange(self.words.length, device=x.device) == at)

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        structures = self.latents().decode(z)
        energies = [
            _energy(word, structure, self._temperature)
            for word, structure in zip(self.write(x), structures, strict=True)
        ]
        kt = math.exp(self._log_kt)
        log_words = -lengths_of(x).double() * math.log(4)
        return log_words - torch.tensor(energies, dtype=torch.float64, device=x.device).reshape(-1) / kt

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw uniform words of the lengths that the model was initialised with, and exact draws of structures."""
        length = torch.multinomial(self.n_lengths, n, replacement=True, generator=generator)
        letters = torch.randint(4, (n, self.words.length), generator=generator)
        x = torch.where(torch.arange(self.words.length) < length[:, None], letters, -1)
        seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
        return x, self.exact_draws(x, 1, seed)[:, 0]

    def exact_draws(self, x: Tensor, n: int, seed: int) -> Tensor:
        """Return exact draws of structures, shape m x n x k.

        Args:
            x: m words.
            n: number of draws for each.
            seed: source of all randomness.
        """
        rna = library()
        rna.init_rand(seed)
        drawn = []
        for word in self.write(x):
            compound = self._compound(word)
            compound.pf()
            drawn += [compound.pbacktrack() for _ in range(n)]
        return self.latents().encode(drawn).view(len(x), n, -1)

    def _compound(self, word: str) -> Any:
        rna = library()
        model = rna.md()
        model.temperature, model.uniq_ML = self._temperature, 1
        model.pf_smooth = 0  # otherwise energies at other temperatures than 37 are not those of ``log_joint``
        return rna.fold_compound(word, model)

    def initialise(self, x: Tensor, generator: torch.Generator) -> None:
        """Set the distribution of lengths to that of the observations."""
        self.n_lengths.copy_(torch.bincount(lengths_of(x), minlength=self.words.length + 1))

    def maximise(self, x: Tensor, z: Tensor, weight: Tensor) -> None:
        """Do nothing, since the energies are given."""

    def exact_step(self, x: Tensor) -> float:
        """Return the mean log-likelihood, of which nothing can be improved.

        Args:
            x: words, shape n x length.
        """
        return float(self.log_evidence(x).mean())

    @property
    def has_codes(self) -> bool:
        """False: the structures differ between words."""
        return False

    @property
    def is_exact(self) -> bool:
        return True

    def log_evidence(self, x: Tensor) -> Tensor:
        """Return log p(x), shape n, by ViennaRNA's partition function."""
        kt = math.exp(self._log_kt)
        free = [self._compound(word).pf()[1] for word in self.write(x)]
        return -lengths_of(x).double() * math.log(4) - torch.tensor(free, dtype=torch.float64) / kt

    def pair_probabilities(self, x: Tensor) -> Tensor:
        """Return the exact probability of each pair, shape n x length x length, symmetric.

        Args:
            x: words, shape n x length.
        """
        length = self.words.length
        table = torch.zeros(len(x), length, length, dtype=torch.float64)
        for row, word in enumerate(self.write(x)):
            compound = self._compound(word)
            compound.pf()
            exact = torch.tensor(compound.bpp(), dtype=torch.float64)[1:, 1:]
            table[row, : len(word), : len(word)] = exact + exact.T
        return table

    def pairs(self, z: Tensor) -> Tensor:
        """Return an indicator of the pairs of structures, shape n x length x length, symmetric.

        Args:
            z: structures, shape n x k.
        """
        length = self.words.length
        partner = z[:, 1:]
        hot = torch.nn.functional.one_hot(partner.clamp(max=length - 1), length).double()
        return hot * ~torch.eye(length, dtype=torch.bool)

    def summaries(self, x: Tensor, z: Tensor) -> Tensor:
        """Return whether each position is paired with one to its right, and to its left, shape n x 2 length.

        Args:
            x: words, shape n x length.
            z: structures, shape n x k.
        """
        position = torch.arange(self.words.length)
        return torch.cat([z[:, 1:] > position, z[:, 1:] < position], 1).double()

    def exact_summaries(self, x: Tensor) -> Tensor:
        """Return the exact means of ``summaries``, shape n x 2 length, from the probabilities of the pairs.

        Args:
            x: words, shape n x length.
        """
        pairs = self.pair_probabilities(x)
        return torch.cat([pairs.triu().sum(2), pairs.tril().sum(2)], 1)


def library() -> Any:
    """Return ViennaRNA.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import RNA
    except ImportError as error:
        raise ConfigError(f'the latent model rna needs ViennaRNA: pip install "al-loop[rna]" ({error})') from error
    return RNA


@lru_cache(maxsize=200_000)
def _energy(word: str, structure: str, temperature: float) -> float:
    """Return the free energy of a structure in kcal/mol."""
    return float(_folder(word, temperature).eval_structure(structure))


@lru_cache(maxsize=5_000)
def _folder(word: str, temperature: float) -> Any:
    rna = library()
    model = rna.md()
    model.temperature = temperature
    return rna.fold_compound(word, model, rna.OPTION_EVAL_ONLY)
