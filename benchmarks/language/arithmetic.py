"""Integer arithmetic with a calculator, learned from ten worked examples and answers alone, with SmolLM2-135M.

    python benchmarks/language/arithmetic.py            # four arms, about 15 CPU minutes each; resumable

A question is a sum and difference of 3 or 4 digits, such as "8-3+4"; a chain of steps such as "8-3=5,5+4=9" leads to
its answer. The calculator writes the value after each "=". The prompt has two worked examples. Training has 50
questions with answers, and chains for ten of them. After it, ten chains are drawn for each of 20 new questions of 3, 4
and 5 operands, and the answer at which most of them arrive counts; 5 operands never occur in training.

- few_shot: the model with the two examples, not tuned.
- sft: adapters (LoRA, rank 16) that maximise the likelihood of the ten chains.
- ppo: PPO with the GFlowNet's reward and a penalty for leaving the model.
- gflownet: log-partition variance, in proportion to p(chain, answer | question) of the frozen model; the ten chains
  are in its buffer.

PPO has the CPU time of the GFlowNet. Prints the shares of right answers, by vote and of single chains, with the
standard error of the vote, and writes arithmetic.csv. Hu et al. (2024, GPT-J 6B on GPUs, 3/4/5 operands): GFlowNet
95.2/75.4/40.7 %, SFT 72.1/19.6/12.8 %, PPO 30.6/13.7/5.6 %, 20 worked examples 35.5/21/10.5 %.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pandas as pd
import torch

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.environments.tokens import Tokens
from al_loop.gflownet.backward_rollout import backward_rollout
from al_loop.gflownet.policies.language import LanguagePolicy
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.trajectory_terms import log_probabilities
from al_loop.language import Chain, TuneOptions, calculate, tune
from benchmarks.support.policy_gradient import PolicyGradient, policy_gradient
from benchmarks.support.resumable import measure_missing

RESULTS = Path(__file__).parents[1] / "results"
ARMS = ("few_shot", "sft", "gflownet", "ppo")
SPACE = {"max_tokens": 28, "allowed": [*"0123456789", "+", "-", "=", ","], "end": ".", "tool": "calculator"}
SIZES = (3, 4, 5)


def question(n_operands: int, chooser: random.Random) -> tuple[str, str]:
    """Return a question whose partial results are not negative, and the chain of its steps."""
    while True:
        text = str(chooser.randint(1, 9))
        value, steps = int(text), []
        for _ in range(n_operands - 1):
            part = f"{chooser.choice('+-')}{chooser.randint(1, 9)}"
            after = calculate(f"{value}{part}")
            assert after is not None
            steps.append(f"{value}{part}={after}")
            text, value = text + part, after
            if value < 0:
                break
        else:
            return text, ",".join(steps)


def questions(sizes: tuple[int, ...], n: int, seed: int, known: Collection[str] = ()) -> list[tuple[str, str]]:
    """Return n distinct questions of each size, those of different sizes in turn, and their chains.

    Args:
        sizes: numbers of operands.
        n: number of questions of each size.
        seed: source of all random choices.
        known: questions that are left out.
    """
    chooser, columns = random.Random(seed), []
    for size in sizes:
        found: dict[str, str] = {}
        while len(found) < n:
            text, chain = question(size, chooser)
            if text not in known:
                found[text] = chain
        columns.append(list(found.items()))
    return [pair for row in zip(*columns, strict=True) for pair in row]


EXAMPLES = "".join(f"{text}: {chain}. {calculate(text)}\n" for text, chain in questions((3, 4), 1, seed=1000))


def prompt_of(text: str) -> str:
    return f"{EXAMPLES}{text}: "


@torch.no_grad()
def accuracy(environment: Tokens, policy: LanguagePolicy, tests: list[tuple[str, str]], seed: int) -> pd.DataFrame:
    """Return, for each number of operands, the shares of questions with the right answer."""
    asked = environment.with_prompts([prompt_of(text) for text, _ in tests])
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for number, (text, _) in enumerate(tests):
        start = asked.start(torch.full((10,), number))
        drawn = rollout(asked, policy, 10, generator=generator, start=start)
        ends = [chain.rpartition("=")[2] for chain in asked.texts(drawn.terminal) if "=" in chain]
        right = str(calculate(text))
        vote = Counter(ends).most_common(1)[0][0] if ends else ""
        n_operands = 1 + text.count("+") + text.count("-")
        rows.append({"operands": n_operands, "vote": vote == right, "single": ends.count(right) / 10})
    return pd.DataFrame(rows).groupby("operands").mean().reset_index()


def supervised(environment: Tokens, chains: list[str], steps: int, seed: int) -> LanguagePolicy:
    """Return a policy tuned on the chains of the first prompts."""
    torch.manual_seed(seed)
    policy = LanguagePolicy(environment, lora=16)
    states = environment.finished(chains, torch.arange(len(chains)))
    history = backward_rollout(environment, None, states, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.AdamW([p for p in policy.parameters() if p.requires_grad], lr=5e-4)
    for _ in range(steps):
        loss = -log_probabilities(environment, policy, history)[0].sum(0).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return policy


def measure(arm: str, seed: int, options: argparse.Namespace) -> pd.DataFrame:
    train = questions((3, 4), 25, seed)
    tests = questions(SIZES, options.tests, seed + 500, known={text for text, _ in train})
    reward = Chain([(prompt_of(text), f". {calculate(text)}\n") for text, _ in train])
    environment = Tokens(options.model, reward.prompts, dtype=options.dtype, **SPACE)
    seeds = [(prompt_of(text), chain) for text, chain in train[:10]]
    began = time.process_time()
    if arm == "few_shot":
        policy = LanguagePolicy(environment, lora=0)
    elif arm == "sft":
        policy = supervised(environment, [chain for _, chain in seeds], options.sft_steps, seed)
    elif arm == "gflownet":
        tuned = tune(
            options.model, reward.prompts, reward, seed=seed, steps=options.steps, dtype=options.dtype, **SPACE,
            objective="log_partition_variance", batch_size=16, per_prompt=8, buffer_share=0.25, lr=5e-4,
            report_every=options.steps + 1, options=TuneOptions(seeds=seeds),
        )  # fmt: skip
        policy = tuned.policy
    else:
        reward.bind(environment)
        settings = PolicyGradient(epochs=4, batch_size=16, lr=5e-4)
        policy = policy_gradient(
            environment,
            reward,
            settings,
            seed=seed,
            goes_on=lambda step, _: time.process_time() - began < options.limit,
        )
    seconds = time.process_time() - began
    table = accuracy(environment, policy, tests, seed)
    return table.assign(arm=arm, seed=seed, tests=options.tests, cpu_s=round(seconds, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--steps", type=int, default=85, help="steps of the GFlowNet")
    parser.add_argument("--sft-steps", type=int, default=30)
    parser.add_argument("--limit", type=float, default=800.0, help="CPU seconds of PPO")
    parser.add_argument("--tests", type=int, default=20, help="new questions of each size")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = options.out / "arithmetic.csv"
    table = measure_missing(path, options.arms, options.seeds, lambda arm, seed: measure(arm, seed, options), "vote")
    means = table.groupby(["arm", "operands"])[["vote", "single", "cpu_s"]].mean().reset_index()
    n = table["tests"].iloc[0] * table["seed"].nunique()
    means["vote_error"] = (means["vote"] * (1 - means["vote"]) / n) ** 0.5
    print(means.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
