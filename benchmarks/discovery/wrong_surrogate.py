"""A surrogate that is wrong on purpose, searched by a GFlowNet, by PPO and by a genetic algorithm at equal calls.

    python benchmarks/discovery/wrong_surrogate.py       # 3 seeds, about 5 min on one core; resumable

The truth is TFBind8 (all words measured). At the start 512 words are known: a random choice with true values (`fair`),
or words of the lower half, of which those that begin with GC are reported 0.5 too high (`biased`): an artefact of an
assay, with which one word of 16 is believed to be among the best. Five rounds follow. In each, a Gaussian process is
fitted to all data, each arm looks at its mean 6,400 times (repeats included) and measures 64 words, with true answers.

Samplers propose words in two ways: *draws* are the first 64 new words of its last draws (of the genetic algorithm: of
its last population), *best* are the 64 new words with the highest mean of all that it looked at. Reported are the
predicted and the measured mean of each batch, its share of words of the artefact, the mean of the 64 best words of
all rounds, and how different these are (mean Hamming distance).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.environments.sequence import Sequences as Words
from al_loop.features.one_hot import OneHot
from al_loop.gflownet import StateReward, Trainer, Training
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.random_objects import random_objects
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.trajectories import Trajectories
from al_loop.gflownet.trajectory_terms import log_probabilities
from al_loop.seeding import derive_seed
from al_loop.surrogates.gp import ExactGP
from benchmarks.discovery.tfbind8 import table
from benchmarks.support.discovery import RESULTS, mean_hamming_distance
from benchmarks.support.discovery_arms import Evolution
from benchmarks.support.ppo import clipped_steps
from benchmarks.support.resumable import measure_missing

LETTERS, LENGTH = "ACGT", 8
N_START, N_ROUNDS, BATCH, N_CALLS, DRAW = 512, 5, 64, 6400, 64
ARTEFACT, SHIFT = "GC", 0.5
STARTS = ("fair", "biased")


@dataclass
class Believed:
    """The surrogate's mean, which remembers what was looked at.

    Args:
        known: the value of each word as it was reported.
    """

    known: dict[str, float]
    seen: dict[str, float] = field(default_factory=dict)
    n_calls: int = 0

    @cached_property
    def environment(self) -> Words:
        """The words."""
        return Words(LETTERS, LENGTH, LENGTH)

    @cached_property
    def _model(self) -> Any:
        y = torch.tensor(list(self.known.values()), dtype=torch.float64)
        return ExactGP("hamming").fit(self._features(list(self.known)), y[:, None])

    @cached_property
    def _features(self) -> OneHot:
        return OneHot(LETTERS, LENGTH)

    def __call__(self, words: Sequence[str]) -> list[float]:
        """Return the means of words, each of which counts as a call."""
        self.n_calls += len(words)
        new = [word for word in dict.fromkeys(words) if word not in self.seen]
        if new:
            model = self._model
            means = model.mean + model.kernel.cross(model.prepare(self._features(new)), model.rows) @ model.alpha
            self.seen.update(zip(new, means.tolist(), strict=True))
        return [self.seen[word] for word in words]

    def log_reward(self, states: Tensor, beta: float) -> Tensor:
        """Return beta times the mean of terminal states, in spreads of the known values."""
        values = np.array(list(self.known.values()))
        means = torch.tensor(self(self.environment.decode(states)))
        return beta * (means - float(values.max())) / float(values.std())

    def new(self, words: Sequence[str]) -> list[str]:
        """Return the first distinct words without a value, of a batch's number."""
        return [word for word in dict.fromkeys(words) if word not in self.known][:BATCH]

    def best(self) -> list[str]:
        """Return the words without a value that have the highest means of all that were looked at."""
        return self.new(sorted(self.seen, key=lambda word: -self.seen[word]))


def gflownet(believed: Believed, seed: int, beta: float) -> list[str]:
    """Train a GFlowNet, and return draws from it."""
    reward = StateReward(partial(believed.log_reward, beta=beta))
    settings = Training(steps=N_CALLS // DRAW, batch_size=DRAW, lr=5e-3)
    trainer = Trainer(believed.environment, reward, settings, seed=seed)
    while believed.n_calls < N_CALLS:
        trainer.step()
    return _drawn(believed.environment, trainer.policy, seed)


def ppo(believed: Believed, seed: int, entropy: float = 0.02, lr: float = 3e-3) -> list[str]:
    """Maximise the mean by PPO with the network of the GFlowNet, and return draws from it.

    Args:
        believed: the surrogate.
        seed: source of all randomness.
        entropy: weight of -log p in the value, in spreads of the known values.
        lr: learning rate (Adam).
    """
    torch.manual_seed(seed)
    environment, generator = believed.environment, torch.Generator().manual_seed(seed)
    policy = make_policy(environment)
    optimizer = torch.optim.Adam(policy.parameters(), lr=lr)

    def log_pf(drawn: Trajectories) -> Tensor:
        return log_probabilities(environment, policy, drawn)[0]

    while believed.n_calls < N_CALLS:
        with torch.no_grad():
            drawn = rollout(environment, policy, DRAW, generator=generator)
            old = log_pf(drawn)
            value = believed.log_reward(drawn.terminal, 1.0) - entropy * old.sum(0)
            advantage = (value - value.mean()) / value.std().clamp(min=1e-6)
        clipped_steps(policy, optimizer, log_pf, drawn, old, advantage)
    return _drawn(environment, policy, seed)


def _drawn(environment: Words, policy: Any, seed: int) -> list[str]:
    generator = torch.Generator().manual_seed(derive_seed(seed, "draws"))
    return environment.decode(rollout(environment, policy, 16 * BATCH, generator=generator).terminal)


def genetic(believed: Believed, seed: int, population: int = 128, children: int = 320) -> list[str]:
    """Evolve the known words, and return the last population."""
    evolution = Evolution(believed.environment, seed)
    start = sorted(believed.known, key=lambda word: -believed.known[word])[:population]
    values = dict(zip(start, believed(start), strict=True))
    while believed.n_calls < N_CALLS:
        ranked = sorted(values, key=lambda word: -values[word])[:population]
        made = evolution.children(ranked, children)[: N_CALLS - believed.n_calls]
        values.update(zip(made, believed(made), strict=True))
    return sorted(values, key=lambda word: -values[word])[:population]


def at_random(believed: Believed, seed: int) -> list[str]:
    """Return random words, which are looked at, too."""
    generator = torch.Generator().manual_seed(seed)
    words = random_objects(believed.environment, N_CALLS, generator)
    believed(words)
    return words


SAMPLERS: dict[str, Callable[[Believed, int], list[str]]] = {
    "random": at_random,
    "GFlowNet": partial(gflownet, beta=8.0),
    "PPO": ppo,
    "genetic": genetic,
}
RULES = ("draws", "best")
ARMS = [
    f"{start}, {sampler}, {rule}"
    for start in STARTS[::-1]
    for sampler in SAMPLERS
    for rule in RULES
    if (sampler, rule) != ("genetic", "draws")  # its last population are its best
]


def start_of(kind: str, seed: int) -> dict[str, float]:
    """Return the words known at the start, with the values that were reported."""
    truth = table()
    median = float(np.median(list(truth.values())))
    words = [word for word, value in truth.items() if kind == "fair" or value <= median]
    rows = np.random.default_rng(seed).choice(len(words), N_START, replace=False)
    is_shifted = {word: kind == "biased" and word.startswith(ARTEFACT) for word in words}
    return {words[i]: truth[words[i]] + SHIFT * is_shifted[words[i]] for i in sorted(rows)}


def measure(arm: str, seed: int) -> pd.DataFrame:
    """Return one row for each round of an arm."""
    kind, sampler, rule = arm.split(", ")
    truth, known, began = table(), start_of(kind, seed), time.process_time()
    measured: dict[str, float] = {}
    rows = []
    for number in range(1, N_ROUNDS + 1):
        believed = Believed(known)
        drawn = SAMPLERS[sampler](believed, derive_seed(seed, sampler, number))
        n_distinct = len(set(drawn)) / len(drawn)
        batch = believed.new([*(drawn if rule == "draws" else ()), *believed.best()])
        predicted, answers = believed(batch), [truth[word] for word in batch]
        known = {**known, **dict(zip(batch, answers, strict=True))}
        measured.update(zip(batch, answers, strict=True))
        top = sorted(measured, key=lambda word: -measured[word])[:BATCH]
        row = {
            "arm": arm, "seed": seed, "round": number, "n": len(batch), "predicted": np.mean(predicted),
            "measured": np.mean(answers), "artefact": np.mean([word.startswith(ARTEFACT) for word in batch]),
            "top": np.mean([measured[word] for word in top]), "best": measured[top[0]],
            "distance": mean_hamming_distance(top), "batch_distance": mean_hamming_distance(batch),
            "distinct": n_distinct,
        }  # fmt: skip
        rows.append(row)
    seconds = round(time.process_time() - began, 1)
    return pd.DataFrame([{**row, "cpu_s": seconds} for row in rows]).round(4)


def plot(rows: pd.DataFrame, path: Path) -> None:
    """Draw predicted and measured means of the batches by round, fair and biased."""
    figure = Figure(figsize=(9, 7), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey="row")
    for column, kind in enumerate(STARTS):
        for sampler, colour in zip(SAMPLERS, ("0.6", "C0", "C3", "C2"), strict=True):
            for rule, style in (("draws", "--"), ("best", "-")):
                part = rows[rows["arm"] == f"{kind}, {sampler}, {rule}"].groupby("round").mean(numeric_only=True)
                if not len(part):
                    continue
                label = f"{sampler}, {rule}"
                error = part["predicted"] - part["measured"]
                panels[0, column].plot(part.index, error, style, color=colour, marker="o", markersize=3, label=label)
                panels[1, column].plot(part.index, part["top"], style, color=colour, marker="o", markersize=3)
        panels[0, column].axhline(0, color="0.3", linewidth=0.8)
        panels[0, column].set_title(f"{kind} start")
        panels[1, column].set_xlabel("round")
        panels[1, column].set_xticks(range(1, N_ROUNDS + 1))
    panels[0, 0].set_ylabel("predicted - measured, mean of the batch")
    panels[1, 0].set_ylabel("mean of the 64 best measured words")
    panels[0, 1].legend(fontsize=7)
    figure.suptitle(f"TFBind8: search on a surrogate, {rows['seed'].nunique()} seeds")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--arms", nargs="*", default=ARMS, choices=ARMS, metavar="ARM")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    path = given.out / "wrong_surrogate.csv"
    rows = measure_missing(path, given.arms, given.seeds, measure, "measured", given.first_seed)
    columns = ["predicted", "measured", "artefact", "top", "best", "distance", "batch_distance", "distinct", "n"]
    for number in (1, N_ROUNDS):
        print(f"\nround {number}")
        print(rows[rows["round"] == number].groupby("arm", sort=False)[columns].mean().round(3).to_string())
    plot(rows, given.out / "wrong_surrogate.png")


if __name__ == "__main__":
    main()
