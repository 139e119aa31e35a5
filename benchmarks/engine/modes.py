"""Number of modes found against molecules visited, for GFlowNets, PPO and random molecules under a fixed reward.

    .venv/bin/python benchmarks/engine/modes.py          # about 25 minutes on one core

The reward is the mean of a frozen Gaussian process, fitted to the ionisation potentials (GFN2-xTB) of 528 random and
optimised molecules of the same space: log R = 10 x the predicted improvement, in standard deviations of random
molecules. A mode is a molecule with a better prediction than the best of 8,000 random ones, and a Tanimoto similarity
(ECFP4) below 0.7 to every previous mode. A molecule is visited when its reward is computed.

Arms, all with the same network:

- trajectory balance (the variant that estimates log Z from the batch): alone, with replay, with local search, and with
  genetic operators;
- proximal policy optimisation: of three settings of learning rate and entropy bonus, the one with the most modes; it
  takes four gradient steps per draw, the others take one;
- random molecules.

Writes modes.csv and modes.png.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from rdkit import Chem, DataStructs
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from torch import Tensor

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.environments.fragments import Fragments
from al_loop.features.morgan import Morgan
from al_loop.gflownet import Trainer, Training
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.searches.genetic import Genetic
from al_loop.gflownet.searches.local_search import LocalSearch
from al_loop.gflownet.trajectories import Trajectories
from al_loop.gflownet.trajectory_terms import log_probabilities
from al_loop.surrogates.gp import ExactGP
from benchmarks.support.ppo import clipped_steps

BENCHMARKS = Path(__file__).parents[1]
BETA, SIMILAR, N_RANDOM = 10.0, 0.7, 8000
TRAINING = Training(
    batch_size=64,
    objective="log_partition_variance",
    hidden=128,
    layers=2,
    lr=5e-3,
    replay_size=0,
    epsilon=0.02,
)
#: learning rate and entropy bonus of proximal policy optimisation
PPO = ((1e-3, 0.05), (1e-3, 0.2), (3e-3, 0.05))


class Landscape:
    """The frozen reward of molecules, in standard deviations of random molecules."""

    def __init__(self, environment: Fragments) -> None:
        data = pd.read_csv(BENCHMARKS / "data" / "modes_ionisation_potentials.csv")
        self._features = Morgan()
        Y = -torch.tensor(data["ionisation_potential_eV"].to_numpy())[:, None]
        self._model = ExactGP(kernel=self._features.kernel).fit(self._features(list(data["smiles"])), Y)
        drawn = rollout(environment, None, N_RANDOM, generator=torch.Generator().manual_seed(0))
        values = self._predict(environment.decode(drawn.terminal))
        self.center, self.spread = values.mean(), values.std()
        self.threshold = float((values.max() - self.center) / self.spread)

    def _predict(self, objects: Sequence[str]) -> Tensor:
        mean: Tensor = self._model.mean_and_variance(self._features(objects))[0]
        return mean

    def __call__(self, objects: Sequence[str]) -> Tensor:
        return ((self._predict(objects) - self.center) / self.spread).float()


class Journal:
    """Everything that was visited, in its order, and the modes among it."""

    def __init__(self, landscape: Landscape) -> None:
        self._landscape = landscape
        self._generator = GetMorganGenerator(radius=2, fpSize=2048)
        self.visited = 0
        self.values: dict[str, float] = {}
        self._modes: list[Any] = []
        self.points: list[dict[str, float]] = []
        self._started = time.process_time()

    def score(self, objects: Sequence[str]) -> Tensor:
        """Return and record the rewards of n molecules, in standard deviations: n."""
        values = self._landscape(objects)
        for name, value in zip(objects, values.tolist(), strict=True):
            self.visited += 1
            if name not in self.values:
                self.values[name] = value
                if value > self._landscape.threshold:
                    self._count(name)
        return values

    def log_reward(self, objects: Sequence[str]) -> Tensor:
        return BETA * self.score(objects)

    def _fingerprint(self, smiles: str) -> Any:
        return self._generator.GetFingerprint(Chem.MolFromSmiles(smiles))

    def _count(self, smiles: str) -> None:
        bits = self._fingerprint(smiles)
        if not self._modes or max(DataStructs.BulkTanimotoSimilarity(bits, self._modes)) < SIMILAR:
            self._modes.append(bits)

    def note(self) -> None:
        """Append a point to the curves."""
        best = sorted(self.values, key=lambda o: -self.values[o])[:100]
        bits = [self._fingerprint(o) for o in best]
        pairs = [s for i in range(1, len(bits)) for s in DataStructs.BulkTanimotoSimilarity(bits[i], bits[:i])]
        self.points.append(
            {
                "visited": self.visited,
                "modes": len(self._modes),
                "top100_mean": float(np.mean([self.values[o] for o in best])),
                "top100_similarity": float(np.mean(pairs)),
                "seconds": time.process_time() - self._started,
            }
        )


def run_until(journal: Journal, budget: int, step: Callable[[], object]) -> Journal:
    """Take steps until the budget is spent, recording twenty points on the way."""
    n_points = 0
    while journal.visited < budget:
        step()
        if journal.visited >= (n_points + 1) * budget / 20:
            n_points = int(20 * journal.visited / budget)
            journal.note()
    return journal


def gflownet(environment: Fragments, landscape: Landscape, seed: int, budget: int, training: Training) -> Journal:
    journal = Journal(landscape)
    trainer = Trainer(environment, journal.log_reward, training, seed=seed)
    return run_until(journal, budget, trainer.step)


def ppo(environment: Fragments, landscape: Landscape, seed: int, budget: int, lr: float, entropy: float) -> Journal:
    """Run proximal policy optimisation (Schulman et al. 2017), with the batch mean as baseline."""
    journal = Journal(landscape)
    torch.manual_seed(seed)
    policy = make_policy(environment, TRAINING.hidden, TRAINING.layers)
    optimizer = torch.optim.Adam(policy.parameters(), lr=lr)
    generator = torch.Generator().manual_seed(seed)

    def log_pf(drawn: Trajectories) -> Tensor:
        return log_probabilities(environment, policy, drawn, backward="uniform")[0]

    def step() -> None:
        drawn = rollout(environment, policy, TRAINING.batch_size, generator=generator)
        is_step = drawn.actions >= 0
        value = journal.score(environment.decode(drawn.terminal))
        with torch.no_grad():
            before = log_pf(drawn)
        gain = value - entropy * before.sum(0)  # bonus: an estimate of the entropy of trajectories
        advantage = (gain - gain.mean()) / (gain.std() + 1e-6)
        clipped_steps(policy, optimizer, log_pf, drawn, before, advantage, counts=is_step)

    return run_until(journal, budget, step)


def at_random(environment: Fragments, landscape: Landscape, seed: int, budget: int) -> Journal:
    journal = Journal(landscape)
    generator = torch.Generator().manual_seed(seed)

    def step() -> None:
        drawn = rollout(environment, None, TRAINING.batch_size, generator=generator)
        journal.score(environment.decode(drawn.terminal))

    return run_until(journal, budget, step)


def arms() -> dict[str, Callable[[Fragments, Landscape, int, int], Journal]]:
    """Return the arms: name -> function of environment, landscape, seed and budget."""

    def with_settings(**settings: Any) -> Callable[[Fragments, Landscape, int, int], Journal]:
        return lambda e, f, seed, budget: gflownet(e, f, seed, budget, replace(TRAINING, **settings))

    runs = {
        "random": at_random,
        "TB": with_settings(),
        "TB + replay": with_settings(replay_size=64),
        "TB + local search": with_settings(replay_size=64, batch_size=32, searches=(LocalSearch(0.4, size=32),)),
        "TB + genetic": with_settings(replay_size=64, batch_size=32, searches=(Genetic(0.05, size=32),)),
    }
    for lr, entropy in PPO:
        settings = {"lr": lr, "entropy": entropy}
        runs[f"PPO lr {lr} entropy {entropy}"] = partial(ppo, **settings)
    return runs


def plot(table: pd.DataFrame, path: Path) -> None:
    colours = ["#9a9a9a", "#7fb3c8", "#1f6f8b", "#7a9e3f", "#b07aa1", "#d1603d"]
    figure = Figure(figsize=(10, 4.2), dpi=140, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1))
    ends = []
    for (arm, of_arm), colour in zip(table.groupby("arm", sort=False), colours, strict=False):
        for _, run in of_arm.groupby("seed"):
            left.plot(run["visited"], run["modes"], color=colour, alpha=0.3, linewidth=0.9)
        n = of_arm.groupby("seed").size().min()
        mean = np.mean([run[["visited", "modes"]].to_numpy()[:n] for _, run in of_arm.groupby("seed")], axis=0)
        left.plot(mean[:, 0], mean[:, 1], color=colour, linewidth=2.2)
        ends.append((float(mean[-1, 1]), arm, colour))
        last = of_arm.groupby("seed").last()
        right.scatter(last["top100_similarity"], last["top100_mean"], color=colour, s=26, label=arm)
    gap, y = 0.055 * max(ends)[0], -np.inf
    for height, arm, colour in sorted(ends):  # keep the labels apart
        y = max(height, y + gap)
        left.text(1.02 * mean[-1, 0], y, arm, color=colour, va="center", fontsize=9)
    left.set(xlabel="molecules visited", ylabel="distinct modes", ylim=(-0.03 * max(ends)[0], None))
    left.set_xlim(0, 1.27 * mean[-1, 0])
    right.legend(frameon=False, fontsize=8, loc="lower right")
    right.set(xlabel="Tanimoto similarity among the best 100", ylabel="reward of the best 100 (standard deviations)")
    right.margins(0.18)
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=int, default=8_000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    environment = Fragments(max_fragments=6, max_atoms=36)
    landscape = Landscape(environment)
    print(f"modes have a reward above {landscape.threshold:.2f} standard deviations of random molecules")
    rows = []
    for arm, run in arms().items():
        for seed in range(arguments.seeds):
            journal = run(environment, landscape, seed, arguments.budget)
            rows += [{"arm": arm, "seed": seed, **point} for point in journal.points]
            print(arm, seed, {k: round(v, 3) for k, v in journal.points[-1].items()}, flush=True)
    table = pd.DataFrame(rows)
    arguments.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(arguments.out / "modes.csv", index=False, float_format="%.5g")
    last = table.groupby(["arm", "seed"], sort=False).last().groupby("arm", sort=False).mean()
    print(last.round(3).to_string())
    ppo_arms = [arm for arm in last.index if arm.startswith("PPO")]
    best = last.loc[ppo_arms, "modes"].idxmax()
    plotted = table[~table["arm"].isin([arm for arm in ppo_arms if arm != best])]
    plot(plotted.replace({"arm": {best: "PPO"}}), arguments.out / "modes.png")


if __name__ == "__main__":
    main()
