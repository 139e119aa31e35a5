"""Oracles of the golden campaigns: functions of the object's text, identical on every machine.

The environment variable GOLDEN_PAUSE is the duration of every call in seconds, so that a campaign can be stopped
meanwhile.
"""

import os
import time

from al_loop import Fidelity, Objective, Oracle, Outcome, oracle


def pause() -> None:
    time.sleep(float(os.environ.get("GOLDEN_PAUSE", "0")))


@oracle(name="signal", unit="mV", version="3")
def signal(word: str) -> Outcome:
    """Count letters and pairs of a word; some words cannot be measured, and good ones come with a file."""
    pause()
    if "UUU" in word:
        raise ValueError("the word sticks to the wall")
    value = word.count("G") + 0.5 * word.count("GA") - 0.25 * word.count("CC")
    files = {"trace.txt": f"{word}: {value}\n"} if value >= 4 else {}
    return Outcome((value,), cost=1.0 + 0.5 * word.count("A"), artifacts=files)


class Assay(Oracle):
    """The exact or rough value of a word; rough values are on another scale and sometimes wrong."""

    objectives = (Objective("activity", "%"),)
    fidelities = (Fidelity("rough", 1.0), Fidelity("exact", 8.0))
    fidelity = "exact"

    def evaluate(self, objects):
        for word in objects:
            pause()
            exact = word.count("G") + 0.5 * word.count("GA")
            yield Outcome((exact if self.fidelity == "exact" else 20.0 + 3.0 * exact + word.count("C"),))


class Pair(Oracle):
    """Two conflicting values of a word."""

    objectives = (Objective("binding", "nM", "minimise"), Objective("solubility", "mg/mL"))

    def evaluate(self, objects):
        for word in objects:
            yield Outcome(
                (16.0 - word.count("G") - 0.5 * word.count("GA"), 8.0 - word.count("G") + word.count("A") / 4)
            )
