"""Time of everything that reads a whole run, with up to 100,000 answers: status, tables, and a round without the fit.

    python benchmarks/campaign/large_run.py                 # about 2 minutes
    python benchmarks/campaign/large_run.py --sizes 1000    # seconds

A ledger is filled with rounds of 1,000 answers to words of 40 letters. Then each command is timed once in a fresh
process, as a user waits for it: the seconds include the imports, which are most of it. On a busy machine, the CPU time
(``cpu_s``) is what counts. *Round* is what a round does beside the fit, the training and the oracle: reading the
ledger, matching past predictions, and the report. *Next batch* is a whole start: every row is compared with its
checksum, a linear surrogate is fitted to all answers, a sampler is trained for five steps, and 1,000 of 2,000 objects
are chosen and committed. ``gb`` is the most memory that the process used. Writes large_run.csv.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.campaign.building import build_oracle, campaign_fingerprint
from al_loop.campaign.course import public_config
from al_loop.config import CampaignConfig
from al_loop.ledger import Answer, Ledger, Proposal
from al_loop.oracles.base import Objective, Outcome

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results"
SIZES = (1_000, 10_000, 100_000)
BATCH = 1000
START = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = {
    "name": "large",
    "environment": {"kind": "sequence", "alphabet": "ACGU", "length": 40},
    "oracle": {"target": "builtins:len"},
    "surrogate": {"target": "benchmarks.support.linear_surrogate:LinearSurrogate"},
    "sampler": {"steps": 5, "batch_size": 64, "pool": 2000},
    "selector": "greedy",
    "rounds": {"initial": BATCH, "batch_size": BATCH, "count": 1000},
}

_STATUS = "from al_loop.cli import app; app(['status', folder], standalone_mode=False)"
#: what is timed, given the run directory in ``folder``; each prints the seconds of its own work
COMMANDS = {
    "al-loop status of a copy": f"import shutil; shutil.copytree(folder, folder + '-2'); folder += '-2'; {_STATUS}",
    "al-loop status": _STATUS,
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
    "next batch": (
        "from al_loop.campaign import Campaign\n"
        "from al_loop.config import CampaignConfig\n"
        "with Campaign(CampaignConfig.model_validate(config), folder) as campaign:\n"
        "    assert campaign.advance() == 1000"
    ),
}
#: what must not be exceeded with 100,000 answers: seconds, and GB of memory
LEVELS = {"al-loop status": 2.0, "open_run": 2.0, "next batch": 10.0}
LEVEL_GB = 1.0


def fill(folder: Path, n_answers: int) -> None:
    """Write the ledger of a run with answers to random words."""
    rng = random.Random(0)
    with Ledger(f"sqlite:///{folder}/ledger.db") as ledger:
        objectives = [Objective("len")]
        config = CampaignConfig.model_validate(CONFIG)
        ledger.begin_campaign(
            name="large",
            config=public_config(config),
            fingerprint=campaign_fingerprint(config, build_oracle(config)),
            seed=0,
            objectives=objectives,
            versions={"al-loop": "0"},
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
        ledger.observations()  # which compares the rows, as a campaign does


def seconds_of(command: str, folder: Path) -> tuple[float, float, float]:
    """Run a command in a fresh process; return the seconds and CPU seconds of its work, and its memory in GB."""
    code = (
        f"import time; began, cpu = time.perf_counter(), 0.0\n"
        f"import al_loop; folder = {str(folder)!r}; config = {CONFIG!r}\n"
        f"{command}\nimport resource, sys; gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6\n"
        "print(time.perf_counter() - began, time.process_time() - cpu, gb, file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    seconds, cpu, gb = map(float, done.stderr.splitlines()[-1].split())
    return seconds, cpu, gb


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
                seconds, cpu, gb = seconds_of(command, Path(folder))
                row = {"answers": size, "command": name, "seconds": round(seconds, 2), "cpu_s": round(cpu, 2)}
                rows.append(row | {"gb": round(gb, 2)})
                level = LEVELS.get(name) if size == max(SIZES) else None
                said = "" if level is None else f"   level: {level:g} s, {LEVEL_GB:g} GB"
                print(json.dumps(rows[-1]) + said, flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "large_run.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=["answers", "command", "seconds", "cpu_s", "gb"])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
