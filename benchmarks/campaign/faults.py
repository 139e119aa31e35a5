"""Random fault injection into campaigns: committed answers must survive, and no evaluation may be paid for twice.

    python benchmarks/campaign/faults.py                       # at least 1,000 faults; about 45 minutes on two cores
    python benchmarks/campaign/faults.py --faults 60 --only postgresql --out /tmp

Four kinds of campaign, each repeated until its share of the faults is reached. In all of them the oracle kills its own
process, segfaults, hangs, raises, exits, and returns NaN, too many numbers and garbage; a service that it needs refuses
connections, a module is missing, and the disk is full, which is no object's failure; and the driver and the oracle's
workers are killed with SIGKILL. In addition:

    sqlite       nothing
    disk         the run is on a small file system, which is filled up and emptied
    postgresql   connections are cut, and the server is stopped as by a power cut and restarted
    ray          the campaign runs on a cluster of several nodes, one of which is lost and replaced

The oracle keeps an fsynced log of its own of every call and every answer, with which the ledger is compared. An answer
that was ever seen in the ledger must stay there, unchanged; every value must be correct; and the oracle may answer for
an object twice only if a call for it was in flight at a kill. Adds each campaign to faults.csv and faults_by_kind.csv,
and goes on from what they hold: a run that was interrupted resumes, and a larger number adds to a finished one.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.support.driver import Driver
from benchmarks.support.fault_injection import DEFAULT_SHAPE, SCENES, FaultCampaign, Tally
from benchmarks.support.tables import write_table

RESULTS = Path(__file__).parents[1] / "results"


def inject(
    name: str,
    n_faults: int,
    seed: int = 0,
    folder: Path | None = None,
    on_campaign: Callable[[Tally], None] = lambda tally: None,
    until: float = math.inf,
) -> Tally:
    """Run campaigns of one kind until enough faults were injected.

    Args:
        name: a key of ``SCENES``.
        n_faults: number of faults.
        seed: of the first campaign; the following ones count up from it.
        folder: an empty folder for the campaigns; None: a temporary one.
        on_campaign: receives the counts of each campaign at its end.
        until: the time (``time.monotonic``) after which no further campaign begins.

    Returns:
        The counts of all these campaigns.
    """
    tally = Tally(name)
    with contextlib.ExitStack() as stack:
        folder = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="al-loop-faults-")))
        scene = SCENES[name]()
        stack.callback(scene.close)
        driver = Driver(folder)
        stack.callback(driver.close)
        while sum(tally.faults.values()) < n_faults and time.monotonic() < until:
            number = tally.campaigns
            of_campaign = Tally(name)
            campaign = FaultCampaign(folder / f"campaign{number}", scene, driver, of_campaign, seed + number)
            n_before = sum(tally.faults.values()) + DEFAULT_SHAPE.n_objects * DEFAULT_SHAPE.rate
            # with the expected number of the oracle's faults in this campaign; the actual one is known at its end
            campaign.run(partial(_is_due, of_campaign, n_faults - n_before))
            on_campaign(of_campaign)
            tally.add(of_campaign)
            print(
                f"  {name}: campaign {number}: {sum(tally.faults.values())} faults, {tally.starts} starts", flush=True
            )
    return tally


def _is_due(tally: Tally, most: float) -> bool:
    return sum(tally.faults.values()) < most


class Tables:
    """The tables of results, to which each campaign is added.

    Args:
        folder: where faults.csv and faults_by_kind.csv are, or will be.
    """

    def __init__(self, folder: Path) -> None:
        self._path, self._by_kind = folder / "faults.csv", folder / "faults_by_kind.csv"
        self.rows: dict[str, dict[str, object]] = {}
        self.kinds: Counter[str] = Counter()
        if self._path.exists():
            with self._path.open(newline="") as file:
                for row in csv.DictReader(file):
                    numbers = {key: int(value) for key, value in row.items() if key != "campaigns"}
                    self.rows[row["campaigns"]] = {"campaigns": row["campaigns"], **numbers}
            with self._by_kind.open(newline="") as file:
                self.kinds.update({kind: int(n) for kind, n in list(csv.reader(file))[1:]})

    def n(self, name: str, column: str) -> int:
        """Return a number of the row of one kind of campaign; 0 if it has no row yet."""
        return int(str(self.rows.get(name, {}).get(column, 0)))

    def add(self, tally: Tally) -> None:
        """Add a campaign, and write both tables."""
        row = row_of(tally)
        numbers = {key: self.n(tally.name, key) + int(str(n)) for key, n in row.items() if key != "campaigns"}
        self.rows[tally.name] = {"campaigns": tally.name, **numbers}
        self.kinds += tally.faults
        write_table(self._path, [self.rows[name] for name in SCENES if name in self.rows])
        with self._by_kind.open("w", newline="") as file:
            csv.writer(file).writerows([("kind", "n"), *sorted(self.kinds.items())])


def row_of(tally: Tally) -> Mapping[str, object]:
    """Return the row of a tally for the results table."""
    return {
        "campaigns": tally.name,
        "n": tally.campaigns,
        "starts": tally.starts,
        "faults": sum(n for kind, n in tally.faults.items() if not kind.startswith("(")),
        "answers": tally.answers,
        "with a value": tally.values,
        "missing": tally.missing,
        "changed": tally.changed,
        "wrong": tally.wrong,
        "never answered": tally.unanswered,
        "paid twice": tally.paid_twice,
        "of these not in flight at a kill": tally.unexplained,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=1000, help="total number of faults, with those in the table")
    parser.add_argument("--only", choices=SCENES, action="append", help="default: all four, in equal shares")
    parser.add_argument("--minutes", type=float, default=math.inf, help="after which no further campaign begins")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the tables")
    arguments = parser.parse_args()
    names = arguments.only or list(SCENES)
    tables, is_clean = Tables(arguments.out), True
    until = time.monotonic() + 60 * arguments.minutes
    share = -(-arguments.faults // len(names))
    for name in sorted(names, key=lambda name: tables.n(name, "faults")):
        missing = share - tables.n(name, "faults")
        if missing > 0:
            tally = inject(name, missing, seed=tables.n(name, "n"), on_campaign=tables.add, until=until)
            is_clean = is_clean and tally.is_clean
    for row in tables.rows.values():
        print("\n".join(f"{key:>34}  {value}" for key, value in row.items()), end="\n\n")
    print("faults by kind:")
    for kind, n in sorted(tables.kinds.items(), key=lambda item: -item[1]):
        print(f"{n:>6}  {kind}")
    if not is_clean:
        raise SystemExit("FAILED: answers are missing, changed, wrong or were paid for twice")


if __name__ == "__main__":
    main()
