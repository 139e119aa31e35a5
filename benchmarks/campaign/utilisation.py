"""Utilisation of oracle workers when call durations vary widely, and its effect on the result.

    python benchmarks/campaign/utilisation.py          # 6 seeds, about 25 minutes

320 calls of an oracle on 8 workers, in batches of 32, the first at random. The duration of a call is log-normal (sigma
1, median 1.5 s, fixed for each object); the value is the measured binding of a DNA word of 8 letters (TFBind8, 0 to 1).

- *synchronous*: a round closes when all its answers have arrived;
- *asynchronous* (``rounds.keep_busy: true``): the next batch is selected, with the pending objects in the acquisition,
  before any worker runs out of candidates;
- *asynchronous, batches of 8*: large batches have no advantage there, so this arm selects a quarter as many candidates
  four times as often;
- *random words*: as many calls on random words.

The result is the mean of the ten best values, after all calls and after the same time (100 s). ``busy`` is the share of
the workers' time spent in calls, from the first call until the last candidate is taken (from then on some workers have
nothing to do). Prints a table, writes utilisation.csv.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[2]))

from al_loop import Campaign, load_config, open_run
from al_loop.campaign.reporter import Reporter
from al_loop.oracles.table import MeasuredTable
from benchmarks.support.tables import write_table

RESULTS = Path(__file__).parents[1] / "results"
WORKERS, BATCH, ROUNDS, MEDIAN_S = 8, 32, 9, 1.5
SAME_TIME_S = 100.0
CONFIG = f"""
name: utilisation
environment: {{kind: sequence, alphabet: ACGT, length: 8}}
oracle: {{target: "slow_table:measure", median_s: {MEDIAN_S}}}
sampler: {{steps: 60, batch_size: 64, pool: 512}}
rounds: {{initial: {BATCH}, batch_size: {BATCH}, count: {ROUNDS}}}
evaluation: {{workers: {WORKERS}, timeout_s: 600}}
"""
ORACLE = """
import math, random, time
from functools import lru_cache

from al_loop.oracles.table import MeasuredTable

@lru_cache
def _oracle():
    return MeasuredTable("tfbind8")

def measure(word, median_s):
    time.sleep(median_s * math.exp(random.Random(word).gauss(0.0, 1.0)))
    return next(iter(_oracle().evaluate([word])))
"""
MODES = {
    "synchronous": [],
    "asynchronous": ["rounds.keep_busy=true"],
    "asynchronous, batches of 8": [
        "rounds.keep_busy=true",
        "rounds.batch_size=8",
        f"rounds.count={ROUNDS * BATCH // 8}",
    ],
}


def run(folder: Path, mode: str, seed: int) -> dict[str, object]:
    """Run a campaign in a folder; return its results and the utilisation of its workers."""
    folder = folder / f"{mode}-{seed}"
    folder.mkdir()
    (folder / "slow_table.py").write_text(ORACLE)
    (folder / "utilisation.yaml").write_text(CONFIG)
    config = load_config(folder / "utilisation.yaml", [f"seed={seed}", *MODES[mode]])
    run_dir = folder / "run"
    began = time.monotonic()
    with Campaign(config, run_dir, reporter=Reporter()) as campaign:
        campaign.run()
    seconds = time.monotonic() - began
    opened = open_run(run_dir)
    table = opened.evaluations
    first, last_start = table["started"].min(), table["started"].max()
    window = (last_start - first).total_seconds()
    busy = (table["finished"].clip(upper=last_start) - table["started"]).dt.total_seconds().clip(lower=0).sum()
    values = table["measure"].astype(float).sort_values(ascending=False)
    is_early = (table["finished"] - first).dt.total_seconds() <= SAME_TIME_S
    waits = opened.rounds[["seconds_fit", "seconds_train", "seconds_select"]].sum(axis=1).iloc[1:]
    return {
        "mode": mode,
        "seed": seed,
        "calls": len(table),
        "busy": float(busy / (WORKERS * window)),
        "seconds": seconds,
        "best": float(values.iloc[0]),
        "top10": float(values.head(10).mean()),
        "top32": float(values.head(32).mean()),
        "top10_after_100s": float(values[is_early[values.index]].head(10).mean()),
        "decision_s": float(waits.median()),
        "mean_call_s": float(table["seconds"].mean()),
    }


def random_words(seed: int) -> dict[str, object]:
    """Return the results of as many calls on random words."""
    n = BATCH * (ROUNDS + 1)
    words = np.random.default_rng(seed).choice(list("ACGT"), size=(n, 8))
    outcomes = MeasuredTable("tfbind8").evaluate(["".join(word) for word in words])
    values = sorted((o.values[0] for o in outcomes if o.values), reverse=True)
    means = {f"top{k}": statistics.fmean(values[:k]) for k in (10, 32)}
    return {"mode": "random words", "seed": seed, "calls": n, "best": values[0], **means}


def mean_and_deviation(rows: list[dict[str, object]], key: str, scale: float = 1.0) -> str:
    numbers = [float(row[key]) * scale for row in rows if key in row]  # type: ignore[arg-type]
    if not numbers:
        return ""
    return f"{statistics.fmean(numbers):.3f} ± {statistics.stdev(numbers) if len(numbers) > 1 else 0:.3f}"


def print_summary(rows: list[dict[str, object]]) -> None:
    print(f"{'':>26}  {'busy':>6}  {'minutes':>13}  {'top 10, 100 s':>13}  {'top 10':>13}  {'top 32':>13}")
    for mode in (*MODES, "random words"):
        of_mode = [row for row in rows if row["mode"] == mode]
        busy = [float(row["busy"]) for row in of_mode if "busy" in row]  # type: ignore[arg-type]
        share = f"{statistics.fmean(busy):.1%}" if busy else ""
        minutes = mean_and_deviation(of_mode, "seconds", 1 / 60)
        cells = (minutes, *(mean_and_deviation(of_mode, key) for key in ("top10_after_100s", "top10", "top32")))
        print(f"{mode:>26}  {share:>6}  {'  '.join(cell.rjust(13) for cell in cells)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="al-loop-utilisation-") as name:
        # two at a time: the workers sleep, and each campaign decides in one thread
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
            jobs = [pool.submit(run, Path(name), mode, seed) for seed in range(arguments.seeds) for mode in MODES]
            for job in as_completed(jobs):
                rows.append(job.result())
                print("  " + "  ".join(f"{k} {v:.3f}" if isinstance(v, float) else str(v) for k, v in rows[-1].items()))
        rows += map(random_words, range(arguments.seeds))
    print_summary(rows)
    write_table(arguments.out / "utilisation.csv", rows)


if __name__ == "__main__":
    main()
