"""Ehrlich functions: words with spaced motifs, most of which are infeasible (Stanton et al. 2024, arXiv:2407.00236).

    python benchmarks/discovery/ehrlich.py                # Ehr(20, 15, 2, 4, 4): 200 random words and 10 x 50 calls
    python benchmarks/discovery/ehrlich.py --large        # Ehr(32, 32, 4, 4, 4): 1,000 words and 20 x 100 calls

The functions are those of `pytorch-holo` (pip install pytorch-holo==0.0.5 --no-deps, and pooch), the known optimum is
1. Each seed is another function, with words of its own, the same for all arms. Of random words some 11 % are feasible;
of Ehr(32, 32, ...) 0.04 %, so that its first words are drawn from its own Markov chain, as in the paper; the words are
paid for. Reported are the best value, the mean of the ten best and their mean pairwise Hamming distance.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.oracles.base import Failure, Objective, Oracle, Outcome
from benchmarks.support.discovery import Task, run, word_figures
from benchmarks.support.discovery_arms import arms

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
PEERS = {"plain genetic algorithm (measured by others)": 0.43}


class Ehrlich(Oracle):
    """An Ehrlich function of ``pytorch-holo``; a word with a forbidden transition is ``invalid``.

    Args:
        n_letters: size of the alphabet.
        length: of the words.
        n_motifs: number of motifs.
        motif_length: elements of a motif.
        quantisation: levels of a motif's presence.
        instance: the function's random seed.
    """

    libraries = ("pytorch-holo",)
    object_type = "sequence"
    objectives = (Objective("ehrlich"),)
    call_size = 64

    def __init__(
        self, n_letters: int, length: int, n_motifs: int, motif_length: int, quantisation: int, instance: int = 0
    ) -> None:
        self._arguments = (n_letters, length, n_motifs, motif_length, quantisation)
        self._instance = instance
        self._built: Any = None

    @property
    def function(self) -> Any:
        """The function of ``pytorch-holo``."""
        if self._built is None:
            from holo.test_functions.closed_form import Ehrlich as Function

            self._built = Function(*self._arguments, random_seed=self._instance)
        return self._built

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Yield the value of each word."""
        import torch

        for word in objects:
            value = float(self.function(torch.tensor([[LETTERS.index(letter) for letter in word]])))
            if math.isinf(value):
                yield Outcome(failure=Failure("invalid", "the word has a forbidden transition"))
            else:
                yield Outcome(values=(value,))


SMALL, LARGE = (20, 15, 2, 4, 4), (32, 32, 4, 4, 4)
NAMES = ("n_letters", "length", "n_motifs", "motif_length", "quantisation")


@cache
def start(seed: int, is_large: bool) -> Sequence[tuple[str, float]]:
    """Return the first words and their values, NaN for infeasible ones.

    Args:
        seed: of the function and of the words.
        is_large: which of the two functions.
    """
    import torch

    arguments, n = (LARGE, 1000) if is_large else (SMALL, 200)
    oracle = Ehrlich(*arguments, instance=seed)
    if is_large:
        rows = oracle.function.initial_solution(n)
    else:
        rows = torch.randint(arguments[0], (n, arguments[1]), generator=torch.Generator().manual_seed(seed))
    words = list(dict.fromkeys("".join(LETTERS[i] for i in row) for row in rows.tolist()))
    return [
        (word, math.nan if o.values is None else o.values[0])
        for word, o in zip(words, oracle.evaluate(words), strict=True)
    ]


def task(is_large: bool) -> Task:
    """Return the task on the small or the large function."""
    arguments = dict(zip(NAMES, LARGE if is_large else SMALL, strict=True))
    oracle = {"target": "benchmarks.discovery.ehrlich:Ehrlich", **arguments}
    return Task(
        name="ehrlich_large" if is_large else "ehrlich",
        title="Ehr(32, 32, 4, 4, 4)" if is_large else "Ehr(20, 15, 2, 4, 4)",
        content={
            "environment": {
                "kind": "sequence",
                "alphabet": LETTERS[: arguments["n_letters"]],
                "length": arguments["length"],
            },
            "rounds": {"initial": 0, "batch_size": 100 if is_large else 50, "count": 20 if is_large else 10},
            "evaluation": {"workers": 1, "stop_after_failures": None},
        },
        overrides=lambda seed: {"oracle": {**oracle, "instance": seed}},
        data=lambda seed: start(seed, is_large),
        counts_data=True,
        figures=word_figures(10),
        column="max",
        level=None if is_large else 0.75,
        peers={} if is_large else PEERS,
    )


if __name__ == "__main__":
    large = "--large" in sys.argv
    if large:
        sys.argv.remove("--large")
    run(task(large), arms(), __doc__)
