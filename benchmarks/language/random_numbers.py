"""Random numbers from 0 to 100 with SmolLM2-135M: GFlowNet tuning beside REINFORCE and PPO with a KL penalty.

    python benchmarks/language/random_numbers.py            # 3 seeds, 4 CPU minutes for each arm and seed; resumable

The model continues "The following is a random integer drawn uniformly between 0 and 100: " with digits and a line
break. A number from 0 to 100 has the log-reward 0, any other text -12, so that the posterior is uniform. The GFlowNet's
buffer is seeded with the 101 numbers. All 101 probabilities are computed exactly: the valid mass, and the
Kullback-Leibler divergences between the distribution over valid numbers and the uniform one. Each arm has the same CPU
time, which counts everything but loading the model and the evaluations. Prints the table, writes random_numbers.csv and
random_numbers.png.

Level: KL(q || uniform) <= .005 and valid mass >= .99 within 5 CPU minutes. Hu et al. (2024), GPT-J 6B on a GPU for two
hours: .0102, PPO infinite.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.environments.tokens import Tokens
from al_loop.gflownet.policies.language import LanguagePolicy
from al_loop.language import Checked, TunedModel, TuneOptions, tune
from al_loop.language.convergence import Report
from al_loop.system import stopping
from benchmarks.support.policy_gradient import PolicyGradient, policy_gradient
from benchmarks.support.resumable import measure_missing

RESULTS = Path(__file__).parents[1] / "results"
PROMPT = "The following is a random integer drawn uniformly between 0 and 100: "
NUMBERS = [str(i) for i in range(101)]
SPACE = {"max_tokens": 4, "min_tokens": 1, "allowed": list("0123456789"), "end": "\n"}
ARMS = {
    "gflownet": "GFlowNet (modified SubTB)",
    "reinforce": "REINFORCE + KL",
    "ppo": "PPO + KL",
}


def log_reward(text: str) -> float | None:
    return 0.0 if text in set(NUMBERS) else None


class Exact:
    """The exact distribution over the 101 numbers, with the CPU time of the training so far."""

    def __init__(self, arm: str, seed: int, limit: float) -> None:
        self._arm, self._seed, self._limit = arm, seed, limit
        self._began, self._spent = time.process_time(), 0.0
        self.rows: list[dict[str, object]] = []
        self.probabilities = torch.zeros(101)

    @property
    def seconds(self) -> float:
        """CPU time of the training, without the evaluations."""
        return time.process_time() - self._began - self._spent

    @property
    def share(self) -> float:
        """Share of the CPU time that is spent."""
        return self.seconds / self._limit

    def measure(self, step: int, tuned: TunedModel) -> None:
        """Add a row."""
        began, seconds = time.process_time(), self.seconds
        p = tuned.log_prob(PROMPT, NUMBERS).exp()
        mass, q = float(p.sum()), p / p.sum()
        kl, reverse = float((q * (q * 101).log()).sum()), float(-(q * 101).log().mean())
        self.rows.append(
            {"arm": self._arm, "seed": self._seed, "step": step, "cpu_s": round(seconds, 1), "valid": mass, "kl": kl}
            | {"reverse_kl": reverse, "l1": float((q - 1 / 101).abs().sum())}
        )
        self.probabilities = q
        print(f"{self._arm} {self._seed}: step {step}, {seconds:.0f} s, valid {mass:.4f}, KL {kl:.4f}", flush=True)
        self._spent += time.process_time() - began


def measure(arm: str, seed: int, limit: float, steps: int, dtype: str) -> pd.DataFrame:
    exact = Exact(arm, seed, limit)
    environment = Tokens("smollm2", [PROMPT], dtype=dtype, **SPACE)
    exact.measure(0, TunedModel(environment, LanguagePolicy(environment, lora=0)))
    reward = Checked(log_reward, invalid=-12.0)
    if arm == "gflownet":

        def on_report(report: Report, tuned: TunedModel) -> None:
            exact.measure(report.step, tuned)

        tune(
            "smollm2", [PROMPT], reward, seed=seed, steps=steps, dtype=dtype, **SPACE, buffer_capacity=128,
            buffer_distance=0.0, batch_size=32, per_prompt=16, lr=1e-3, report_every=max(steps // 8, 1), report_draws=1,
            options=TuneOptions(seeds=[(None, number) for number in NUMBERS], on_report=on_report),
        )  # fmt: skip
    else:
        reward.bind(environment)
        settings = PolicyGradient(epochs=1 if arm == "reinforce" else 4)

        def goes_on(step: int, policy: LanguagePolicy) -> bool:
            stopping.look()
            if step and step % 20 == 0:
                exact.measure(step, TunedModel(environment, policy))
            return exact.share < 1

        policy = policy_gradient(environment, reward, settings, seed=seed, goes_on=goes_on)
        exact.measure(-1, TunedModel(environment, policy))
    table = pd.DataFrame(exact.rows)
    table["p"] = ""
    table.loc[len(table) - 1, "p"] = " ".join(f"{value:.5f}" for value in exact.probabilities.tolist())
    return table


def draw_figure(table: pd.DataFrame, path: Path) -> None:
    arms = {arm: title for arm, title in ARMS.items() if (table["arm"] == arm).any()}
    figure = Figure(figsize=(3 * len(arms) + 1, 3.2), layout="constrained")
    axes = figure.subplots(1, len(arms), sharey=True, squeeze=False)[0]
    for axis, (arm, title) in zip(axes, arms.items(), strict=True):
        rows = table[(table["arm"] == arm) & table["p"].astype(str).str.contains(" ")]
        if len(rows):
            row = rows.iloc[0]
            values = [float(value) for value in row["p"].split()]
            axis.bar(range(101), values, width=1.0, color="#1f6f8b")
            axis.set_title(f"{title}\nKL {row['kl']:.3g}, valid {row['valid']:.3f}", fontsize=9)
        axis.axhline(1 / 101, color="#d1603d", linewidth=0.8)
        axis.set_xlabel("number")
    axes[0].set_ylabel("probability")
    axes[0].set_yscale("log")
    axes[0].set_ylim(1e-4, 1)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--limit", type=float, default=230.0, help="CPU seconds of the peers")
    parser.add_argument("--steps", type=int, default=210, help="steps of the GFlowNet")
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = measure_missing(
        options.out / "random_numbers.csv",
        options.arms,
        options.seeds,
        lambda arm, seed: measure(arm, seed, options.limit, options.steps, options.dtype),
        "kl",
    )
    last = table.groupby(["arm", "seed"]).tail(1)
    print(last[["arm", "seed", "cpu_s", "valid", "kl", "reverse_kl"]].to_string(index=False))
    print("level: KL <= .005 and valid >= .99 within 300 CPU seconds; Hu et al. (2024), GPT-J on a GPU: KL .0102")
    draw_figure(table, options.out / "random_numbers.png")
    if not torch.cuda.is_available():
        print("all 49,152 tokens on a GPU: not measured, this machine has none")


if __name__ == "__main__":
    main()
