"""GFlowNet-EM and exact EM of a discrete autoencoder on digits of 8 x 8 pixels, and what each aid contributes.

    python benchmarks/latent/digits.py      # 10 CPU minutes on one core for each seed

1,797 digits of scikit-learn after a threshold (1,397 for training), a 2 x 2 grid of 4 codes: the 256 codes of an image
can be enumerated. All arms make the same number of gradient steps on the same decoder; "exact" follows the gradient of
the exact log-likelihood. The masked sampler reads an image once for all codes. Prints the exact test NLL (level: within
0.1 nats of exact EM's), and the exact KL(q || posterior) on test and training images. Writes digits_em.csv.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pandas as pd
import torch
from sklearn.datasets import load_digits
from torch import Tensor

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.latent import EM, DiscreteVAE, fit
from benchmarks.support.resumable import measure_missing

RESULTS = Path(__file__).parents[1] / "results"
SETTINGS = EM(
    rounds=200,
    e_steps=10,
    m_steps=10,
    batch_size=128,
    lr=2e-3,
    lr_model=2e-3,
    hidden=128,
    layers=2,
    moves=2,
    objective="log_partition_variance",
    per_observation=4,
    sleep=0.5,
    floor=15.0,
    epsilon=0.02,
    report_every=200,
)
ARMS: dict[str, EM | None] = {
    "exact": None,
    "GFlowNet-EM": SETTINGS,
    "no sleep": replace(SETTINGS, sleep=0.0),
    "no moves": replace(SETTINGS, moves=0),
    "arg-max M-step": replace(SETTINGS, draws=8, best=True),
    "masked sampler, no moves": replace(SETTINGS, moves=0),
}


def data(model: DiscreteVAE) -> tuple[Tensor, Tensor]:
    """Return training and test images."""
    images = model.read((load_digits().images > 7).astype(float))
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return images[order[:1397]], images[order[1397:]]


def measure(arm: str, seed: int) -> pd.DataFrame:
    """Fit one arm, and return one row."""
    sampler: Literal["mlp", "masked_autoregressive"] = "masked_autoregressive" if "masked" in arm else "mlp"
    model, settings = DiscreteVAE(8, 8, 2, 4, 128, sampler=sampler), ARMS[arm]
    train, test = data(model)
    generator = torch.Generator().manual_seed(seed)
    model.initialise(train, generator)
    began, kl = time.process_time(), {"kl": float("nan"), "kl_train": float("nan")}
    if settings is None:
        optimizer = torch.optim.Adam(model.parameters(), lr=SETTINGS.lr_model)
        for _ in range(SETTINGS.rounds * SETTINGS.m_steps):
            rows = torch.randint(len(train), (SETTINGS.batch_size,), generator=generator)
            optimizer.zero_grad()
            (-model.log_evidence(train[rows]).mean()).backward()
            optimizer.step()
    else:
        result = fit(model, train, settings, seed=seed, initialise=False)
        last = result.rounds[-1].report
        assert last is not None
        kl = {"kl": result.posterior.report(test, 4).kl, "kl_train": last.kl}
    seconds = time.process_time() - began
    nll = {f"nll_{name}": -float(model.log_likelihood(x).mean()) for name, x in (("train", train), ("test", test))}
    return pd.DataFrame([{"arm": arm, "seed": seed, **nll, **kl, "cpu_s": seconds}])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = measure_missing(options.out / "digits_em.csv", options.arms, options.seeds, measure, "nll_test")
    means = table.groupby("arm", sort=False)[["nll_train", "nll_test", "kl", "kl_train", "cpu_s"]].mean()
    if "exact" in means.index:
        means["behind_exact"] = means["nll_test"] - means.loc["exact", "nll_test"]
    print(means.round(3).to_string())
    print("level: GFlowNet-EM at most 0.1 nats behind exact EM")


if __name__ == "__main__":
    main()
