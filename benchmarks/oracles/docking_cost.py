"""CPU time, score and reproducibility of dockings against their exhaustiveness.

    .venv/bin/python benchmarks/oracles/docking_cost.py       # about 15 minutes on one core

The docking oracle docks eight ligands into soluble epoxide hydrolase (PDB 4JNC, the shipped receptor), with three
seeds. The CPU time includes the whole call: conformer, preparation, search and pose files. The grid maps, computed once
per process, are measured separately. The dockings of low exhaustiveness are then repeated in a new process, in the
opposite order, and must give identical scores. Prints a table per ligand, writes docking_cost.csv and docking_cost.png.

Doubling the exhaustiveness doubles the time and includes the same searches, yet the score may get slightly worse: Vina
ranks poses by inter- plus intramolecular energy and reports the intermolecular part of the best, and it searches on a
grid but scores without one.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from al_loop.oracles.base import evaluate_all
from al_loop.oracles.docking import Docking

BENCHMARKS = Path(__file__).parents[1]
#: from small and rigid to large and flexible; DCU and TPPU are known inhibitors of the enzyme
LIGANDS = {
    "ethanol": "CCO",
    "naphthalene": "c1ccc2ccccc2c1",
    "paracetamol": "CC(=O)Nc1ccc(O)cc1",
    "DCU": "O=C(NC1CCCCC1)NC1CCCCC1",
    "decanoic acid": "CCCCCCCCCC(=O)O",
    "oseltamivir": "CCC(CC)O[C@@H]1C=C(C[C@@H]([C@H]1NC(=O)C)N)C(=O)OCC",
    "TPPU": "CCC(=O)N1CCC(CC1)NC(=O)Nc1ccc(OC(F)(F)F)cc1",
    "imatinib": "Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1Nc1nccc(n1)-c1cccnc1",
}
BLUES = ("#a9cbe0", "#6a9fc4", "#2f6f9f", "#123a5c", "#061a2c")


@dataclass(frozen=True)
class Job:
    """One docking to measure."""

    ligand: str
    exhaustiveness: int
    seed: int


def dock(job: Job) -> dict[str, float | str]:
    """Measure CPU time and score of one call, after a call that computes the maps."""
    oracle = Docking(exhaustiveness=job.exhaustiveness, seed=job.seed)
    evaluate_all(oracle, ["O"])
    started = time.process_time()
    outcome = evaluate_all(oracle, [LIGANDS[job.ligand]])[0]
    seconds = time.process_time() - started
    assert outcome.values is not None, outcome.failure
    pose = outcome.artifacts["pose.pdbqt"]
    assert isinstance(pose, bytes)
    return {
        "ligand": job.ligand,
        "smiles": LIGANDS[job.ligand],
        "heavy_atoms": sum(line[77:79].strip() not in (b"H", b"HD") for line in pose.splitlines() if b"ATOM" in line),
        "rotatable_bonds": sum(line.startswith(b"BRANCH") for line in pose.splitlines()),
        "exhaustiveness": job.exhaustiveness,
        "seed": job.seed,
        "cpu_s": seconds,
        "score": outcome.values[0],
    }


def repeat(jobs: Sequence[Job]) -> list[float]:
    """Return the scores of some dockings; called in a new process."""
    return [float(dock(job)["score"]) for job in jobs]


def maps(receptor: str) -> dict[str, float | str]:
    """Measure CPU time and memory of a receptor's maps; called in a new process."""
    oracle = Docking(receptor)
    oracle.check()  # imports the libraries
    before, started = psutil.Process().memory_info().rss, time.process_time()
    oracle._engine("docking_score")
    seconds = time.process_time() - started
    (site,) = oracle._read().values()
    edges = " x ".join(f"{edge:g}" for edge in site.box_size)
    megabytes = (psutil.Process().memory_info().rss - before) / 1e6
    return {"receptor": receptor, "box_A": edges, "cpu_s": seconds, "MB": megabytes}


def print_tables(table: pd.DataFrame) -> None:
    """Print a table per ligand, with a line per exhaustiveness."""
    for ligand, of_ligand in table.groupby("ligand", sort=False):
        first, seeds = of_ligand.iloc[0], sorted(set(of_ligand["seed"]))
        print(f"\n{ligand}  {first['smiles']}")
        print(
            f"  {first['heavy_atoms']} heavy atoms; rotatable bonds, including those to OH: {first['rotatable_bonds']}"
        )
        print(f"  exhaustiveness   CPU s   score by seed {', '.join(map(str, seeds))} (kcal/mol)   range")
        for exhaustiveness, rows in of_ligand.groupby("exhaustiveness"):
            scores = rows.sort_values("seed")["score"].to_numpy()
            cells = "  ".join(f"{score:8.3f}" for score in scores)
            print(f"  {exhaustiveness:14}{rows['cpu_s'].mean():8.2f}   {cells}{np.ptp(scores):14.3f}")


def plot(table: pd.DataFrame, path: Path) -> None:
    """Plot the time against the exhaustiveness (left), and the scores, one row per ligand (right)."""
    names = list(dict.fromkeys(table["ligand"]))
    levels = sorted(set(table["exhaustiveness"]))
    figure = Figure(figsize=(10.5, 4.6), dpi=140, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))

    means = table.groupby(["ligand", "exhaustiveness"])["cpu_s"].mean().unstack().loc[names, levels]
    label_y = -np.inf
    for name, seconds in means.sort_values(levels[-1]).iterrows():
        left.plot(levels, seconds, color="#2f6f9f", marker="o", markersize=3.5, linewidth=1.6)
        label_y = max(np.log10(seconds.iloc[-1]), label_y + 0.11)  # keep the labels apart
        left.text(levels[-1] * 1.08, 10**label_y, name, va="center", fontsize=9)
    left.set(xscale="log", yscale="log", xlabel="exhaustiveness", ylabel="CPU seconds per docking")
    left.set_xlim(levels[0] * 0.9, levels[-1] * 2.3)
    left.set_xticks(levels, map(str, levels))
    left.xaxis.set_minor_locator(NullLocator())
    left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    left.yaxis.set_minor_locator(NullLocator())
    left.yaxis.set_major_formatter("{x:g}")
    left.set_title("time is proportional to exhaustiveness", loc="left", fontsize=10)

    best = table.groupby("ligand")["score"].min()
    for row, name in enumerate(names):
        right.axhspan(row - 0.5, row + 0.5, color="#f4f4f4" if row % 2 else "white", linewidth=0)
        for i, level in enumerate(levels):
            rows = table[(table["ligand"] == name) & (table["exhaustiveness"] == level)]
            height = row + 0.62 * (i / max(1, len(levels) - 1) - 0.5)
            x = rows["score"] - best[name]
            right.plot([x.min(), x.max()], [height, height], color=BLUES[i], linewidth=1.2)
            right.scatter(x, [height] * len(rows), color=BLUES[i], s=20, zorder=3, label=None if row else str(level))
    labels = [f"{name} ({table.loc[table['ligand'] == name, 'rotatable_bonds'].iloc[0]})" for name in names]
    right.set_yticks(range(len(names)), labels)
    right.set_ylim(len(names) - 0.5, -0.5)
    right.tick_params(axis="y", length=0)
    right.set_xlabel("kcal/mol above the best score found")
    right.legend(title="exhaustiveness", frameon=False, fontsize=8, title_fontsize=8, loc="upper right")
    n_seeds = table["seed"].nunique()
    right.set_title(f"scores for {n_seeds} seeds (in brackets: rotatable bonds)", loc="left", fontsize=10)
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exhaustiveness", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--again-up-to", type=int, default=2, help="largest exhaustiveness to repeat")
    parser.add_argument("--ligands", nargs="+", choices=LIGANDS, default=list(LIGANDS))
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    arguments = parser.parse_args()

    spawn = multiprocessing.get_context("spawn")
    print("maps, computed once per process and receptor")
    for receptor in ("seh_4jnc", *(["dockstring:DRD2"] if importlib.util.find_spec("dockstring") else [])):
        with ProcessPoolExecutor(1, mp_context=spawn) as pool:
            row = pool.submit(maps, receptor).result()
        print(f"  {receptor:<16} box of {row['box_A']} Å: {row['cpu_s']:.1f} CPU s, {row['MB']:.0f} MB", flush=True)

    jobs = [
        Job(ligand, exhaustiveness, seed)
        for seed in range(1, arguments.seeds + 1)  # all dockings of a seed share its maps
        for ligand in arguments.ligands
        for exhaustiveness in sorted(arguments.exhaustiveness)
    ]
    rows = []
    for job in jobs:
        rows.append(dock(job))
        if job.exhaustiveness == max(arguments.exhaustiveness):
            print(f"seed {job.seed}: {job.ligand} docked", flush=True)
    table = pd.DataFrame(rows)
    print_tables(table)

    repeated = [job for job in jobs if job.exhaustiveness <= arguments.again_up_to][::-1]
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        scores = dict(zip(repeated, pool.submit(repeat, repeated).result(), strict=True))
    table["score_again"] = [scores.get(job, float("nan")) for job in jobs]
    n_same = int((table["score_again"] == table["score"]).sum())
    print(f"\nrepeated in a new process, in the opposite order: {n_same} of {len(repeated)} scores are identical")

    arguments.out.mkdir(parents=True, exist_ok=True)
    in_order = table.assign(nth=table["ligand"].map(list(LIGANDS).index)).sort_values(["nth", "exhaustiveness", "seed"])
    in_order.drop(columns="nth").to_csv(arguments.out / "docking_cost.csv", index=False, float_format="%.6g")
    plot(table, arguments.out / "docking_cost.png")
    if n_same < len(repeated):
        sys.exit("scores differ between two runs with the same seed")


if __name__ == "__main__":
    main()
