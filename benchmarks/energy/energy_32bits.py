"""Energies of seven two-dimensional densities at 32 bits, the published protocol of EB-GFN.

    python benchmarks/energy/energy_32bits.py      # on one core 20 minutes for each density
    python benchmarks/energy/energy_32bits.py --densities moons --device cuda --log-z moons

A policy learns by maximum likelihood (`base_steps`), then a network that is added to its log-likelihood, and the
policy with it (`steps`). The negative log-likelihood of the sampler is exact, since words are written from left to
right, over 100,000 words; that of the energy needs log Z, which is estimated from 20,000 draws of the sampler, with
its standard error, and for the densities of `--log-z`, on a GPU, summed over all 2^32 words (Zhang et al. 2022 have
bounds). The lower limit is the entropy of the discretised data: the differential entropy, estimated from nearest
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
from al_loop.energy.likelihood import PolicyLikelihood
from al_loop.gflownet.evaluation import evidence_bounds, log_likelihood
from al_loop.gflownet.reward import StateReward
from benchmarks.support.densities import GENERATORS, sample
from benchmarks.support.resumable import measure_missing

RESULTS = Path(__file__).parents[1] / "results"
N_BITS, N_TEST, N_DRAWS = 32, 100_000, 20_000
CHUNK = 1 << 18
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
        words = (index[:, None] >> place) & 1
        scores = model.scores(model.inputs(words)).double()
        if isinstance(model.base, PolicyLikelihood):  # without its cache of words
            generator = torch.Generator(device)
            scores += log_likelihood(model.environment, model.base.policy, words, 1, generator=generator)
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
    began, began_cpu = time.monotonic(), time.process_time()
    model = energy.learn(
        {"kind": "assignment", "alphabet": "01", "length": N_BITS, "order": "left_to_right"},
        sample(density, size.words, N_BITS, 2 * seed),
        energy={"kind": "mlp", "hidden": 256, "layers": 2},
        sampler={
            "policy": {"kind": "masked_autoregressive"},
            "hidden": size.hidden,
            "layers": size.layers,
            "lr": size.lr,
            "device": size.device,
        },
        base_steps=size.base_steps,
        steps=size.steps,
        batch_size=size.batch,
        data_batch=2 * size.batch,
        lr=1e-3,
        settle=0.25,
        validation=5_000 / size.words,
        validations=4,
        seed=seed,
        monitor=energy.Monitor(report=partial(print, flush=True)),
    )
    row = {"arm": density, "seed": seed, "seconds": time.monotonic() - began, "cpu_s": time.process_time() - began_cpu}
    row |= {"base_steps": size.base_steps, "steps": size.steps, "batch": size.batch, "entropy": ENTROPY[density]}
    test = torch.as_tensor(sample(density, N_TEST, N_BITS, 2 * seed + 1)).to(device)
    policy, scorer = model.policy.to(device), model.energy.to(device)
    generator = torch.Generator(device).manual_seed(seed)
    log_q = torch.cat(
        [log_likelihood(model.environment, policy, part, 1, generator=generator) for part in test.split(10_000)]
    )
    row |= {"sampler_nll": -float(log_q.mean()), "sampler_error": float(log_q.std()) / N_TEST**0.5}
    bounds = evidence_bounds(
        model.environment, policy, StateReward(scorer), N_DRAWS, generator=generator, backward="uniform"
    )
    with torch.no_grad():
        mean_score = float(torch.cat([scorer(part) for part in test.split(10_000)]).double().mean())
    row |= {"energy_nll": bounds.log_z - mean_score, "log_z": bounds.log_z, "log_z_error": bounds.log_z_error}
    row |= {"effective_share": bounds.effective_share, "learned_log_z": model.report.learned_log_z}
    if density in size.log_z:
        row["exact_log_z"] = log_z_of_all_words(scorer, N_BITS, device)
    return pd.DataFrame([row])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--densities", nargs="+", default=list(GENERATORS), choices=list(GENERATORS))
    parser.add_argument("--log-z", nargs="*", default=[], choices=list(GENERATORS), help="sum over all words")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--base-steps", type=int, default=12_000, help="steps of maximum likelihood")
    parser.add_argument("--steps", type=int, default=300, help="steps of the energy and the policy")
    parser.add_argument("--batch", type=int, default=256, help="draws in a step; twice as many words of the data")
    parser.add_argument("--words", type=int, default=2_000_000, help="words to learn from")
    parser.add_argument("--hidden", type=int, default=1024, help="width of the policy")
    parser.add_argument("--layers", type=int, default=2, help="hidden layers of the policy")
    parser.add_argument("--lr", type=float, default=2e-3, help="learning rate of the policy")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder of the results")
    options = parser.parse_args()
    if not options.device.startswith("cpu") and not torch.cuda.is_available():
        print("not measured: this machine has no GPU")
        return
    torch.set_num_threads(1)
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
