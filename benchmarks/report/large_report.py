"""Time and size of the report of a run with up to 100,000 measured molecules.

    python benchmarks/report/large_report.py                 # about 4 minutes, most of which fill the ledgers
    python benchmarks/report/large_report.py --sizes 1000    # seconds

The ledger has rounds of 5,000 answers to the molecules of the Enamine pool and their adducts with small molecules, on
eight workers; every fiftieth answer is a failure. ``al-loop report`` and ``open_run(...).evaluations`` then run once
each in a fresh process, as a user waits for them: of the report, imports are included. On a busy machine, the CPU time
(``cpu_s``) is what counts. The levels are 20 s and 30 MB for the report, and 2 s for the evaluations. Writes
large_report.csv.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.ledger import Answer, Ledger, Proposal
from al_loop.oracles.base import Objective, Outcome

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parents[1] / "results"
SIZES = (1_000, 10_000, 100_000)
BATCH, WORKERS = 5000, 8
START = datetime(2026, 1, 1, tzinfo=UTC)
ADDUCTS = ("", ".C", ".CC", ".CO", ".CCO", ".CN", ".CCN", ".O", ".N", ".CCC")
CONFIG = {"name": "large", "environment": {"kind": "pool", "file": "x.csv"}, "rounds": {"count": 100}}


def fill(folder: Path, n_answers: int) -> None:
    """Write the ledger of a run with answers to molecules."""
    rng = random.Random(0)
    with gzip.open(ROOT / "oracles/data/enamine10k.csv.gz", "rt") as file:
        pool = list(dict.fromkeys(row["smiles"] for row in csv.DictReader(file)))
    molecules = list(dict.fromkeys(smiles + adduct for adduct in ADDUCTS for smiles in pool))[:n_answers]
    rng.shuffle(molecules)
    best = 0.0
    with Ledger(f"sqlite:///{folder}/ledger.db") as ledger:
        objectives = [Objective("score", "kcal/mol", "minimise")]
        ledger.begin_campaign(
            name="large", config=CONFIG, fingerprint="f", seed=0, objectives=objectives, versions={"al-loop": "0"}
        )
        for number, at in enumerate(range(0, n_answers, BATCH)):
            names = molecules[at : at + BATCH]
            means = [rng.gauss(-7 - 0.1 * number, 1) for _ in names]
            batch = [Proposal(name, "pool", mean, 0.5, -mean) for name, mean in zip(names, means, strict=True)]
            info = {"predicted": {"mean": [[m] for m in means], "std": [[0.5]] * len(names)}}
            info |= {"nearest": [0.5] * len(names), "factors": [1.0], "n_answers": at}
            info |= {"forecast": {"expected_improvement": 0.1, "probability": 0.5, "expected_best": best - 0.1}}
            info["forecast"] |= {"low": best - 0.3, "high": best}
            candidates = ledger.open_round(number, batch, seed=number, seconds={"fit": 5.0, "train": 60.0}, info=info)
            now = START + timedelta(hours=2 * number)
            for worker in range(WORKERS):
                ledger.begin_attempts([c.id for c in candidates[worker::WORKERS]], f"ray-{worker}")
            answers = []
            for i, (candidate, mean) in enumerate(zip(candidates, means, strict=True)):
                value = mean + rng.gauss(0, 0.5)
                failed = Outcome.failed("timeout", f"more than {60 + i % 7} s")
                outcome = failed if i % 50 == 0 else Outcome((value,), cost=0.1)
                best = best if i % 50 == 0 else min(best, value)
                began = now + timedelta(seconds=10 * (i // WORKERS))
                done = began + timedelta(seconds=9)
                answers.append(Answer(candidate.id, outcome, f"ray-{i % WORKERS}", began, done))
            ledger.commit_answers(answers)
            ledger.close_round(number, metrics={"best": best, "calls": at + len(names)}, seconds={"evaluate": 6000.0})


def timed(arguments: list[str]) -> tuple[float, float, str]:
    """Run a command, and return its seconds, its CPU seconds, and the last line that it printed."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True, cwd=ROOT)
    after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, (done.stdout.splitlines() or [""])[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="numbers of answers")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the table")
    parser.add_argument("--keep", type=Path, help="folder in which the runs and reports are kept")
    options = parser.parse_args()
    rows = []
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as temporary:
            folder = (options.keep or Path(temporary)) / str(size)
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / "ledger.db").exists():
                fill(folder, size)
            page = folder / "report.html"
            seconds, cpu, _ = timed(["-m", "al_loop", "report", str(folder), "-o", str(page)])
            row = {"answers": size, "what": "al-loop report", "seconds": round(seconds, 1), "cpu_s": round(cpu, 1)}
            rows.append({**row, "mb": round(page.stat().st_size / 1e6, 1), "level": "20 s, 30 MB"})
            print(json.dumps(rows[-1]), flush=True)
            code = f"import time, al_loop; run = al_loop.open_run({str(folder)!r}); began = time.perf_counter()\n"
            code += "cpu = time.process_time(); run.evaluations; print(time.perf_counter() - began, end=' ')\n"
            *_, own = timed(["-c", code + "print(time.process_time() - cpu)"])
            seconds, cpu = map(float, own.split())
            row = {"answers": size, "what": "run.evaluations", "seconds": round(seconds, 2), "cpu_s": round(cpu, 2)}
            rows.append({**row, "mb": "", "level": "2 s"})
            print(json.dumps(rows[-1]), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "large_report.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=["answers", "what", "seconds", "cpu_s", "mb", "level"])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
