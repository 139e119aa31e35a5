"""kill -9 at any moment, then the same command: nothing committed is lost, nothing is paid for twice."""

import contextlib
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from al_loop.ledger import Ledger
from benchmarks.support.driver import Driver

CONFIG = """
name: crash
seed: 3
environment: {kind: sequence, alphabet: ACGU, length: 6}
oracle: {target: "crash_oracle:measure", log: LOG}
sampler: {steps: 12, batch_size: 16, hidden: 16, pool: 48}
rounds: {initial: 8, batch_size: 8, count: 5}
evaluation: {workers: 2}
"""
ORACLE = """
import os, time

def measure(word, log):
    # one unbuffered line before the work starts: what is paid for is on disk whatever happens next
    with open(log, "ab", buffering=0) as file:
        file.write(f"{word}\\n".encode())
    time.sleep(0.03)
    return word.count("G") + 0.5 * word.count("GA")
"""
N_KILLS = 16


def run(driver: Driver, folder: Path, kill_at: tuple[int, float] | None = None) -> int:
    """Run the campaign of a folder, and return its exit status.

    Args:
        driver: starts it.
        folder: of the config, the log of paid calls, and the run directory.
        kill_at: kill it, if it still runs, after a number of further calls and then a number of seconds.
    """
    n_before = sum(paid(folder).values())
    pid = driver.start(folder / "crash.yaml", folder / "run")
    if kill_at is not None:
        n_calls, delay_s = kill_at
        while driver.is_running() and sum(paid(folder).values()) < n_before + n_calls:
            time.sleep(0.01)
        time.sleep(delay_s)
        with contextlib.suppress(ProcessLookupError):  # it may be over by now
            os.kill(pid, signal.SIGKILL)
    return driver.wait()


def write_config(folder: Path) -> None:
    folder.mkdir()
    (folder / "crash_oracle.py").write_text(ORACLE)
    (folder / "crash.yaml").write_text(CONFIG.replace("LOG", str(folder / "paid.log")))


def paid(folder: Path) -> Counter[str]:
    return Counter((folder / "paid.log").read_text().split()) if (folder / "paid.log").exists() else Counter()


def batches(run_dir: Path) -> list[tuple[int, str]]:
    with Ledger(f"sqlite:///{run_dir}/ledger.db") as ledger:
        return [(c.round, c.object) for c in ledger.candidates()]


@pytest.fixture
def driver(tmp_path: Path):
    driver = Driver(tmp_path)
    yield driver
    driver.close()


@pytest.mark.slow
def test_a_campaign_killed_at_many_random_moments_loses_nothing_and_pays_once(driver: Driver, tmp_path: Path) -> None:
    write_config(tmp_path / "reference")
    started = time.monotonic()
    assert run(driver, tmp_path / "reference") == 0
    round_s = (time.monotonic() - started) / 6  # the moment after a call; a busy machine needs longer for a round
    expected = batches(tmp_path / "reference/run")
    assert len(expected) == 8 * 6

    moments = random.Random(1)
    kills = campaigns = repeated = 0
    while kills < N_KILLS:
        folder = tmp_path / f"campaign{campaigns}"
        write_config(folder)
        run_dir = folder / "run"
        campaigns += 1
        committed: dict[int, object] = {}
        excused: Counter[str] = Counter()
        while True:
            status = run(driver, folder, kill_at=(moments.randint(0, 12), moments.uniform(0.0, round_s)))
            time.sleep(0.3)  # the workers of a killed driver end by themselves, within their call
            if (run_dir / "ledger.db").exists():
                with Ledger(f"sqlite:///{run_dir}/ledger.db") as ledger:
                    now = {e.candidate_id: e for e in ledger.evaluations()}
                    assert {k: now.get(k) for k in committed} == committed, "a committed answer was lost or changed"
                    committed = now
                    excused.update(c.object for c in ledger.in_flight())
            if status == 0:
                break
            assert status == -signal.SIGKILL
            kills += 1
        assert batches(run_dir) == expected, "the campaign went on as if it had never been killed"
        assert len(committed) == len(expected)
        twice = {o: n for o, n in paid(folder).items() if n > 1}
        repeated += len(twice)
        assert all(n - 1 <= excused[o] for o, n in twice.items()), "paid twice though it was not in flight at a kill"
    print(f"{kills} kills over {campaigns} campaigns; {repeated} objects in flight were paid for again")
