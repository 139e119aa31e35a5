"""Analogues of ten hits by annalog, tuned by GFlowNets and by PPO, at equal calls of the acquisition.

    python benchmarks/language/analogues.py            # 3 seeds, about 5 CPU minutes for each arm and seed; resumable

The acquisition is QED, standardised as in a campaign with beta 8, which every arm may call 1,920 times: for the draws
with which it is tuned, each trained on four times, or for draws of the untuned model. Every arm has two rows: 500 new
draws, and the 500 best different molecules among its calls, from which a campaign picks (for the untuned model: best of
n). Prints the share of valid texts, the mean acquisition, and the number of distinct molecules and Murcko scaffolds
among the 500; writes analogues.csv.

Level: validity at least 95 %; mean acquisition and distinct scaffolds at least those of best of n and of PPO.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import pandas as pd
import torch
from rdkit import Chem, rdBase
from rdkit.Chem.QED import qed
from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles
from torch import Tensor

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.datafiles.object_lists import read_objects
from al_loop.environments.tokens import Tokens
from al_loop.gflownet.learner import Learner
from al_loop.gflownet.pipeline import InlineSampler, pipeline
from al_loop.gflownet.policies.language import LanguagePolicy
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.sampler import Sampler
from al_loop.gflownet.settings import TrainingSettings
from al_loop.language.likelihood_reward import with_likelihood
from al_loop.seeding import derive_seed
from benchmarks.support.policy_gradient import PolicyGradient, policy_gradient
from benchmarks.support.resumable import measure_missing

RESULTS = Path(__file__).parents[1] / "results"
HITS = Path(__file__).parents[2] / "configs" / "hits.smi"
ARMS = {
    "gflownet": "GFlowNet (VarGrad)",
    "relative": "GFlowNet (relative balance)",
    "ppo": "PPO + KL",
    "untuned": "untuned",
}
BETA, N_CALLS, N_DRAWN, BATCH, EPOCHS = 8.0, 1920, 500, 48, 4


def acquisition(smiles: str) -> float | None:
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
        return None if molecule is None or not molecule.GetNumAtoms() else float(qed(molecule))


class Scores:
    """The acquisition of molecules, standardised by the untuned model's molecules, with a floor for other texts."""

    def __init__(self, reference: list[str]) -> None:
        values = torch.tensor([value for value in map(acquisition, reference) if value is not None])
        self._center = float(values.median())
        self._spread = 1.4826 * float((values - self._center).abs().median())
        self.calls: list[tuple[str, float | None]] = []

    def __call__(self, objects: list[str]) -> Tensor:
        values = [acquisition(name) for name in objects]
        self.calls += zip(objects, values, strict=True)
        rows = [-15.0 if value is None else (value - self._center) / self._spread for value in values]
        return BETA * torch.tensor(rows).clamp(max=5.0)

    def best(self) -> list[str]:
        """Return the best different molecules among the calls."""
        values = {name: value for name, value in self.calls if value is not None}
        return sorted(values, key=lambda name: -values[name])[:N_DRAWN]


def drawn(environment: Tokens, policy: LanguagePolicy, n: int, seed: int) -> list[str]:
    generator = torch.Generator().manual_seed(seed)
    names: list[str] = []
    for size in [100] * (n // 100) + ([n % 100] if n % 100 else []):
        start = environment.sample_starts(size, 1, generator)
        names += environment.decode(rollout(environment, policy, size, generator=generator, start=start).terminal)
    return names


def tuned(environment: Tokens, scores: Scores, seed: int, objective: str) -> LanguagePolicy:
    settings = TrainingSettings(
        steps=N_CALLS // BATCH, batch_size=BATCH, objective=objective, replay_size=BATCH // 2, epsilon=0.0,
        epochs=EPOCHS, per_condition=8, lr=1e-3, clip_norm=1.0,
    )  # fmt: skip
    torch.manual_seed(seed)
    learner = Learner(environment, settings, seed, LanguagePolicy(environment, lora=16))
    reward = with_likelihood(scores, environment, 1.0, learner.objective.uses_reference)
    samplers = InlineSampler(Sampler(environment, learner.policy))
    samplers.set_reward(reward)
    learner.start(reward)
    for _ in pipeline(learner, samplers, seed=lambda purpose, step: derive_seed(seed, purpose, step)):
        pass
    return learner.policy  # type: ignore[return-value]


def measure(arm: str, seed: int) -> pd.DataFrame:
    environment = Tokens("annalog", read_objects(HITS), max_tokens=60)
    untuned = LanguagePolicy(environment, lora=0)
    scores = Scores(drawn(environment, untuned, 200, 10_000))
    began = time.process_time()
    if arm == "untuned":
        policy = untuned
        scores(drawn(environment, untuned, N_CALLS, seed))
    elif arm == "ppo":
        policy = policy_gradient(
            environment,
            lambda states: scores(environment.decode(states)),
            PolicyGradient(kl_weight=1.0, epochs=EPOCHS, batch_size=BATCH),
            seed=seed,
            goes_on=lambda step, _: step < N_CALLS // BATCH,
        )
    else:
        kind = "relative_trajectory_balance" if arm == "relative" else "log_partition_variance"
        policy = tuned(environment, scores, seed, kind)
    run = {"seed": seed, "cpu_s": round(time.process_time() - began, 1), "calls": len(scores.calls)}
    draws = {"best": scores.best(), "draws": drawn(environment, policy, N_DRAWN, 1000 + seed)}
    table = pd.DataFrame([{"arm": arm, "which": which, **run, **quality(names)} for which, names in draws.items()])
    print(table.to_string(index=False), flush=True)
    return table


def quality(names: list[str]) -> dict[str, float]:
    """Return share of valid texts, mean acquisition, and numbers of distinct molecules and scaffolds."""
    values = [(name, acquisition(name)) for name in names]
    valid = [(name, value) for name, value in values if value is not None]
    return {
        "valid": len(valid) / len(names),
        "qed": sum(value for _, value in valid) / max(len(valid), 1),
        "distinct": len({name for name, _ in valid}),
        "scaffolds": len({MurckoScaffoldSmiles(name) for name, _ in valid}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = measure_missing(options.out / "analogues.csv", options.arms, options.seeds, measure, "qed")
    columns = ["cpu_s", "calls", "valid", "qed", "distinct", "scaffolds"]
    print(table.groupby(["which", "arm"])[columns].mean().round(3).to_string())
    print("level: valid >= .95; qed and scaffolds of the best >= those of the untuned model (best of n) and of PPO")


if __name__ == "__main__":
    main()
