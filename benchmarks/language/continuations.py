"""Continuations of 20 prompts: a tuned sampler beside tempered sampling, beam search and diverse beam search.

    python benchmarks/language/continuations.py            # about 25 CPU minutes for each seed; resumable

SmolLM2-135M continues a sentence with up to 12 tokens, until a full stop. The sampler is tuned on the prompts for the
likelihood at temperature 0.8. Every method returns 8 texts for each prompt. Prints the log-likelihood per token of the
best text, that of all texts, the share of distinct texts, and their mean distance (edit distance as a share of the
length), each as the mean over the prompts; writes continuations.csv and continuations.png.

Level: likelihood and distance of the tuned sampler are on no curve of the others (paper: figure 3).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.environments.tokens import Tokens
from al_loop.gflownet.policies.language import LanguagePolicy
from al_loop.language import Continuation, TunedModel, tune
from al_loop.language.buffer import edit_distance
from benchmarks.support.resumable import measure_missing

RESULTS = Path(__file__).parents[1] / "results"
PROMPTS = [
    "The old man opened the door and", "She looked out of the window and saw", "The best way to learn is",
    "After the war, the city", "In the morning, the children", "The doctor told him that", "A good book is",
    "The river runs through", "He had never been so", "The scientists discovered that", "On the way home, they",
    "My grandmother used to say that", "The company announced that", "When the music stopped,", "The dog ran to",
    "It is hard to believe that", "The first thing you notice is", "Long ago, in a small village,",
    "The government decided to", "If you want to be happy,",
]  # fmt: skip
N_TEXTS = 8
TEMPERATURES = {"sampling_1.0": 1.0, "sampling_0.8": 0.8, "sampling_0.5": 0.5, "sampling_0.3": 0.3}
ARMS = ["gflownet", *TEMPERATURES, "beam", "diverse_beam"]


@torch.no_grad()
def beam_search(
    environment: Tokens, policy: LanguagePolicy, start: Tensor, n: int, groups: int, penalty: float
) -> Tensor:
    """Return n terminal states by beam search in groups, which avoid the tokens that earlier groups choose.

    Args:
        environment: the space.
        policy: the policy whose likelihood is maximised.
        start: the initial state, shape 1 x state_size.
        n: number of texts.
        groups: number of groups; 1: ordinary beam search.
        penalty: log-likelihood that a token loses for each time that an earlier group chose it in the same step.
    """
    width = n // groups
    beams = [(start, torch.zeros(1)) for _ in range(groups)]
    for _ in range(environment.max_steps):
        chosen = torch.zeros(environment.n_actions)
        for number, (states, scores) in enumerate(beams):
            is_over = environment.is_terminal(states)
            candidates, values, actions = [states[is_over]], [scores[is_over]], [torch.full((int(is_over.sum()),), -1)]
            if bool((~is_over).any()):
                open_states = states[~is_over]
                mask = environment.forward_mask(open_states)
                log_p = policy.forward_logits(open_states).masked_fill(~mask, -torch.inf).log_softmax(-1)
                best = (log_p - penalty * chosen).topk(min(width, environment.n_actions), 1).indices
                row = torch.arange(len(open_states))[:, None].expand_as(best).flatten()
                action = best.flatten()
                candidates.append(environment.step(open_states[row], action))
                values.append(scores[~is_over][row] + log_p[row, action])
                actions.append(action)
            total, action = torch.cat(values), torch.cat(actions)
            lost = torch.where(action >= 0, penalty * chosen[action.clamp(min=0)], 0.0)
            top = (total - lost).topk(min(width, len(total))).indices
            chosen += torch.bincount(action[top].clamp(min=0), (action[top] >= 0).float(), environment.n_actions)
            beams[number] = (torch.cat(candidates)[top], total[top])
    return torch.cat([states for states, _ in beams])


def measure(arm: str, seed: int, model: str, steps: int, dtype: str) -> pd.DataFrame:
    end = "." if model == "smollm2" else None
    space = {"max_tokens": 12, "min_tokens": 1, "end": end, "dtype": dtype}
    began = time.process_time()
    environment = Tokens(model, PROMPTS if model == "smollm2" else ["a", "b"], **space)
    reward = Continuation(1.0)
    reward.bind(environment)
    sampler = TunedModel(environment, LanguagePolicy(environment, lora=0), reward)
    if arm == "gflownet":
        sampler = tune(
            model, environment.prompts, Continuation(0.8), seed=seed, steps=steps, batch_size=32, per_prompt=8,
            buffer_share=0.25, report_every=steps, report_draws=1, **space,
        )  # fmt: skip
    rows = []
    for number, prompt in enumerate(environment.prompts):
        if arm in ("beam", "diverse_beam"):
            groups = 1 if arm == "beam" else N_TEXTS // 2
            start = environment.start(torch.tensor([number]))
            states = beam_search(environment, sampler.policy, start, N_TEXTS, groups, 1.0)
        else:
            drawn = sampler.draw(prompt, N_TEXTS, seed=seed * 100 + number, temperature=TEMPERATURES.get(arm, 1.0))
            states = drawn.states
        per_token = reward(states) / (states[:, -2] + 1)
        words = states[:, environment.condition_size :]
        apart = [edit_distance(word, words[torch.arange(len(words)) != i]).mean() for i, word in enumerate(words)]
        distinct = len(set(environment.texts(states))) / len(states)
        rows.append((float(per_token.max()), float(per_token.mean()), distinct, float(torch.stack(apart).mean())))
    names = ("best", "mean", "distinct", "distance")
    row = dict(zip(names, torch.tensor(rows).mean(0).tolist(), strict=True))
    row = {"arm": arm, "seed": seed, "cpu_s": round(time.process_time() - began, 1), **row}
    print(row, flush=True)
    return pd.DataFrame([row])


def draw_figure(table: pd.DataFrame, path: Path) -> None:
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axis = figure.subplots()
    for arm, row in table.groupby("arm")[["best", "distance"]].mean().iterrows():
        axis.scatter(row["distance"], row["best"], color="#d1603d" if arm == "gflownet" else "#1f6f8b")
        label = str(arm).replace("sampling_", "sampling at ").replace("_", " ").replace("gflownet", "GFlowNet")
        below = (0, -11) if arm == "gflownet" else (0, 5)
        place = (row["distance"], row["best"])
        axis.annotate(label, place, below, textcoords="offset points", ha="center", fontsize=8)
    axis.margins(0.15)
    axis.set_xlabel("mean edit distance between the texts of a prompt / length")
    axis.set_ylabel("log-likelihood per token of the best text")
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arms", nargs="+", default=ARMS, choices=ARMS)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--model", default="smollm2", help="smollm2, or a small model for a trial")
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = measure_missing(
        options.out / "continuations.csv",
        options.arms,
        options.seeds,
        lambda arm, seed: measure(arm, seed, options.model, options.steps, options.dtype),
        "best",
    )
    print(table.groupby("arm")[["cpu_s", "best", "mean", "distinct", "distance"]].mean().round(3).to_string())
    draw_figure(table, options.out / "continuations.png")


if __name__ == "__main__":
    main()
