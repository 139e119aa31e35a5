"""Whole campaigns in a simulated world: one seed, one schedule, one verdict; thousands in a night.

    python benchmarks/campaign/simulate.py --campaigns 1000 --seed 0     # also: make simulate
    python benchmarks/campaign/simulate.py --minutes 10 --seed 5000
    python benchmarks/campaign/simulate.py --seed 17                     # replays one campaign, with a trace

The driver, its threads, the ledger, the lease, the checkpoints and the models are al-loop's own. Simulated are

    threads    one at a time, in an order that the seed draws at every lock, statement, write and call
    clock      jumps to the next deadline, and is set forward and back
    oracle     answers, fails, hangs, dies, returns garbage; its service is down for a while
    disk       full; a power cut loses what was not forced to it, or half of a file, and leaves garbage after a log
    database   locked, full, cut off at a statement, or after a commit that it does not report
    processes  killed at any statement, write or call; suspended until another machine takes over; stopped; two at once

After each start the ledger is compared with what was in it, with what the oracle answered and with what is true of each
object: nothing committed is lost or changed, nothing that arrived in a process that lived is lost, no value is wrong,
nothing is paid for twice but what was in flight at a kill, rounds are whole, and `al-loop verify` finds nothing. At the
end the batches are those of an undisturbed campaign as long as the answers are, and `al-loop verify --replay` makes
them again. Appends a row to simulation.csv, and the faults by kind to simulation_faults.csv.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections import Counter
from datetime import date
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.support.tables import append_row

RESULTS = Path(__file__).parents[1] / "results"
#: texts have the same hashes in every process, so that sets have the same order
HASH_SEED = "0"


def simulate_many(first: int, n: int, seconds: float) -> tuple[dict[str, object], Counter[str], list[int]]:
    """Simulate campaigns, and return a row for the table, the faults and the seeds that failed.

    Args:
        first: the first seed.
        n: number of campaigns.
        seconds: after which no further one begins.
    """
    from benchmarks.support.simulation.campaign import simulate

    faults: Counter[str] = Counter()
    failed: list[int] = []
    starts = answers = campaigns = 0
    began, cpu = time.monotonic(), time.process_time()
    for seed in range(first, first + n):
        if time.monotonic() - began > seconds:
            break
        verdict = simulate(seed)
        campaigns += 1
        faults.update(verdict.faults)
        starts, answers = starts + verdict.starts, answers + verdict.answers
        if verdict.problem:
            failed.append(seed)
            print(f"seed {seed} FAILED: {verdict.problem}", flush=True)
        if campaigns % 100 == 0:
            print(f"{campaigns} campaigns, {sum(faults.values())} faults, {len(failed)} failed", flush=True)
    minutes, cpu_minutes = (time.monotonic() - began) / 60, (time.process_time() - cpu) / 60
    row: dict[str, object] = {
        "date": date.today().isoformat(),
        "first seed": first,
        "campaigns": campaigns,
        "faults": sum(faults.values()),
        "starts": starts,
        "answers": answers,
        "failed": len(failed),
        "minutes": round(minutes, 1),
        "campaigns a CPU minute": round(campaigns / max(cpu_minutes, 1e-9), 1),
    }
    return row, faults, failed


def write(out: Path, row: dict[str, object], faults: Counter[str]) -> None:
    """Append a row to the table, and add the faults to those of earlier runs."""
    append_row(out / "simulation.csv", row)
    by_kind = out / "simulation_faults.csv"
    total = Counter(faults)
    if by_kind.exists():
        with by_kind.open(newline="") as file:
            total.update({kind: int(n) for kind, n in list(csv.reader(file))[1:]})
    with by_kind.open("w", newline="") as file:
        csv.writer(file).writerows([("kind", "n"), *sorted(total.items())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--campaigns", type=int, help="how many; default: one, with a trace")
    parser.add_argument("--minutes", type=float, default=600, help="after which no further campaign begins")
    parser.add_argument("--seed", type=int, default=0, help="of the first campaign; the following ones count up")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the tables")
    arguments = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": HASH_SEED})
    if arguments.campaigns is None and arguments.minutes == parser.get_default("minutes"):
        from benchmarks.support.simulation.campaign import simulate

        verdict = simulate(arguments.seed, has_trace=True)
        print("\n".join(verdict.lines))
        print(f"seed {arguments.seed}: {verdict.starts} starts, {verdict.answers} answers, {dict(verdict.faults)}")
        raise SystemExit(f"FAILED: {verdict.problem}" if verdict.problem else 0)
    row, faults, failed = simulate_many(arguments.seed, arguments.campaigns or 10**9, 60 * arguments.minutes)
    print("\n".join(f"{key:>22}  {value}" for key, value in row.items()))
    print("\n".join(f"{n:>7}  {kind}" for kind, n in sorted(faults.items())))
    write(arguments.out, row, faults)
    if failed:
        raise SystemExit(f"FAILED: seeds {', '.join(map(str, failed))}; each replays with --seed SEED")


if __name__ == "__main__":
    main()
