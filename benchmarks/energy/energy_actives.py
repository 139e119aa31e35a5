"""Energies of a series of molecules: triage of a library, and new molecules like the series.

    python benchmarks/energy/energy_actives.py                       # 4 CPU minutes a seed on one core

2,000 molecules of ZINC with a logP between 2 and 3 are the actives (those that consist of the vocabulary's blocks); 300
further actives and 900 other molecules are the library. Each seed draws them from one pool, which is kept in --runs.
Prints the AUC of the energy, of the likelihood of a sampler that was pretrained on the same actives, and of the
similarity to the nearest active (level: the energy's is at least that of both), the novel share of 500 draws (level:
95 %), and the mean similarity of a draw to its nearest active, beside that of held-out actives (level: within 10 %).
The settings were chosen with seed 100. Writes energy_actives.csv.
"""

from __future__ import annotations

import argparse
import lzma
import random
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

sys.path.append(str(Path(__file__).parents[2]))

from al_loop import energy
from al_loop.config import build
from al_loop.config.plugins import Part
from al_loop.energy.data import buildable, encode_data
from al_loop.environments.base import Environment
from al_loop.features.morgan import Morgan
from al_loop.gflownet.evaluation import log_likelihood
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.pretraining import EncodedObjects, PretrainingSettings, pretrain
from al_loop.smiles import read_smiles
from benchmarks.support.resumable import measure_missing

RESULTS = Path(__file__).parents[1] / "results"
ZINC = Path(__file__).parents[1] / "data" / "zinc250k.smi.xz"
N_ACTIVES, N_HELD_OUT, N_DECOYS, N_DRAWS = 2000, 300, 900, 500
N_POOL_ACTIVES, N_POOL_DECOYS = 3500, 1500  # of which each seed takes a part
POOL = "molecules.smi.xz"  # actives, an empty line, and the others
LOWEST, HIGHEST = 2.0, 3.0  # logP of an active
SPACE: dict[str, Any] = {"kind": "fragments", "vocabulary": "zinc", "max_atoms": 32}  # as in energy_actives.yaml
SETTINGS: dict[str, Any] = {
    "steps": 600,
    "batch_size": 64,
    "data_batch": 64,
    "lr": 1e-3,
    "decay": 1e-3,
    "patience": 4,
    "base_steps": 800,
}
PRETRAINING = PretrainingSettings(steps=800, batch_size=64, validation=0.1)
N_HISTORIES = 10


def molecules(zinc: Path, folder: Path, seed: int) -> tuple[list[str], list[str]]:
    """Return actives and other molecules of the space, drawn from a pool.

    Args:
        zinc: ZINC, from which the pool is chosen.
        folder: the folder of the pool, which is written unless it is there.
        seed: chooses them among the pool.
    """
    pool = folder / POOL
    if not pool.exists():
        folder.mkdir(parents=True, exist_ok=True)
        actives, others = _pool(zinc)
        pool.write_bytes(lzma.compress("\n".join([*actives, "", *others]).encode()))
    actives, others = (part.split("\n") for part in lzma.decompress(pool.read_bytes()).decode().split("\n\n"))
    chooser = random.Random(seed)
    return chooser.sample(actives, N_ACTIVES + N_HELD_OUT), chooser.sample(others, N_DECOYS)


def _pool(zinc: Path) -> tuple[list[str], list[str]]:
    """Return the first actives and the first other molecules of the space in a shuffled ZINC, distinct."""
    from rdkit.Chem.Crippen import MolLogP

    environment: Environment = build("environment", Part(**SPACE))
    with lzma.open(zinc, "rt") as file:
        lines = [line.split()[0] for line in file if line.strip()]
    random.Random(0).shuffle(lines)
    actives: dict[str, None] = {}
    others: dict[str, None] = {}
    for smiles in lines:
        is_active = LOWEST <= MolLogP(read_smiles(smiles)) <= HIGHEST
        chosen, limit = (actives, N_POOL_ACTIVES) if is_active else (others, N_POOL_DECOYS)
        if len(chosen) == limit:
            if len(actives) == N_POOL_ACTIVES and len(others) == N_POOL_DECOYS:
                break
            continue
        try:
            state = environment.encode([smiles])
        except ValueError:
            continue
        if bool(buildable(environment, state)):
            chosen.update(dict.fromkeys(environment.decode(state)))  # without stereochemistry, as in the space
    return list(actives), list(others)


def learned(folder: Path, kind: str, series: list[str], seed: int) -> Path:
    """Learn the energy of a series unless its file is there, and return the file; beside it are the CPU seconds."""
    file = folder / f"energy-{kind}-{seed}.pt"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        began = time.process_time()
        monitor = energy.Monitor(report=partial(print, flush=True), checkpoint=file.with_suffix(".checkpoint"))
        energy.learn(
            SPACE,
            series,
            energy={"kind": kind, "hidden": 128, "layers": 2},
            features={"kind": "morgan", "n_bits": 1024} if kind == "mlp" else None,
            sampler={"hidden": 96, "layers": 2, "lr": 1e-3},
            seed=seed,
            monitor=monitor,
            **SETTINGS,
        ).save(file)
        file.with_suffix(".seconds").write_text(str(time.process_time() - began))
    return file


def auc(positive: Tensor, negative: Tensor) -> float:
    """Return the area under the ROC curve of scores."""
    ranks = torch.cat([positive, negative]).double().argsort().argsort().double() + 1
    n, m = len(positive), len(negative)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def measure(zinc: Path, energies: Path, arm: str, seed: int) -> pd.DataFrame:
    """Return the row of an energy's kind."""
    torch.manual_seed(seed)
    actives, decoys = molecules(zinc, energies, seed)
    train, held_out = actives[:N_ACTIVES], actives[N_ACTIVES:]
    file = learned(energies, arm, train, seed)
    model, seconds = energy.load(file), float(file.with_suffix(".seconds").read_text())
    environment, morgan = model.environment, Morgan()

    policy = make_policy(environment, 96, 2)
    began = time.process_time()
    states = {name: encode_data(environment, names).states for name, names in (("a", held_out), ("d", decoys))}
    data = EncodedObjects(encode_data(environment, train).states, 0, "")
    pretrain(environment, data, policy, PRETRAINING, seed=seed)
    pretraining_s = time.process_time() - began
    generator = torch.Generator().manual_seed(seed)
    likelihoods = {
        name: torch.cat(
            [
                log_likelihood(environment, policy, part, N_HISTORIES, generator=generator, backward="uniform")
                for part in rows.split(100)
            ]
        )
        for name, rows in states.items()
    }
    of_train = morgan(train)

    def nearest(names: list[str]) -> Tensor:
        return torch.cat([morgan.similarity(part, of_train).max(1).values for part in morgan(names).split(100)])

    drawn = model.draw(N_DRAWS, seed=seed)
    new = [name for name in dict.fromkeys(drawn) if name not in set(train)]
    return pd.DataFrame(
        [
            {
                "arm": arm,
                "seed": seed,
                "cpu_s": seconds,
                "pretraining_cpu_s": pretraining_s,
                "auc": auc(model.score(held_out), model.score(decoys)),
                "auc_pretrain": auc(likelihoods["a"], likelihoods["d"]),
                "auc_nearest": auc(nearest(held_out), nearest(decoys)),
                "novel": np.mean([name not in set(train) for name in drawn]),
                "distinct": len(set(drawn)) / len(drawn),
                "similarity_draws": float(nearest(new).mean()),
                "similarity_held_out": float(nearest(held_out).mean()),
                "effective_share": model.report.effective_share,
                "energy_nll": model.report.energy_nll,
                "sampler_nll": model.report.sampler_nll,
            }
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zinc", type=Path, default=ZINC, help="a file of one SMILES a line, for the pool")
    parser.add_argument("--energies", nargs="+", default=["mlp"], choices=["mlp", "graph"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/energies"), help="the folder of the pool and the energies"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder of the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = measure_missing(
        options.out / "energy_actives.csv",
        options.energies,
        options.seeds,
        lambda arm, seed: measure(options.zinc, options.runs, arm, seed),
        "auc",
        options.first_seed,
    )
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
