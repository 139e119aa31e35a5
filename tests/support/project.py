"""A user's folder outside of the repository: a tiny config, and an oracle in a module of its own."""

import sys
from pathlib import Path

import pytest

from al_loop import Campaign
from al_loop.campaign.reporter import Reporter
from al_loop.config import load_config
from al_loop.ledger import Ledger
from al_loop.monitoring.round_summary import RoundSummary

#: words of six letters; ORACLE stands for the name of the oracle's module
WORDS_CONFIG = """
name: tiny
seed: 1
environment: {kind: sequence, alphabet: ACGU, length: 6}
oracle: {target: "ORACLE:measure"}
sampler: {steps: 8, batch_size: 16, hidden: 16, pool: 32}
rounds: {initial: 6, batch_size: 6, count: 2}
evaluation: {workers: 1, timeout_s: 20}
"""
WORDS_ORACLE = """
def measure(word):
    return word.count("G") + 0.5 * word.count("GA")
"""


class Notes(Reporter):
    """Keeps what a campaign reports."""

    def __init__(self) -> None:
        self.rounds: list[RoundSummary] = []
        self.notes: list[str] = []

    def round(self, summary: RoundSummary) -> None:
        self.rounds.append(summary)

    def note(self, message: str) -> None:
        self.notes.append(message)


class Project:
    """A folder with ``tiny.yaml`` and the module of its oracle, whose name no other test uses.

    Args:
        folder: an empty folder.
        config: text of the config.
        oracle: text of the oracle's module.
    """

    def __init__(self, folder: Path, config: str = WORDS_CONFIG, oracle: str = WORDS_ORACLE) -> None:
        self.folder = folder
        self.module = f"tiny_oracle_{folder.name.replace('-', '_')}"
        self.config = folder / "tiny.yaml"
        self.config.write_text(config.replace("ORACLE", self.module))
        self.set_oracle(oracle)

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def set_oracle(self, text: str) -> None:
        """Change the oracle of later campaigns."""
        (self.folder / f"{self.module}.py").write_text(text)

    def start(self, *overrides: str, run_dir: str = "run") -> Notes:
        """Run a campaign until it ends, and return what it reported."""
        notes = Notes()
        with Campaign(load_config(self.config, overrides), self.folder / run_dir, reporter=notes) as campaign:
            campaign.run()
        return notes

    def run(self, *overrides: str, run_dir: str = "run") -> Notes:
        """Run a campaign, which must finish all its rounds."""
        notes = Notes()
        with Campaign(load_config(self.config, overrides), self.folder / run_dir, reporter=notes) as campaign:
            campaign.run()
            assert campaign.is_finished
        return notes

    def ledger(self, run_dir: str = "run") -> Ledger:
        """Open the ledger of a run."""
        return Ledger(f"sqlite:///{self.folder / run_dir}/ledger.db")

    def objects(self, run_dir: str = "run") -> list[str]:
        """Return the objects that were proposed, in their order."""
        with self.ledger(run_dir) as ledger:
            return [c.object for c in ledger.candidates()]

    def infos(self, run_dir: str = "run") -> list[dict]:
        """Return what the ledger keeps of each decision."""
        with self.ledger(run_dir) as ledger:
            return [row.info for row in ledger.rounds()]

    def reports(self, run_dir: str = "run") -> list[dict]:
        """Return what the ledger keeps of each report."""
        with self.ledger(run_dir) as ledger:
            return [row.metrics for row in ledger.rounds()]


def enter_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str = WORDS_CONFIG, oracle: str = WORDS_ORACLE
) -> Project:
    """Make a project and work in it until the test ends, with the path of modules restored afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return Project(tmp_path, config, oracle)


#: an oracle of three values; the first is optimised
VALUES_CONFIG = """
name: tiny
seed: 1
environment: {kind: sequence, alphabet: ACGU, length: 6}
oracle: {target: "ORACLE:Tiny"}
optimise: up
sampler: {steps: 10, batch_size: 16, hidden: 16, pool: 64}
rounds: {initial: 8, batch_size: 8, count: 2}
evaluation: {workers: 1, timeout_s: 20, stop_after_failures: null}
"""
#: two objectives that pull apart, a third value to bound, and words that contain `fails` fail
VALUES_ORACLE = """
from al_loop.oracles.base import Objective, Oracle, Outcome


class Tiny(Oracle):
    objectives = (Objective("up"), Objective("down", "kg", "minimise"), Objective("weight"))

    def __init__(self, fails: str = ""):
        self.fails = fails

    def evaluate(self, objects):
        for word in objects:
            if self.fails and self.fails in word:
                yield Outcome.failed("permanent", "it does not dissolve")
                continue
            up, weight = word.count("G") + 0.5 * word.count("GA"), 2.0 * word.count("G") + word.count("C")
            yield Outcome((up, 10.0 - word.count("C"), weight), cost=1.0 + 3.0 * word.count("A"))
"""
#: a cheap fidelity that is of another scale and sometimes wrong
FIDELITIES_ORACLE = """
from al_loop.oracles.base import Fidelity, Objective, Oracle, Outcome


class Tiny(Oracle):
    objectives = (Objective("up"),)
    fidelities = (Fidelity("rough", 1.0), Fidelity("exact", 10.0))
    fidelity = "exact"

    def evaluate(self, objects):
        for word in objects:
            exact = word.count("G") + 0.5 * word.count("GA")
            yield Outcome((exact if self.fidelity == "exact" else 20 + 3 * exact + word.count("C"),))
"""
CHOOSES_FIDELITIES = ("surrogate.kind=multi_fidelity", "acquisition.kind=multi_fidelity_mes")
