"""Random fault injection into campaigns: committed answers must survive, and no evaluation may be paid for twice.

    python benchmarks/campaign/faults.py                       # at least 300 faults; about 15 minutes on two cores
    python benchmarks/campaign/faults.py --faults 60 --only postgresql

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
an object twice only if a call for it was in flight at a kill. Writes faults.csv and faults_by_kind.csv.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.support.driver import Driver
from benchmarks.support.fault_injection import DEFAULT_SHAPE, SCENES, FaultCampaign, Tally
from benchmarks.support.tables import write_table

RESULTS = Path(__file__).parents[1] / "results"


def inject(name: str, n_faults: int, seed: int = 0, folder: Path | None = None) -> Tally:
    """Run campaigns of one kind until enough faults were injected.

    Args:
        name: a key of ``SCENES``.
        n_faults: number of faults.
        seed: of the first campaign; the following ones count up from it.
        folder: an empty folder for the campaigns; None: a temporary one.

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
        while sum(tally.faults.values()) < n_faults:
            number = tally.campaigns
            campaign = FaultCampaign(folder / f"campaign{number}", scene, driver, tally, seed + number)
            n_from_oracle = (
                DEFAULT_SHAPE.n_objects * DEFAULT_SHAPE.rate
            )  # expected number for this campaign; the actual one is added at its end
            campaign.run(lambda n=n_from_oracle: sum(tally.faults.values()) + n < n_faults)
            print(
                f"  {name}: campaign {number}: {sum(tally.faults.values())} faults, {tally.starts} starts", flush=True
            )
    return tally


def rows(tallies: list[Tally]) -> Iterator[dict[str, object]]:
    """Yield the row of each tally for the results table."""
    for t in tallies:
        yield {
            "campaigns": t.name,
            "n": t.campaigns,
            "starts": t.starts,
            "faults": sum(n for kind, n in t.faults.items() if not kind.startswith("(")),
            "answers": t.answers,
            "with a value": t.values,
            "missing": t.missing,
            "changed": t.changed,
            "wrong": t.wrong,
            "never answered": t.unanswered,
            "paid twice": t.paid_twice,
            "of these not in flight at a kill": t.unexplained,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=320, help="total number of faults")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=SCENES, action="append", help="default: all four")
    parser.add_argument("--out", type=Path, help="default: benchmarks/results, if nothing is left out")
    arguments = parser.parse_args()
    names = arguments.only or list(SCENES)
    tallies = []
    for name in names:
        tallies.append(inject(name, -(-arguments.faults // len(names)), arguments.seed))
    table = list(rows(tallies))
    for row in table:
        print("\n".join(f"{key:>34}  {value}" for key, value in row.items()), end="\n\n")
    kinds = sum((t.faults for t in tallies), Counter())
    print("faults by kind:")
    for kind, n in sorted(kinds.items(), key=lambda item: -item[1]):
        print(f"{n:>6}  {kind}")
    out = arguments.out or (None if arguments.only else RESULTS)
    if out is not None:
        write_table(out / "faults.csv", table)
        with (out / "faults_by_kind.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("kind", "n"), *sorted(kinds.items())])
    if not all(t.is_clean for t in tallies):
        raise SystemExit("FAILED: answers are missing, changed, wrong or were paid for twice")


if __name__ == "__main__":
    main()
