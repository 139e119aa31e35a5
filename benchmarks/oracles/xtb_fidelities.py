"""CPU time of the xtb oracle's three fidelities, and the differences between their values, on drug-like molecules.

    .venv/bin/python benchmarks/oracles/xtb_fidelities.py       # about 3 minutes on one core

Each molecule is measured twice at each fidelity: the ionisation potential alone (the oracle's default), and all three
quantities in one call. The CPU time includes the whole call with its conformers. Prints the total costs relative to the
cheapest fidelity, and for each quantity Spearman's rank correlation and the mean absolute difference between
fidelities. Writes xtb_fidelities.csv and xtb_fidelities.png.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from al_loop.oracles.base import evaluate_all
from al_loop.oracles.xtb import XTB, Quantity

BENCHMARKS = Path(__file__).parents[1]
MOLECULES = {
    "paracetamol": "CC(=O)Nc1ccc(O)cc1",
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "caffeine": "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "ibuprofen": "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
    "diazepam": "CN1C(=O)CN=C(c2ccccc2)c2cc(Cl)ccc21",
    "melatonin": "COc1ccc2[nH]cc(CCNC(C)=O)c2c1",
    "warfarin": "CC(=O)CC(c1ccccc1)c1c(O)c2ccccc2oc1=O",
    "trimethoprim": "COc1cc(Cc2cnc(N)nc2N)cc(OC)c1OC",
    "fluoxetine": "CNCCC(Oc1ccc(cc1)C(F)(F)F)c1ccccc1",
    "celecoxib": "Cc1ccc(cc1)-c1cc(nn1-c1ccc(cc1)S(N)(=O)=O)C(F)(F)F",
    "lidocaine": "CCN(CC)CC(=O)Nc1c(C)cccc1C",
    "propranolol": "CC(C)NCC(O)COc1cccc2ccccc12",
    "omeprazole": "COc1ccc2[nH]c(nc2c1)S(=O)Cc1ncc(C)c(OC)c1C",
    "ferrostatin-1": "CCOC(=O)c1ccc(NC2CCCCC2)c(N)c1",
    "liproxstatin-1": "Clc1cccc(CNC2=Nc3ccccc3NC23CCNCC3)c1",
}
FIDELITIES = tuple(fidelity.name for fidelity in XTB.fidelities)
QUANTITIES: list[Quantity] = ["ionisation_potential", "electron_affinity", "homo_lumo_gap"]
COLOURS = dict(zip(FIDELITIES, ("#a9cbe0", "#4a8ab8", "#123a5c"), strict=True))


def measure(oracle: XTB, smiles: str) -> dict[str, float | str]:
    """Measure a molecule; return values, CPU seconds and number of gradients, or the message of a ``failure``."""
    started = time.process_time()
    (outcome,) = evaluate_all(oracle, [smiles])
    row: dict[str, float | str] = {"cpu_s": time.process_time() - started}
    if outcome.values is None:
        return {**row, "failure": str(outcome.failure)}
    values = zip((o.name for o in oracle.objectives), outcome.values, strict=True)
    info = {name: outcome.info[name] for name in ("n_atoms", "n_gradients", "energy_eh") if name in outcome.info}
    return {**row, **dict(values), **{name: float(str(number)) for name, number in info.items()}}


def measure_all() -> pd.DataFrame:
    """Return one row per molecule and fidelity."""
    alone, together = XTB(), XTB(outcome=QUANTITIES)
    evaluate_all(alone.at("optimised"), ["CCO"])  # load the libraries before the clock starts
    rows = []
    for name, smiles in MOLECULES.items():
        for fidelity in FIDELITIES:
            row = measure(together.at(fidelity), smiles)
            row["cpu_s_all_three"] = row.pop("cpu_s")
            row["cpu_s"] = measure(alone.at(fidelity), smiles)["cpu_s"]
            rows.append({"molecule": name, "fidelity": fidelity, **row})
        times = "  ".join(f"{row['fidelity']} {float(row['cpu_s']):6.2f} s" for row in rows[-3:])
        print(f"{name:<16} {times}", flush=True)
    table = pd.DataFrame(rows)
    return table[
        ["molecule", "n_atoms", "fidelity", "cpu_s", "cpu_s_all_three", "n_gradients", "energy_eh", *QUANTITIES]
    ]


def report(table: pd.DataFrame) -> None:
    sums = table.groupby("fidelity", sort=False)[["cpu_s", "cpu_s_all_three"]].sum()
    print(f"\nCPU seconds for {len(MOLECULES)} molecules, and ratio to {FIDELITIES[0]}")
    for column, label in (("cpu_s", "ionisation potential"), ("cpu_s_all_three", "all three quantities")):
        costs = "  ".join(f"{f} {s:7.1f} s ({s / sums[column].iloc[0]:.1f})" for f, s in sums[column].items())
        print(f"  {label:<22} {costs}")
    print("\nbetween fidelities     rank correlation   mean and largest difference (eV)")
    for quantity in QUANTITIES:
        wide = table.pivot(index="molecule", columns="fidelity", values=quantity)
        for low, high in itertools.combinations(FIDELITIES, 2):
            difference = (wide[low] - wide[high]).abs()
            rank = wide[low].rank().corr(wide[high].rank())
            label = f"{quantity}: {low} and {high}"
            print(f"  {label:<50} {rank:6.3f} {difference.mean():10.3f} {difference.max():10.3f}")


def plot(table: pd.DataFrame, path: Path) -> None:
    figure = Figure(figsize=(10, 4.2), dpi=130, layout="constrained")
    left, right = figure.subplots(1, 2)
    for fidelity, of_fidelity in table.groupby("fidelity", sort=False):
        mean = of_fidelity["cpu_s"].mean()
        label = f"{fidelity} (mean {mean:.2g} s)"
        left.scatter(of_fidelity["n_atoms"], of_fidelity["cpu_s"], s=28, color=COLOURS[fidelity], label=label)
    left.set(yscale="log", xlabel="atoms, including hydrogens", ylabel="CPU seconds per call")
    left.yaxis.set_major_formatter("{x:g}")
    left.yaxis.set_minor_locator(NullLocator())
    left.set_title("Cost of a call (ionisation potential)", fontsize=10)
    left.legend(frameon=False, fontsize=8)
    wide = table.pivot(index="molecule", columns="fidelity", values="ionisation_potential")
    best = wide[FIDELITIES[-1]]
    for fidelity in FIDELITIES[:-1]:
        difference = (wide[fidelity] - best).abs().mean()
        label = f"{fidelity} (mean difference {difference:.2f} eV)"
        right.scatter(best, wide[fidelity], s=28, color=COLOURS[fidelity], label=label)
    ends = [float(wide.min().min()) - 0.1, float(wide.max().max()) + 0.1]
    right.plot(ends, ends, color="0.6", linewidth=0.8, zorder=0)
    right.set(xlabel=f"{FIDELITIES[-1]} (eV)", ylabel="lower fidelity (eV)", xlim=ends, ylim=ends, aspect="equal")
    right.set_title("Ionisation potential by GFN2-xTB", fontsize=10)
    right.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    out = parser.parse_args().out
    table = measure_all()
    report(table)
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "xtb_fidelities.csv", index=False, float_format="%.6g")
    plot(table, out / "xtb_fidelities.png")


if __name__ == "__main__":
    main()
