"""GFlowNet-EM and inside-EM on grammars with known truth, context-free and with rules that depend on a sister.

    python benchmarks/latent/grammar.py      # 6 CPU minutes a seed for the first grammar, 15 for the other

5 nonterminals, 10 preterminals with a terminal each, 1,000 sentences of 2 to 10 words (500 others for testing).
All methods begin with the same tables. For the context-free grammar the peer is inside-EM. For the one whose rules
depend on a node's left sister, inside-EM fits the wrong, context-free model, and the peer that is right is exact EM of
the larger grammar with pairs of a nonterminal and a context as symbols (in tests equal to enumeration of all trees).

Prints test log-likelihoods in nats per word (level: within 0.02, with sisters within 0.05), the F1 of spans (whole
sentences aside; a tree against itself has 1), by the same decoder from span probabilities of 100 draws or exact ones,
and KL(q || posterior) on sentences of at most 8 words (level: 0.05), as the mean over 32 draws for each of log q minus
the exact log-posterior: from the root down each tree has one history, so that no bound is needed. Writes
grammar_em.csv.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from functools import partial
from pathlib import Path
from typing import Literal

import pandas as pd
import torch
from torch import Tensor

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.latent import EM, Grammar, fit
from al_loop.latent.em import Round
from al_loop.latent.posterior import Posterior
from al_loop.latent.words import lengths_of
from benchmarks.support.resumable import measure_missing

RESULTS = Path(__file__).parents[1] / "results"
RUNS = Path("runs/grammar_em")
N_TEST, N_ROUNDS = 500, 40
SETTINGS = EM(
    rounds=20,
    e_steps=60,
    warmup=300,
    final_steps=480,
    batch_size=48,
    hidden=16,
    layers=1,
    lr=1e-2,
    sleep=2.0,
    backward="uniform",
    moves=0,
    draws=8,
    weighted=True,
    average=0.25,
    report_every=5,
)
WORDS = "abcdefghij"
ARMS = {
    "truth": "none",
    "inside-EM": "none",
    "GFlowNet-EM": "none",
    "truth, sisters": "sibling",
    "inside-EM, sisters": "none",
    "exact EM, sisters": "sibling",
    "GFlowNet-EM, sisters": "sibling",
}


def problem(arm: str, seed: int, n_train: int = 1000) -> tuple[Grammar, Grammar, Tensor, Tensor, Tensor]:
    """Return the true grammar, the one to fit, training sentences, test sentences, and the trees of these."""
    generator = torch.Generator().manual_seed(seed)
    truth = Grammar(WORDS, 10, 5, 10, "sibling" if "sisters" in arm else "none")
    truth.randomise(generator, 0.3, 0.5)
    with torch.no_grad():  # each preterminal has its word
        truth.emission.copy_(torch.eye(10, dtype=torch.float64).clamp(min=1e-9).log().log_softmax(1))
    x, _ = truth.sample(n_train, generator)
    test, trees = truth.sample(N_TEST, generator)
    context: Literal["none", "sibling"] = "sibling" if ARMS[arm] == "sibling" else "none"
    model = Grammar(WORDS, 10, 5, 10, context, order="top_down")
    model.initialise(x, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        model.emission.copy_(truth.emission)
    return truth, model, x, test, trees


def decode(probability: Tensor, n_words: int) -> set[tuple[int, int]]:
    """Return the spans of the tree with the largest expected number of correct ones, the whole sentence aside."""
    best = {(i, i): (0.0, frozenset[tuple[int, int]]()) for i in range(n_words)}
    table = probability.tolist()
    for width in range(2, n_words + 1):
        for i in range(n_words - width + 1):
            j = i + width - 1
            score, k = max((best[i, k][0] + best[k + 1, j][0], -k) for k in range(i, j))
            inner = best[i, -k][1] | best[1 - k, j][1]
            best[i, j] = (score + table[i][j], inner | {(i, j)})
    return set(best[0, n_words - 1][1]) - {(0, n_words - 1)}


def f1(model: Grammar, probability: Tensor, x: Tensor, trees: Tensor) -> float:
    """Return the F1 of spans over all sentences, the whole sentences aside."""
    right = n_found = n_true = 0
    for row, tree, n in zip(probability, model.spans(trees), lengths_of(x).tolist(), strict=True):
        found = decode(row, n)
        true = {(i, j) for i, j in tree.nonzero().tolist()} - {(0, n - 1)}
        right, n_found, n_true = right + len(found & true), n_found + len(found), n_true + len(true)
    return 2 * right / max(n_found + n_true, 1)


def drawn_spans(posterior: Posterior, x: Tensor, n: int = 100) -> Tensor:
    """Return the frequencies of spans among draws, shape m x length x length."""
    assert isinstance(posterior.model, Grammar)
    model = posterior.model
    drawn = posterior.draw(x, n, seed=1)
    return torch.stack([model.spans(z).mean(0) for z in drawn])


def show(model: Grammar, x: Tensor, done: Round) -> None:
    """Print how far a fit is."""
    if done.report is not None:
        per_word = float(model.log_likelihood(x).mean()) / float(lengths_of(x).double().mean())
        print(f"  {done.number}: {per_word:.4f} per training word, KL {done.report.kl:.3f}", flush=True)


def measure(arm: str, seed: int, n_train: int = 1000) -> pd.DataFrame:
    """Fit by one method, and return one row."""
    truth, model, x, test, trees = problem(arm, seed, n_train)
    began, posterior = time.process_time(), None
    if arm.startswith("truth"):
        model = copy.deepcopy(truth)
    elif arm.startswith("GFlowNet"):
        state = RUNS / f"{arm.replace(', ', '-')}-{seed}-{n_train}.checkpoint"
        state.parent.mkdir(parents=True, exist_ok=True)
        posterior = fit(
            model, x, SETTINGS, seed=seed, initialise=False, checkpoint=state, on_round=partial(show, model, x)
        ).posterior
    else:
        for _ in range(N_ROUNDS):
            model.exact_step(x)
    seconds = time.process_time() - began
    n_words = float(lengths_of(test).double().mean())
    row = {"arm": arm, "seed": seed, "per_word": float(model.log_likelihood(test).mean()) / n_words}
    row["train_per_word"] = float(model.log_likelihood(x).mean()) / float(lengths_of(x).double().mean())
    probability = model.span_probabilities(test) if posterior is None else drawn_spans(posterior, test)
    row["f1"] = f1(model, probability, test, trees)
    row["f1_exact_posterior"] = f1(model, model.span_probabilities(test), test, trees)
    short = test[lengths_of(test) <= 8]
    report = posterior.report(short, 32) if posterior is not None else None
    row["kl"] = float("nan") if report is None else report.kl
    row["effective"] = float("nan") if report is None else report.effective
    return pd.DataFrame([{**row, "cpu_s": seconds}])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sentences", type=int, default=1000, help="for training")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    name = "grammar_em.csv" if options.sentences == 1000 else f"grammar_em_{options.sentences}.csv"
    table = measure_missing(
        options.out / name,
        options.arms,
        options.seeds,
        lambda arm, seed: measure(arm, seed, options.sentences),
        "per_word",
    )
    print(table.round(4).to_string(index=False))
    means = table.groupby("arm")["per_word"].mean()
    for arm, peer, level in (
        ("GFlowNet-EM", "inside-EM", 0.02),
        ("GFlowNet-EM, sisters", "exact EM, sisters", 0.05),
        ("inside-EM, sisters", "exact EM, sisters", None),
    ):
        if {arm, peer} <= set(means.index):
            note = "" if level is None else f" (level: {level})"
            print(f"{arm}: {means[peer] - means[arm]:+.4f} nats per word behind {peer}{note}")


if __name__ == "__main__":
    main()
