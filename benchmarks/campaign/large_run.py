"""Time of everything that reads a whole run, with up to 100,000 answers: status, tables, and a round without the fit.

    python benchmarks/campaign/large_run.py                 # about 2 minutes
    python benchmarks/campaign/large_run.py --sizes 1000    # seconds

A ledger is filled with rounds of 1,000 answers to words of 40 letters. Then each command is timed once in a fresh
process, as a user waits for it: the seconds include the imports, which are most of it. On a busy machine, the CPU time
(``cpu_s``) is what counts. *Round* is what a round does beside the fit, the training and the oracle: reading the
ledger, matching past predictions, and the report. Writes large_run.csv.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.ledger import Answer, Ledger, Proposal
from al_loop.oracles.base import Objective, Outcome

RESULTS = Path(__file__).parents[1] / "results"
SIZES = (1_000, 10_000, 100_000)
BATCH = 1000
START = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = {
    "name": "large",
    "environment": {"kind": "sequence", "alphabet": "ACGU", "length": 40},
    "oracle": {"target": "builtins:len"},
    "rounds": {"initial": BATCH, "batch_size": BATCH, "count": 1000},
}

#: what is timed, given the run directory in ``folder``; each prints the seconds of its own work
COMMANDS = {
    "al-loop status": "from al_loop.cli import app; app(['status', folder], standalone_mode=False)",
    "open_run": "run = al_loop.open_run(folder)",
    "open_run, repr": "run = al_loop.open_run(folder); repr(run)",
    "open_run, best, evaluations": "run = al_loop.open_run(folder); run.best(10); run.evaluations",
    "round without fit": (
        "from al_loop.campaign.preparation import prepare\n"
        "from al_loop.campaign.round_report import report_round\n"
        "from al_loop.campaign.round_state import RoundStates\n"
        "from al_loop.config import CampaignConfig\n"
        "from al_loop.ledger import Ledger\n"
        "parts = prepare(CampaignConfig.model_validate(config))\n"
        "ledger = Ledger(f'sqlite:///{folder}/ledger.db', read_only=True)\n"
        "states = RoundStates(ledger, parts)\n"
        "last = ledger.last_round()\n"
        "import torch; parts.features(['A' * 40])\n"
        "began, cpu = time.perf_counter(), time.process_time()\n"
        "state = states.current(); state.predictions; state.proposed; state.valid_values()\n"
        "report_round(last, states.current(), parts, state.predictions, {}, None)\n"
        "states.current()"
    ),
}


def fill(folder: Path, n_answers: int) -> None:
    """Write the ledger of a run with answers to random words."""
    rng = random.Random(0)
    with Ledger(f"sqlite:///{folder}/ledger.db") as ledger:
        objectives = [Objective("len")]
        ledger.begin_campaign(
            name="large", config=CONFIG, fingerprint="f", seed=0, objectives=objectives, versions={"al-loop": "0"}
        )
        for number in range(n_answers // BATCH):
            words = {"".join(rng.choices("ACGU", k=40)): rng.gauss(0, 1) for _ in range(BATCH)}
            batch = [Proposal(word, "sampler", mean, 1.0, 0.0) for word, mean in words.items()]
            means, ones = [[mean] for mean in words.values()], [1.0] * len(words)
            info = {"predicted": {"mean": means, "std": [[1.0]] * len(words)}, "nearest": ones, "factors": [1.0]}
            candidates = ledger.open_round(number, batch, seed=number, seconds={"fit": 1.0}, info=info)
            now = START + timedelta(minutes=number)
            ledger.begin_attempts([c.id for c in candidates], "worker")
            answers = [
                Answer(c.id, Outcome((rng.gauss(0, 1),), cost=1.0), "worker", now, now + timedelta(seconds=1))
                for c in candidates
            ]
            ledger.commit_answers(answers)
            metrics = {"best": 1.0, "calls": (number + 1) * BATCH, "diversity": 0.5}
            ledger.close_round(number, metrics=metrics, seconds={"evaluate": 1.0})


def seconds_of(command: str, folder: Path) -> tuple[float, float]:
    """Run a command in a fresh process, and return the seconds and the CPU seconds of its work."""
    code = (
        f"import time; began, cpu = time.perf_counter(), 0.0\n"
        f"import al_loop; folder = {str(folder)!r}; config = {CONFIG!r}\n"
        f"{command}\nimport sys; print(time.perf_counter() - began, time.process_time() - cpu, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, cpu = map(float, done.stderr.splitlines()[-1].split())
    return seconds, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="numbers of answers")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the table")
    options = parser.parse_args()
    rows = []
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            fill(Path(folder), size)
            for name, command in COMMANDS.items():
                seconds, cpu = seconds_of(command, Path(folder))
                rows.append({"answers": size, "command": name, "seconds": round(seconds, 2), "cpu_s": round(cpu, 2)})
                print(json.dumps(rows[-1]), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "large_run.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=["answers", "command", "seconds", "cpu_s"])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
