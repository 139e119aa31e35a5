"""Time that the driver spends on recording an answer: the ledger alone, and a pool of a thousand simulated workers.

    python benchmarks/campaign/bookkeeping.py          # about 15 minutes
    python benchmarks/campaign/bookkeeping.py --database SQLite --sizes 1000 --out /tmp          # seconds

*Ledger*: answers are committed one at a time (an attempt and an answer each, both durable before the next), to a ledger
that already has 1,000 to 100,000 answers. The lower limit is the same number of synced writes to a plain file.
*Pool*: a thousand workers answer instantly, so that only bookkeeping takes time; the driver's CPU and wall-clock time
per answer, against the number of answers in the ledger. Writes bookkeeping.csv and bookkeeping.png.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.campaign.evaluation import EvaluationPool, PoolSettings
from al_loop.campaign.executor import OracleWorker
from al_loop.config import Evaluation
from al_loop.ledger import Answer, Candidate, Ledger, Proposal
from al_loop.oracles.base import Call, Objective, Outcome
from benchmarks.support.tables import write_table

RESULTS = Path(__file__).parents[1] / "results"
N_WORKERS, BATCH = 1000, 1000
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)


class InstantWorker(OracleWorker):
    """A worker that answers instantly."""

    def __init__(self, number: int) -> None:
        self.name = f"simulated-{number}"

    def start(self) -> None:
        pass

    def call(self, objects: Sequence[str], timeout_s: float, call: Call) -> Iterator[Outcome]:
        yield from (Outcome((float(len(name)),)) for name in objects)

    def close(self) -> None:
        pass


def begin(url: str) -> Ledger:
    ledger = Ledger(url, patience_s=600)
    objectives = (Objective("value"),)
    ledger.begin_campaign(name="b", config={}, fingerprint="f", seed=0, objectives=objectives, versions={})
    return ledger


def next_batch(ledger: Ledger, number: int, size: int = BATCH) -> list[Candidate]:
    batch = [Proposal(f"{number}-{i}", "random", 1.0, 0.5, 2.0) for i in range(size)]
    return ledger.open_round(number, batch, seed=0, seconds={}, info={})


def one_by_one(ledger: Ledger, candidates: Sequence[Candidate]) -> float:
    """Commit answers one at a time; return the median time of one, in milliseconds."""
    durations = []
    for candidate in candidates:
        began = time.perf_counter()
        ledger.begin_attempts([candidate.id], "w")
        now = datetime.now(UTC)
        ledger.commit_answers([Answer(candidate.id, Outcome((1.0,)), "w", now, now)])
        durations.append(time.perf_counter() - began)
    return 1000 * statistics.median(durations)


def synced_writes(folder: Path, n: int = 300) -> float:
    """Return the median time of two synced writes of a line to a plain file, in milliseconds: the limit of the disk."""
    durations = []
    with (folder / "plain").open("ab", buffering=0) as file:
        for _ in range(n):
            began = time.perf_counter()
            for _ in range(2):
                file.write(b"x" * 200)
                os.fsync(file.fileno())
            durations.append(time.perf_counter() - began)
    return 1000 * statistics.median(durations)


def measure(database: str, url: str, folder: Path, sizes: Sequence[int]) -> Iterator[dict[str, object]]:
    """Fill a ledger; yield a row of times at each number of answers in ``sizes``."""
    ledger = begin(url)
    workers = [InstantWorker(i) for i in range(N_WORKERS)]
    pool = EvaluationPool(ledger, workers, PoolSettings(Evaluation()))
    n_answers = number = 0
    for size in sizes:
        cpu = wall = 0.0
        n = 0
        while n_answers < size:
            batch = next_batch(ledger, number)
            number += 1
            began, cpu_began = time.perf_counter(), time.process_time()
            pool.submit(batch)
            pool.wait()
            n_answers += len(batch)
            if n_answers > 0.9 * size:
                wall += time.perf_counter() - began
                cpu += time.process_time() - cpu_began
                n += len(batch)
        single = one_by_one(ledger, next_batch(ledger, number, 200))
        number += 1
        n_answers += 200
        reading = 0.0
        for read in (ledger.known_objects, ledger.observations, ledger.candidates, ledger.pending):
            began = time.perf_counter()
            read()
            reading += time.perf_counter() - began
        row = {
            "database": database,
            "answers in the ledger": size,
            "one by one, ms an answer": round(single, 3),
            "two synced writes, ms": round(synced_writes(folder), 3),
            f"{N_WORKERS} workers, CPU ms an answer": round(1000 * cpu / n, 3),
            f"{N_WORKERS} workers, wall ms an answer": round(1000 * wall / n, 3),
            "reading it whole once a round, s": round(reading, 3),
        }
        print("  ".join(f"{k}: {v}" for k, v in row.items()), flush=True)
        yield row
    pool.close()
    ledger.close()


def plot(rows: Sequence[dict[str, object]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    columns = list(rows[0])
    for database, colour in (("SQLite", "#1971c2"), ("PostgreSQL", "#d9480f")):
        part = [row for row in rows if row["database"] == database]
        if not part:
            continue
        x = [row[columns[1]] for row in part]
        left.plot(x, [row[columns[2]] for row in part], "o-", color=colour, label=database)
        right.plot(x, [row[columns[4]] for row in part], "o-", color=colour, label=f"{database}: CPU")
        right.plot(x, [row[columns[5]] for row in part], "o--", color=colour, label=f"{database}: wall", mfc="white")
    part = [row for row in rows if row["database"] == rows[0]["database"]]
    x = [row[columns[1]] for row in part]
    left.plot(x, [row[columns[3]] for row in part], ":", color="#868e96", label="two synced writes")
    left.set_title("one answer at a time", fontsize=10)
    right.set_title(f"{N_WORKERS:,} workers at once", fontsize=10)
    for ax in (left, right):
        ax.set(xscale="log", yscale="log", xlabel="answers in the ledger", ylim=(0.1, 12))
        ax.set_yticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
        ax.minorticks_off()
        ax.grid(color="#e9ecef", which="major")
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(fontsize=8, frameon=False)
    left.set_ylabel("milliseconds per answer")
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=("SQLite", "PostgreSQL"), action="append", help="default: both")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of answers in the ledger")
    parser.add_argument("--out", type=Path, help="default: benchmarks/results, if nothing is left out")
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    for database in arguments.database or ("SQLite", "PostgreSQL"):
        with tempfile.TemporaryDirectory(prefix="al-loop-bookkeeping-") as name:
            folder = Path(name)
            if database == "SQLite":
                rows += measure(database, f"sqlite:///{folder}/ledger.db", folder, arguments.sizes)
            else:
                from benchmarks.support.postgresql import PostgresqlServer

                with PostgresqlServer() as server:
                    rows += measure(database, server.new_database(), folder, arguments.sizes)
    is_complete = not arguments.database and arguments.sizes == SIZES
    out = arguments.out or (RESULTS if is_complete else None)
    if out is None:
        return
    write_table(out / "bookkeeping.csv", rows)
    plot(rows, out / "bookkeeping.png")


if __name__ == "__main__":
    main()
