"""Filling gaps with a tiny language model: four objectives against the exact posterior, also on held-out prompts.

    python benchmarks/language/infill.py            # 4 objectives x 3 seeds, about 2 CPU minutes each; resumable

Texts of 12 letters are written by a chain over 12 letters, of order 1 or 2 (`--orders`), and a transformer of our own
(width 64, 2 layers) is trained on them, and on as many texts with a filled gap in the form of the prompts (Hu et al.
tune after such training, too). A prompt shows the first and the last four letters of a text; the sampler fills the gap
with 1 to 4 letters, in proportion to the joint likelihood of the whole text under the frozen model. All 22,620 fillings
of a prompt are enumerated for the exact posterior p*. The sampler has all weights of the model to train, and 2,048
prompts.

Prints KL(q || p*) in nats before and after tuning, the mean over 16 training prompts and 16 held-out ones, and writes
infill.csv.

Level: at most .02 on training prompts, at most .1 on held-out ones.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.environments.tokens import Tokens
from al_loop.gflownet.policies.language import LanguagePolicy
from al_loop.language import Gap, Infill, TunedModel, TuneOptions, tune
from al_loop.language_models.small import SmallTransformer, fit
from al_loop.language_models.tokenizers import ListedTokens
from benchmarks.support.resumable import measure_missing

RESULTS = Path(__file__).parents[1] / "results"
RUNS = Path("runs/infill")
LETTERS = "abcdefghijkl"
OBJECTIVES = (
    "modified_sub_trajectory_balance",
    "trajectory_balance",
    "sub_trajectory_balance",
    "log_partition_variance",
)
COLUMNS = ["cpu_s", "kl_training_before", "kl_held_out_before", "kl_training", "kl_held_out"]
N_TRAINING, N_EXACT, LR = 2048, 16, 8e-4


def texts(n: int, order: int, seed: int) -> list[str]:
    """Return texts of a chain in which each letter depends on the one or two before it."""
    rng = np.random.default_rng(7)
    table = rng.dirichlet(np.full(12, 0.25), size=(12,) * order)
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        row = list(rng.integers(0, 12, 2))
        while len(row) < 12:
            row.append(rng.choice(12, p=0.9 * table[tuple(row[-order:])] + 0.1 / 12))
        rows.append("".join(LETTERS[i] for i in row))
    return rows


def language_model(order: int, steps: int) -> str:
    """Return the file of the language model, which is trained if it is not there."""
    path = RUNS / f"model-gaps-{order}-{steps}.pt"
    if path.exists():
        return str(path)
    tokenizer = ListedTokens(["<s>", "</s>", "_", *LETTERS], start="<s>", end="</s>")
    rows = texts(20_000, order, 0)
    sizes = np.random.default_rng(5).integers(1, 5, len(rows))
    with_gaps = [f"{row[:4]}_{row[4 + n : 8 + n]}{row[4 : 4 + n]}" for row, n in zip(rows, sizes, strict=True)]
    torch.manual_seed(0)
    model = SmallTransformer(tokenizer, width=64, layers=2, places=20)
    loss = fit(model, rows + with_gaps, steps=steps, batch_size=64)
    print(f"language model: {loss:.3f} nats per token", flush=True)
    RUNS.mkdir(parents=True, exist_ok=True)
    model.save(path)
    return str(path)


def gaps(n: int, order: int, seed: int) -> list[Gap]:
    """Return gaps in texts, each with a prompt of its own."""
    found: dict[tuple[str, str], Gap] = {}
    for text in texts(4 * n, order, seed):
        before, after = text[:4], text[8:]
        found.setdefault((before, after), Gap(before, after, prompt=f"{before}_{after}"))
    return list(found.values())[:n]


def divergence(environment: Tokens, policy: LanguagePolicy, chosen: list[Gap]) -> float:
    """Return the mean KL(q || p*) over prompts."""
    reward = Infill(chosen)
    environment = environment.with_prompts(reward.prompts)
    reward.bind(environment)
    of_these = TunedModel(environment, policy, reward)
    return float(np.mean([of_these.posterior(prompt).kl for prompt in reward.prompts]))


def measure(arm: str, seed: int, steps: int, model_steps: int) -> pd.DataFrame:
    objective, order = arm.split(", order ")
    name = language_model(int(order), model_steps)
    training = gaps(N_TRAINING + N_EXACT, int(order), 1)
    training, held_out = training[:N_TRAINING], training[N_TRAINING:]
    began = time.process_time()
    tuned = tune(
        name, [gap.prompt for gap in training], Infill(training), seed=seed, objective=objective, lora=None,
        steps=steps, lr=LR, decay=0.6, batch_size=96, per_prompt=16, buffer_share=0.0, min_tokens=1, max_tokens=4,
        forbidden=["_"], report_every=steps, report_draws=2, options=TuneOptions(),
    )  # fmt: skip
    seconds = time.process_time() - began
    row = {"arm": arm, "seed": seed, "steps": steps, "cpu_s": round(seconds, 1)}
    for when, policy in (("before", LanguagePolicy(tuned.environment, lora=0)), ("", tuned.policy)):
        for part, chosen in (("training", training[:N_EXACT]), ("held_out", held_out)):
            row["_".join(filter(None, ("kl", part, when)))] = divergence(tuned.environment, policy, chosen)
    print(row, flush=True)
    return pd.DataFrame([row])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--objectives", nargs="+", default=list(OBJECTIVES), choices=OBJECTIVES)
    parser.add_argument("--orders", type=int, nargs="+", default=[1], choices=[1, 2])
    parser.add_argument("--steps", type=int, default=3500)
    parser.add_argument("--model-steps", type=int, default=3000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = measure_missing(
        options.out / "infill.csv",
        [f"{objective}, order {order}" for order in options.orders for objective in options.objectives],
        options.seeds,
        lambda arm, seed: measure(arm, seed, options.steps, options.model_steps),
        "kl_held_out",
    )
    print(table.groupby("arm")[COLUMNS].mean().to_string(float_format="%.4f"))
    print("level: at most .02 on training prompts, at most .1 on held-out ones")


if __name__ == "__main__":
    main()
