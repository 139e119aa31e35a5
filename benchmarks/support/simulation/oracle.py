"""The oracle of simulated campaigns: what is true of each word, and an oracle that a config can name."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence

from al_loop.oracles.base import Objective, Oracle, Outcome, as_outcome


def truth(word: str) -> Outcome:
    """Return the answer for a word that nothing disturbs: a value, or a failure that is the word's own."""
    digest = hashlib.sha256(word.encode()).digest()
    if digest[0] % 23 == 0:
        return Outcome.failed("permanent", f"no measurement of {word}")
    if digest[0] % 23 == 1:
        return Outcome.failed("invalid", f"{word} is not a word")
    if digest[0] % 23 == 2:
        return as_outcome(Outcome((math.nan,)), 1)
    return Outcome((word.count("G") + 0.5 * word.count("GA") + digest[1] / 1024,))


class SimulatedOracle(Oracle):
    """An oracle of words.

    Args:
        n_at_once: number of objects of a call.
    """

    objectives = (Objective("signal"),)

    def __init__(self, n_at_once: int = 1) -> None:
        self.call_size = n_at_once

    def evaluate(self, objects: Sequence[str]) -> Iterable[Outcome]:
        return [truth(word) for word in objects]
