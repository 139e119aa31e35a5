"""A grammar of part-of-speech tags by GFlowNet-EM and by inside-EM at equal time, on a GPU.

    python benchmarks/latent/brown_tags.py --device cuda     # 10 minutes on one GPU
    python benchmarks/latent/brown_tags.py --twin            # a small twin: 10 minutes on a CPU core

The terminals are the tags of sentences of 2 to 20 words (10 in the twin), reduced to their first part (``nn-hl`` is
``nn``), without punctuation, the rarer ones to one tag. 30 nonterminals and 60 preterminals (5 and 10); every tenth
sentence is held out. Both methods begin with the same tables and have the same time. Prints perplexities per word of
the held-out sentences, and words per second. Writes brown_tags.csv.
"""

from __future__ import annotations

import argparse
import copy
import lzma
import math
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.latent import EM, Alternation, Grammar
from al_loop.latent.words import lengths_of

BENCHMARKS = Path(__file__).parents[1]
SETTINGS = EM(
    rounds=1000,
    e_steps=50,
    warmup=100,
    batch_size=256,
    hidden=256,
    layers=3,
    undone=0.4,
    m_batch=1000,
    report_every=10**6,
)
TWIN = replace(SETTINGS, e_steps=10, warmup=20, batch_size=32, hidden=32, layers=1, m_batch=300)


def sentences(longest: int) -> list[list[str]]:
    """Return the tags of the sentences of at most ``longest`` words."""
    text = lzma.decompress((BENCHMARKS / "data" / "brown_tags.txt.xz").read_bytes()).decode()
    return [tags for line in text.splitlines() if len(tags := line.split()) <= longest]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--twin", action="store_true")
    parser.add_argument("--seconds", type=float, default=280.0, help="for each method")
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    options = parser.parse_args()
    if options.device == "cpu":
        torch.set_num_threads(1)
    longest, n_nonterminals, n_preterminals = (10, 5, 10) if options.twin else (20, 30, 60)
    tags = sentences(longest)
    common = [tag for tag, _ in Counter(tag for row in tags for tag in row).most_common(n_preterminals - 1)]
    letters = [*common, "other"]
    tags = [[tag if tag in common else "other" for tag in row] for row in tags]
    if options.twin:
        tags = tags[:1000]
    model = Grammar(letters, longest, n_nonterminals, n_preterminals)
    x = model.read(tags)
    held_out = torch.arange(len(x)) % 10 == 0
    train, test = x[~held_out], x[held_out]
    model.initialise(train, torch.Generator().manual_seed(0))
    em = replace(TWIN if options.twin else SETTINGS, device=options.device)
    print(f"{len(train):,} sentences, {int(lengths_of(train).sum()):,} words; {len(test):,} held out")
    rows = []
    for arm in ("GFlowNet-EM", "inside-EM"):
        fitted, n_words, n_rounds = copy.deepcopy(model).to(options.device), 0, 0
        alternation = Alternation(fitted, train, em) if arm == "GFlowNet-EM" else None
        data = train.to(options.device)
        began = time.monotonic()
        while time.monotonic() - began < options.seconds:
            if alternation is not None:
                n_steps = alternation.round().n_e_steps
                n_words += int(n_steps * em.batch_size * lengths_of(train).double().mean())
            else:
                rows_of_step = data[torch.randint(len(data), (min(len(data), em.m_batch or len(data)),))]
                fitted.exact_step(rows_of_step)
                n_words += int(lengths_of(rows_of_step).sum())
            n_rounds += 1
        seconds = time.monotonic() - began
        log_p = sum(float(fitted.log_likelihood(rows.to(options.device)).sum()) for rows in test.split(500))
        nll = -log_p / float(lengths_of(test).sum())
        row = {"arm": arm, "device": options.device, "is_twin": options.twin, "perplexity": math.exp(nll)}
        rows.append({**row, "rounds": n_rounds, "seconds": seconds, "words_per_s": n_words / seconds})
        print(pd.DataFrame(rows[-1:]).round(2).to_string(index=False), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(options.out / f"brown_tags{'_twin' if options.twin else ''}.csv", index=False)


if __name__ == "__main__":
    main()
