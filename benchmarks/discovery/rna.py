"""RNA-A: RNA words of 14 letters that bind a target, the landscape L14_RNA1 of FLEXS (Sinai et al. 2020).

    python benchmarks/discovery/rna.py

As in the protocol of delta-CS: 5,000 words of low fitness are known, then 10 rounds of 128 calls; reported are maximum,
median and mean of the 128 best distinct words, their mean pairwise Hamming distance, and their mean distance to the
start. The published start has no licence, so this one is our own, by its description: 5,000 words with fitness of at
most 0.129, its maximum, drawn at random (seed 0 for all runs). A genetic algorithm with 187,000 calls reaches 1.0545
and a mean of .980. ViennaRNA answers.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.oracles.base import evaluate_all
from al_loop.oracles.rna import RNABinding
from benchmarks.support.discovery import Task, run, word_figures
from benchmarks.support.discovery_arms import arms

N_START, MOST = 5000, 0.129
PEERS = {"delta-CS": 0.882, "GFN-AL": 0.702, "genetic, 187,000 calls": 0.980}


@cache
def start() -> Sequence[tuple[str, float]]:
    """Return 5,000 random words of low fitness, the same for all runs."""
    rng, oracle = np.random.default_rng(0), RNABinding()
    found: dict[str, float] = {}
    while len(found) < N_START:
        words = ["".join(row) for row in rng.choice(list("ACGU"), (1024, 14))]
        for word, outcome in zip(words, evaluate_all(oracle, words), strict=True):
            if outcome.values is not None and outcome.values[0] <= MOST:
                found.setdefault(word, outcome.values[0])
    return list(found.items())[:N_START]


TASK = Task(
    name="rna",
    title="RNA-A, 5,000 words of low fitness known",
    content={
        "environment": {"kind": "sequence", "alphabet": "ACGU", "length": 14},
        "oracle": {"kind": "rna"},
        "rounds": {"initial": 0, "batch_size": 128, "count": 10},
        "evaluation": {"workers": 1},
    },
    data=lambda seed: start(),
    figures=word_figures(128),
    column="mean",
    level=0.95,
    peers=PEERS,
)


if __name__ == "__main__":
    run(TASK, arms(), __doc__)
