"""Energies of seven two-dimensional densities at 32 bits, the published protocol of EB-GFN, on a GPU.

    python benchmarks/energy/energy_32bits.py      # 15 GPU minutes (an estimate); without a GPU: "not measured"
    python benchmarks/energy/energy_32bits.py --densities moons --log-z moons

The negative log-likelihood of the sampler is exact, since words are written from left to right, over 100,000 words;
that of the energy needs log Z, which is summed over all 2^32 words for the densities of `--log-z` (Zhang et al. 2022
have bounds). The lower limit is the entropy of the discretised data: the differential entropy, estimated from nearest
neighbours within 0.004 nats, plus twice the log of the integer scale. Level: within 0.03 nats of it. Writes
energy_32bits.csv.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path

import pandas as pd
import torch

sys.path.append(str(Path(__file__).parents[2]))

from al_loop import energy
from al_loop.energy.energies.base import Energy
from al_loop.gflownet.evaluation import log_likelihood
from benchmarks.support.densities import GENERATORS, sample
from benchmarks.support.resumable import measure_missing

RESULTS = Path(__file__).parents[1] / "results"
N_BITS, N_TEST = 32, 100_000
CHUNK = 1 << 22
#: nats; see the docstring
ENTROPY = {
    "2spirals": 20.033,
    "8gaussians": 19.977,
    "circles": 20.550,
    "moons": 19.716,
    "pinwheel": 19.540,
    "swissroll": 20.138,
    "checkerboard": 20.677,  # exact: ln 32 + 17.2111
}


@torch.no_grad()
def log_z_of_all_words(model: Energy, n_bits: int, device: torch.device | str = "cpu", chunk: int = CHUNK) -> float:
    """Return log Z, summed over all 2^n_bits words in double precision.

    Args:
        model: the energy, on the device.
        n_bits: length of the words.
        device: where to compute.
        chunk: words computed at once.
    """
    place = torch.arange(n_bits - 1, -1, -1, device=device)
    total = torch.tensor(-torch.inf, dtype=torch.float64, device=device)
    for first in range(0, 1 << n_bits, chunk):
        index = torch.arange(first, min(first + chunk, 1 << n_bits), device=device)
        scores = model((index[:, None] >> place) & 1).double()
        total = torch.logaddexp(total, scores.logsumexp(0))
    return float(total)


def measure(density: str, seed: int, size: argparse.Namespace) -> pd.DataFrame:
    """Return the row of a density.

    Args:
        density: its name.
        seed: seed of the run.
        size: the options of the command.
    """
    device = torch.device(size.device)
    torch.set_float32_matmul_precision("high")
    began = time.monotonic()
    model = energy.learn(
        {"kind": "assignment", "alphabet": "01", "length": N_BITS, "order": "left_to_right"},
        sample(density, size.words, N_BITS, 2 * seed),
        energy={"kind": "mlp", "hidden": size.hidden, "layers": size.layers},
        sampler={"hidden": 512, "layers": 3, "lr": 2e-3, "device": size.device},
        steps=size.steps,
        batch_size=size.batch,
        data_batch=size.batch,
        lr=3e-3,
        settle=0.25,
        validation=0.0005,
        seed=seed,
        monitor=energy.Monitor(report=partial(print, flush=True)),
    )
    seconds = time.monotonic() - began
    test = torch.as_tensor(sample(density, N_TEST, N_BITS, 2 * seed + 1)).to(device)
    policy, scorer = model.policy.to(device), model.energy.to(device)
    generator = torch.Generator(device).manual_seed(seed)
    log_q = torch.cat(
        [log_likelihood(model.environment, policy, part, 1, generator=generator) for part in test.split(10_000)]
    )
    row = {"arm": density, "seed": seed, "seconds": seconds, "steps": size.steps, "batch": size.batch}
    row |= {"entropy": ENTROPY[density]}
    row |= {"sampler_nll": -float(log_q.mean()), "sampler_error": float(log_q.std()) / N_TEST**0.5}
    print(f"{density}: sampler {row['sampler_nll']:.4f} after {seconds:.0f} s", flush=True)
    if density in size.log_z:
        log_z = log_z_of_all_words(scorer, N_BITS, device)
        with torch.no_grad():
            scores = torch.cat([scorer(part) for part in test.split(10_000)]).double()
        row |= {"log_z": log_z, "learned_log_z": model.report.learned_log_z}
        row |= {"energy_nll": log_z - float(scores.mean())}
    return pd.DataFrame([row])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--densities", nargs="+", default=list(GENERATORS), choices=list(GENERATORS))
    parser.add_argument("--log-z", nargs="*", default=["8gaussians", "checkerboard"], choices=list(GENERATORS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=15_000)
    parser.add_argument("--batch", type=int, default=2048, help="draws, and words of the data, in a step")
    parser.add_argument("--words", type=int, default=5_000_000, help="words to learn from")
    parser.add_argument("--hidden", type=int, default=512, help="width of the energy")
    parser.add_argument("--layers", type=int, default=3, help="hidden layers of the energy")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder of the results")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("not measured: this machine has no GPU")
        return
    table = measure_missing(
        options.out / "energy_32bits.csv",
        options.densities,
        options.seeds,
        lambda density, seed: measure(density, seed, options),
        "sampler_nll",
    )
    print(table.round(4).to_string(index=False))


if __name__ == "__main__":
    main()
