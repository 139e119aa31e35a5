"""A campaign under continuous disturbance: answers per hour, and whether any is lost, wrong, or paid for twice.

    python benchmarks/campaign/soak.py                   # one hour; also: make soak
    python benchmarks/campaign/soak.py --minutes 5

Two stations run side by side, on one PostgreSQL server that is stopped, killed and restarted every 5 to 40 s:

    machine   campaigns of 1,000 answers whose run directory is on a small disk that is filled up and emptied. Drivers
              and oracle workers are killed, connections are cut, tables are locked for seconds, and 2 % of the
              oracle's calls crash, hang or return garbage. The ledger is the server's and an SQLite file in turns.
    people    a campaign that people answer: two `al-loop ask` and two `al-loop tell` at once, again and again; every
              table is told by both tellers.

The CPU minutes are those of all drivers, workers and commands; the load is the machine's in the last 15 minutes.

Checked: an answer that was ever seen in the ledger stays there, unchanged; every value is right; the oracle answers for
an object twice only if a call for it was in flight at a kill; no object is handed to two people; every told value is in
the ledger once. Appends a row to soak.csv.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import queue
import random
import resource
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pandas as pd

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.campaign import Campaign
from al_loop.config import load_config
from benchmarks.support.driver import Driver
from benchmarks.support.fault_injection import (
    FaultCampaign,
    Postgresql,
    Scene,
    Shape,
    SmallDisk,
    Tally,
    may_mount,
    open_ledger,
)
from benchmarks.support.postgresql import PostgresqlServer
from benchmarks.support.tables import append_row

RESULTS = Path(__file__).parents[1] / "results"
SHAPE = Shape(batch=200, rounds=4, rate=0.02, pause=(1.0, 6.0))
SERVER_PAUSE = (5.0, 40.0)
LAB = """
name: people
seed: 0
environment: {kind: sequence, alphabet: ACGU, length: 8}
oracle: {kind: human, objectives: [{name: activity, goal: maximise}]}
sampler: {steps: 2, batch_size: 16, hidden: 16, pool: 128}
selector: greedy
rounds: {initial: 40, batch_size: 40, count: 100000, close_share: 0.5}
evaluation: {patience_s: 120}
ledger: "URL"
"""


class Station(Scene):
    """The machine's station: the run directory on a small disk, the ledger there or on the server, in turns."""

    def __init__(self, server: PostgresqlServer) -> None:
        self._disk = SmallDisk(32) if may_mount() else Scene()
        self._database = Postgresql(server)
        self._n = 0

    def prepare(self, folder: Path) -> tuple[Path, str]:
        """Return the run directory and the ledger's URL for a new campaign."""
        self._n += 1
        run_dir, url = self._disk.prepare(folder)
        return run_dir, self._database.prepare(folder)[1] if self._n % 2 else url

    def faults(self) -> dict[str, Callable[[], None]]:
        """Return the faults of the disk, and those of the connection where the ledger is on the server."""
        return {**self._disk.faults(), **(self._database.session_faults() if self._n % 2 else {})}

    def close(self) -> None:
        """Unmount the disk; the server goes on."""
        self._disk.close()


class People:
    """A campaign that two people ask for objects and two report results to, all at once.

    Args:
        folder: a new folder.
        url: the ledger.
    """

    def __init__(self, folder: Path, url: str) -> None:
        folder.mkdir()
        self._folder, self._url = folder, url
        config = folder / "people.yaml"
        config.write_text(LAB.replace("URL", url))
        with Campaign(load_config(config), folder / "run") as campaign:
            campaign.advance()
        self._tables: list[queue.Queue[Path | None]] = [queue.Queue(), queue.Queue()]
        self._handed_out: Counter[int] = Counter()
        self._lock = threading.Lock()
        self.exit_codes: Counter[str] = Counter()

    def work(self, until: threading.Event) -> None:
        """Ask and tell until ``until``; then report everything that was handed out."""
        askers = [threading.Thread(target=self._ask, args=(i, until)) for i in range(2)]
        tellers = [threading.Thread(target=self._tell, args=(i,)) for i in range(2)]
        for thread in (*askers, *tellers):
            thread.start()
        for thread in askers:
            thread.join()
        for tables in self._tables:
            tables.put(None)
        for thread in tellers:
            thread.join()

    def _ask(self, number: int, until: threading.Event) -> None:
        driver = Driver(self._folder)
        for n in itertools.count():
            if until.is_set():
                break
            table = self._folder / f"table-{number}-{n}.csv"
            code = driver.command("ask", str(self._folder / "run"), "-n", "10", "-o", str(table))
            self.exit_codes[f"ask: {code}"] += 1
            if code == 0:
                self._fill_in(table, is_new=True)
                for tables in self._tables:
                    tables.put(table)
        driver.close()

    def _fill_in(self, table: Path, *, is_new: bool) -> None:
        rows = pd.read_csv(table)
        rows["activity"] = [activity(word) for word in rows[rows.columns[1]]]
        rows.to_csv(table, index=False)
        with self._lock:
            self._handed_out.update(rows["id"] if is_new else [])

    def _tell(self, number: int) -> None:
        driver = Driver(self._folder)
        while (table := self._tables[number].get()) is not None:
            for _ in range(20):  # a table that could not be recorded is told again
                code = driver.command("tell", str(self._folder / "run"), str(table), "--yes")
                self.exit_codes[f"tell: {code}"] += 1
                if code == 0:
                    break
        driver.close()

    def check(self, tally: Tally) -> None:
        """Report what was handed out to an `ask` that ended before its table was written; then compare the ledger."""
        driver = Driver(self._folder)
        rest = self._folder / "rest.csv"
        if driver.command("ask", str(self._folder / "run"), "--again", "-o", str(rest)) == 0:
            self._fill_in(rest, is_new=False)
            assert driver.command("tell", str(self._folder / "run"), str(rest), "--yes") == 0
        driver.close()
        with open_ledger(self._url) as ledger:
            words = {c.id: c.object for c in ledger.candidates()}
            answers = {e.candidate_id: e.values for e in ledger.evaluations()}
            n_rows = len(ledger.evaluations())
        tally.campaigns, tally.answers, tally.values = 1, len(answers), len(answers)
        tally.wrong = sum(values != (activity(words[key]),) for key, values in answers.items())
        tally.missing = sum(key not in answers for key in self._handed_out)
        tally.paid_twice = sum(n > 1 for n in self._handed_out.values())
        tally.unexplained = tally.paid_twice + n_rows - len(answers)


def activity(word: str) -> float:
    """Return what people measure for a word."""
    return word.count("G") + 0.5 * word.count("GA")


def disturb(server: PostgresqlServer, tally: Tally, until: threading.Event, chance: random.Random) -> None:
    """Stop or kill the server again and again, and start it after a while."""
    while not until.wait(chance.uniform(*SERVER_PAUSE)):
        name = chance.choice(["server stopped", "server killed"])
        server.stop_at_once() if name == "server stopped" else server.kill()
        time.sleep(chance.uniform(0.0, 3.0))
        server.start()
        tally.faults[name] += 1


def soak(minutes: float, seed: int, folder: Path, shape: Shape = SHAPE) -> tuple[list[Tally], Counter[str]]:
    """Run both stations for a while.

    Args:
        minutes: how long there are faults; the campaign under way at the end is finished without.
        seed: of the campaigns and the faults.
        folder: an empty folder.
        shape: the size of the machine's campaigns, and how often faults are injected.

    Returns:
        The counts of both stations, and of the exit codes of `ask` and `tell`.
    """
    machine, people = Tally("machine"), Tally("people")
    end, quiet = threading.Event(), threading.Event()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(PostgresqlServer())
        lab = People(folder / "people", server.new_database())
        station = Station(server)
        stack.callback(station.close)
        driver = Driver(folder)
        stack.callback(driver.close)
        pool = stack.enter_context(ThreadPoolExecutor(2))
        last = time.monotonic() + 60 * minutes
        work = pool.submit(lab.work, end)
        disturbance = pool.submit(disturb, server, machine, quiet, random.Random(seed))

        def is_fault_due() -> bool:
            if disturbance.done():  # with an error: a soak without disturbance shows nothing
                disturbance.result()
            if time.monotonic() < last:
                return True
            quiet.set()  # the campaign under way is finished in peace
            return False

        try:
            while is_fault_due():
                number = machine.campaigns
                campaign = FaultCampaign(folder / f"campaign{number}", station, driver, machine, seed + number, shape)
                campaign.run(is_fault_due)
                print(f"{machine.answers} answers, {sum(machine.faults.values())} faults", flush=True)
        finally:
            quiet.set()
            try:
                disturbance.result()
            finally:
                server.start()
                end.set()
                work.result()
        lab.check(people)
    return [machine, people], lab.exit_codes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--note", default="", help="on the machine, for the row")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="al-loop-soak-") as folder:
        tallies, exit_codes = soak(arguments.minutes, arguments.seed, Path(folder))
    minutes = (time.monotonic() - start) / 60
    answers = sum(t.answers for t in tallies)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)  # without the database server
    row = {
        "date": date.today().isoformat(),
        "cores": os.cpu_count(),
        "minutes": round(minutes, 1),
        "CPU minutes": round((usage.ru_utime + usage.ru_stime) / 60, 1),
        "mean load": round(os.getloadavg()[2], 1),
        "faults": sum(n for t in tallies for kind, n in t.faults.items() if not kind.startswith("(")),
        "answers": answers,
        "answers an hour": round(60 * answers / minutes),
        "lost": sum(t.missing + t.unanswered for t in tallies),
        "wrong": sum(t.wrong + t.changed for t in tallies),
        "twice": sum(t.paid_twice for t in tallies),
        "twice, not in flight": sum(t.unexplained for t in tallies),
        "note": arguments.note,
    }
    print("\n".join(f"{key:>22}  {value}" for key, value in row.items()))
    kinds = sum((t.faults for t in tallies), Counter()) + exit_codes
    print("\n".join(f"{n:>6}  {kind}" for kind, n in sorted(kinds.items())))
    append_row(arguments.out / "soak.csv", row)
    if not all(t.is_clean for t in tallies):
        raise SystemExit("FAILED: answers are missing, changed, wrong or were paid for twice")


if __name__ == "__main__":
    main()
