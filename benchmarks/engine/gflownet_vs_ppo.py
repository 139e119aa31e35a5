"""A GFlowNet against PPO (RLlib) and random molecules, as the sampler of one real surrogate round.

    python benchmarks/engine/gflownet_vs_ppo.py                  # 3 seeds, about 20 minutes on 2 cores

Random molecules of the quickstart's fragment space are measured by its oracle (GFN2-xTB, ionisation potential), its GP
is fitted to them, and its acquisition with its constraints is the reward. Each sampler is trained with the same number
of reward calls, on the same policy network, and then draws a pool, as in a campaign. Both are tried with four settings
on a seed of its own; the one whose best 100 molecules have the larger reward goes on to the seeds that are reported.
The GFlowNet does so twice: for the reward, and for its third power, which is what a larger reward.beta gives.

A mode is a molecule whose reward is above that of all reference (random) molecules, and whose Tanimoto similarity
(Morgan bits, radius 2) to all modes before it is below 0.7; of families, which are counted besides, below 0.4. At last
the oracle measures 32 picks of each sampler: the best by acquisition, and those of the quickstart's selector. What was
trained or measured is kept in --runs, so that a run that was stopped goes on. Writes gflownet_vs_ppo.csv (all runs),
gflownet_vs_ppo.png, and prints the table.
"""

from __future__ import annotations

import argparse
import copy
import json
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from rdkit import Chem, DataStructs
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from torch import Tensor

from al_loop import load_config
from al_loop.campaign.building import build_environment, build_oracle, build_surrogate, training_settings
from al_loop.config import CampaignConfig, build
from al_loop.features.morgan import Morgan
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.trainer import Trainer
from al_loop.ledger import Observation
from al_loop.modelling.constraints import Constraints, PropertyBound
from al_loop.modelling.fidelities import Fidelities
from al_loop.modelling.fitted import FittedModels
from al_loop.modelling.fitter import ModelFitter
from al_loop.modelling.objectives import campaign_objectives
from al_loop.modelling.reward import ObjectSpace
from al_loop.modelling.transforms import TRANSFORMS
from al_loop.monitoring.metrics import mean_pairwise_distance
from al_loop.seeding import derive_seed
from al_loop.selectors.base import SelectionContext

HERE = Path(__file__).parents[1]
CONFIG = HERE.parent / "configs" / "quickstart.yaml"
N_REFERENCE, N_POOL, N_MET, N_PICKS, N_POINTS = 1000, 512, 1000, 32, 20
TUNING_SEED = 1000
#: similarity from which two molecules belong together
SIMILAR = {"modes": 0.7, "families": 0.4}
COLOURS = {"GFlowNet": "#1f6f8b", "GFlowNet, R^3": "#3fae8f", "PPO": "#d1603d", "random": "#8c8c8c"}
SELECTORS = {"greedy": "best by acquisition", "diverse": "the quickstart's selector"}


def random_molecules(config: CampaignConfig, n: int, *names: int | str) -> list[str]:
    environment = build_environment(config)
    generator = torch.Generator().manual_seed(derive_seed(config.seed, *names))
    return environment.decode(rollout(environment, None, n, generator=generator).terminal)


def ask(config: CampaignConfig, smiles: str) -> float:
    """The oracle's answer, NaN of a failure."""
    torch.set_num_threads(1)
    from al_loop.oracles.base import evaluate_each

    (outcome,) = evaluate_each(build_oracle(config), [smiles])
    return float("nan") if outcome.values is None else float(outcome.values[0])


class Answers:
    """The oracle, asked once for each molecule; every answer is on disk the moment it is known."""

    def __init__(self, config: CampaignConfig, path: Path, workers: int) -> None:
        self._config, self._path, self._workers = config, path, workers
        self.known: dict[str, float] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                smiles, value = line.split(",")
                self.known[smiles] = float(value)

    def __call__(self, objects: Sequence[str]) -> np.ndarray:
        new = [o for o in dict.fromkeys(objects) if o not in self.known]
        if new:
            with ProcessPoolExecutor(self._workers) as pool, self._path.open("a") as file:
                for smiles, value in zip(new, pool.map(ask, [self._config] * len(new), new), strict=True):
                    self.known[smiles] = value
                    print(f"{smiles},{value:.5f}", file=file, flush=True)
        return np.array([self.known[o] for o in objects])


def fit(config: CampaignConfig, measured: Sequence[str], values: np.ndarray) -> FittedModels:
    """The models that the quickstart would fit to these measurements, and its reward."""
    features = Morgan()
    fitter = ModelFitter(
        build_surrogate(config, features),
        build("acquisition", config.acquisition),
        ObjectSpace(features, constraints_of(config), random_molecules(config, N_REFERENCE, "reference")),
        campaign_objectives(config, build_oracle(config)),
        Fidelities(),
        TRANSFORMS[config.transform],
        config.reward,
    )
    observations = [
        Observation(o, None, "permanent", 0) if np.isnan(v) else Observation(o, (float(v),), None, 0)
        for o, v in zip(measured, values, strict=True)
    ]
    return fitter.fit(observations, [], [1.0])


def constraints_of(config: CampaignConfig) -> Constraints:
    return Constraints(tuple(PropertyBound(build("property", c), c.min, c.max) for c in config.constraints))


class Journal:
    """Every molecule whose reward was asked for, in its order."""

    def __init__(self, models: FittedModels) -> None:
        self._reward = copy.copy(models.reward)  # without what it remembers of other samplers
        self.objects: list[str] = []
        self.log_rewards: list[float] = []

    def __call__(self, objects: Sequence[str]) -> Tensor:
        values = self._reward(objects)
        self.objects += objects
        self.log_rewards += values.tolist()
        return values


@dataclass(frozen=True)
class Arm:
    """A sampler and its settings.

    overrides: of the config. entropy: of PPO, the weight of its bonus. sharpness: a GFlowNet draws in proportion to
    the reward to this power.
    """

    name: str
    setting: str = ""
    overrides: tuple[str, ...] = ()
    entropy: float = 0.0
    sharpness: float = 1.0

    def train(self, config: CampaignConfig, seed: int, journal: Journal) -> list[str]:
        """Spends the budget of rewards, then draws the pool."""
        steps, size = config.sampler.steps, config.sampler.batch_size * config.sampler.updates
        if self.name == "random":
            names = random_molecules(config, steps * size, "random", seed)
            for i in range(steps):
                journal(names[i * size : (i + 1) * size])
            return random_molecules(config, N_POOL, "random pool", seed)
        if self.name.startswith("GFlowNet"):
            environment = build_environment(config)
            trainer = Trainer(environment, lambda o: self.sharpness * journal(o), training_settings(config), seed=seed)
            for _ in range(steps):
                trainer.step()
            generator = torch.Generator().manual_seed(derive_seed(seed, "pool"))
            return environment.decode(rollout(environment, trainer.policy, N_POOL, generator=generator).terminal)
        from al_loop.actors.ppo.training import PPOSettings, PPOTraining

        training = PPOTraining(config, seed=seed, settings=PPOSettings(entropy=self.entropy))
        for _ in training.train(0, journal, []):
            pass
        pool = training.draw(N_POOL, seed=derive_seed(seed, "pool"))
        training.close()
        return pool


_VARIANCE = ("sampler.objective={kind: log_partition_variance}", "sampler.lr=0.005", "sampler.replay_size=64")
_FOUR_UPDATES = ("sampler.batch_size=16", "sampler.updates=4")
CANDIDATES = (
    Arm("GFlowNet", "trajectory balance, lr 1e-3"),
    Arm("GFlowNet", "trajectory balance, lr 5e-3, 4 updates", ("sampler.lr=0.005", *_FOUR_UPDATES)),
    Arm("GFlowNet", "log-partition variance, lr 5e-3", _VARIANCE),
    Arm("GFlowNet", "log-partition variance, lr 5e-3, 4 updates", (*_VARIANCE, *_FOUR_UPDATES)),
    Arm("PPO", "entropy 0.01, lr 1e-3", entropy=0.01),
    Arm("PPO", "entropy 0.05, lr 1e-3", entropy=0.05),
    Arm("PPO", "entropy 0.2, lr 1e-3", entropy=0.2),
    Arm("PPO", "entropy 0.05, lr 3e-3", ("sampler.lr=0.003",), entropy=0.05),
)


def run(arm: Arm, budget: int, models: FittedModels, seed: int, folder: Path) -> dict[str, Any]:
    """What was visited, with its rewards, and the pool; from disk where it is there."""
    label = "-".join(re.findall(r"[\w.]+", f"{arm.name} {arm.setting} {seed}"))
    path = folder / f"{label}.json"
    if not path.exists():
        config = load_config(CONFIG, ["sampler.batch_size=64", f"sampler.steps={budget // 64}", *arm.overrides])
        journal, started = Journal(models), time.process_time()
        pool = arm.train(config, seed, journal)
        seconds, n_calls = time.process_time() - started, len(journal.objects)
        journal(pool)
        told = {"n_calls": n_calls, "seconds": seconds}
        content = {"objects": journal.objects, "log_rewards": journal.log_rewards, **told}
        path.with_suffix(".part").write_text(json.dumps(content))
        path.with_suffix(".part").rename(path)
    return json.loads(path.read_text())  # type: ignore[no-any-return]


_GENERATOR = GetMorganGenerator(radius=2, fpSize=2048)


def bits(smiles: str) -> Any:
    return _GENERATOR.GetFingerprint(Chem.MolFromSmiles(smiles))


def distance(objects: Sequence[str]) -> float:
    prints = [bits(o) for o in objects]
    return mean_pairwise_distance(np.array([DataStructs.BulkTanimotoSimilarity(p, prints) for p in prints]))


def curve(visited: dict[str, Any], beta: float, threshold: float) -> Iterator[dict[str, float]]:
    """The best 100 so far (acquisition, in spreads above the median random molecule), and the modes, on the way."""
    values: dict[str, float] = {}
    leaders: dict[str, list[Any]] = {name: [] for name in SIMILAR}
    ends = np.linspace(0, visited["n_calls"], N_POINTS + 1).astype(int)[1:]
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        for o, log_reward in zip(visited["objects"][start:end], visited["log_rewards"][start:end], strict=True):
            if o in values:
                continue
            values[o] = log_reward / beta
            if values[o] > threshold:
                new = bits(o)
                for name, similar in SIMILAR.items():
                    if max(DataStructs.BulkTanimotoSimilarity(new, leaders[name]), default=0.0) < similar:
                        leaders[name].append(new)
        best = sorted(values, key=lambda o: -values[o])[:100]
        yield {
            "reward_calls": int(end),
            "top100": float(np.mean([values[o] for o in best])),
            **{name: len(found) for name, found in leaders.items()},
            "top100_distance": distance(best),
            "distinct": len(values),
        }


def picks(
    config: CampaignConfig, models: FittedModels, visited: dict[str, Any], measured: set[str]
) -> dict[str, list[str]]:
    """What a campaign would send to the oracle: from the pool and the best that training met."""
    features, constraints, n = Morgan(), constraints_of(config), visited["n_calls"]
    met = sorted(zip(visited["log_rewards"][:n], visited["objects"][:n], strict=True), reverse=True)
    best = list(dict.fromkeys(name for _, name in met))[:N_MET]
    names = [o for o in dict.fromkeys([*visited["objects"][n:], *best]) if o not in measured]
    names = [o for o, v in zip(names, constraints.violation(names).tolist(), strict=True) if v == 0]
    X = features(names)
    scores = models.scores(X)
    chosen = {"greedy": scores.argsort(descending=True)[:N_PICKS].tolist()}
    chosen["diverse"] = build("selector", config.selector).select(
        SelectionContext(N_PICKS, scores, X, features.similarity)
    )
    return {selector: [names[i] for i in rows] for selector, rows in chosen.items()}


def verdict(models: FittedModels, batch: Sequence[str], answers: Answers, best: float) -> dict[str, float]:
    """What the oracle says of a batch, beside what the model said."""
    predicted, true = models.predict(Morgan()(batch))[0][:, 0], answers(batch)
    error = predicted - true
    return {
        "predicted_eV": float(predicted.mean()),
        "measured_eV": float(np.nanmean(true)),
        "predicted_minus_measured_eV": float(np.nanmean(error)),
        "rms_error_eV": float(np.sqrt(np.nanmean(error**2))),
        "records": int((true < best).sum()),
        "failures": int(np.isnan(true).sum()),
        "batch_distance": distance(batch),
    }


def plot(curves: pd.DataFrame, table: pd.DataFrame, best_random: float, path: Path) -> None:
    figure = Figure(figsize=(12.5, 4.0), dpi=140, layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for ax, column, label in (
        (left, "top100", "acquisition of the best 100 (spreads)"),
        (middle, "modes", "distinct modes"),
    ):
        for arm, of_arm in curves.groupby("arm", sort=False):
            for _, one in of_arm.groupby("seed"):
                ax.plot(one["reward_calls"], one[column], color=COLOURS[arm], alpha=0.3, linewidth=0.9)
            mean = of_arm.groupby("reward_calls")[column].mean()
            ax.plot(mean.index, mean, color=COLOURS[arm], linewidth=2.2, label=arm)
        ax.set(xlabel="calls of the reward model", ylabel=label)
    left.legend(frameon=False)
    middle.set_ylim(bottom=-0.03 * curves["modes"].max())
    names, places = [], []
    for i, selector in enumerate(SELECTORS):
        for k, arm in enumerate(COLOURS):
            rows = table[(table["arm"] == arm) & (table["selector"] == selector)]
            x = 5 * i + k
            for one in rows.itertuples():
                right.plot([x - 0.18, x + 0.18], [one.predicted_eV, one.measured_eV], color=COLOURS[arm], alpha=0.5)
                right.plot(x - 0.18, one.predicted_eV, "o", color=COLOURS[arm], fillstyle="none", markersize=5)
                right.plot(x + 0.18, one.measured_eV, "o", color=COLOURS[arm], markersize=5)
        places.append(5 * i + 1.5)
        names.append(SELECTORS[selector])
    right.axhline(best_random, color="#c0c0c0", linewidth=0.9, zorder=0)
    right.annotate("best measured before", (4.0, best_random), fontsize=7, ha="center", va="bottom")
    right.set_xticks(places, names)
    right.set(ylabel=f"mean of {N_PICKS} picks (eV, lower is better)")
    right.set_title("ionisation potential: hollow predicted, full measured", fontsize=9)
    for ax in (left, middle, right):
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=int, default=6400, help="reward calls of each training")
    parser.add_argument("--measured", type=int, default=200, help="random molecules that the model learns from")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="processes of the oracle")
    parser.add_argument("--runs", type=Path, default=Path("runs/gflownet_vs_ppo"))
    parser.add_argument("--out", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = arguments.runs / f"{arguments.measured}-{arguments.budget}"
    for path in (folder, arguments.out):
        path.mkdir(parents=True, exist_ok=True)
    config = load_config(CONFIG)
    answers = Answers(config, arguments.runs / "oracle.csv", arguments.workers)
    measured = list(dict.fromkeys(random_molecules(config, 2 * arguments.measured, "measured")))[: arguments.measured]
    values = answers(measured)
    models = fit(config, measured, values)
    beta, best = config.reward.beta, float(np.nanmin(values))
    threshold = float(models.reward(random_molecules(config, N_REFERENCE, "reference")).max()) / beta
    print(f"{len(measured)} random molecules: best {best:.2f} eV, mean {np.nanmean(values):.2f} eV")
    print(f"a mode has an acquisition above {threshold:.2f} spreads, the best of {N_REFERENCE} random molecules")

    def summary(arm: Arm, seed: int, visited: dict[str, Any], points: list[dict[str, float]]) -> dict[str, Any]:
        n = visited["n_calls"]
        row = {
            "arm": arm.name,
            "setting": arm.setting,
            "seed": seed,
            **points[-1],
            "pool_mean": float(np.mean(visited["log_rewards"][n:])) / beta,
            "pool_distinct": len(set(visited["objects"][n:])) / N_POOL,
            "pool_distance": distance(visited["objects"][n:]),
            "cpu_s": visited["seconds"],
        }
        print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
        return row

    tried = []
    for arm in CANDIDATES:
        visited = run(arm, arguments.budget, models, TUNING_SEED, folder)
        tried.append(summary(arm, TUNING_SEED, visited, list(curve(visited, beta, threshold))))
    best_of = {row["arm"]: row["setting"] for row in sorted(tried, key=lambda row: row["top100"])}
    print("chosen:", best_of)
    arms = [Arm("random"), *(arm for arm in CANDIDATES if arm.setting == best_of[arm.name])]
    arms.insert(2, replace(arms[1], name="GFlowNet, R^3", sharpness=3.0))

    judged, curves = [], []
    for arm in arms:
        for seed in range(arguments.seeds):
            visited = run(arm, arguments.budget, models, seed, folder)
            points = list(curve(visited, beta, threshold))
            row = summary(arm, seed, visited, points)
            curves += [{"arm": arm.name, "seed": seed, **point} for point in points]
            for selector, batch in picks(config, models, visited, set(measured)).items():
                told = verdict(models, batch, answers, best)
                judged.append({**row, "selector": selector, **told})
                print("  ", selector, {k: round(v, 3) for k, v in told.items()}, flush=True)
    table = pd.DataFrame(judged)
    kept = pd.concat([table.assign(purpose="reported"), pd.DataFrame(tried).assign(purpose="choice of settings")])
    kept.to_csv(arguments.out / "gflownet_vs_ppo.csv", index=False, float_format="%.5g")
    means = table.drop(columns=["setting", "seed"])
    print("\n" + markdown(means.groupby(["arm", "selector"], sort=False).mean(), means))
    plot(pd.DataFrame(curves), table, best, arguments.out / "gflownet_vs_ppo.png")


def markdown(mean: pd.DataFrame, every: pd.DataFrame) -> str:
    """Means over the seeds, +- their standard deviation."""
    spread = every.groupby(["arm", "selector"], sort=False).std(ddof=1)
    sampler = {
        "top100": "best 100, acquisition (spreads)",
        "modes": "modes",
        "families": "families",
        "top100_distance": "Tanimoto distance in the best 100",
        "pool_distinct": "distinct in the pool",
        "pool_distance": "Tanimoto distance in the pool",
        "cpu_s": "CPU of training (s)",
    }
    batch = {
        "predicted_eV": "predicted (eV)",
        "measured_eV": "measured (eV)",
        "predicted_minus_measured_eV": "predicted - measured (eV)",
        "records": "picks better than all before",
        "batch_distance": "Tanimoto distance",
    }

    def cell(key: Any, column: str) -> str:
        digits = 0 if column in ("modes", "families", "cpu_s") else 1 if column == "records" else 2
        error = spread.loc[key, column]
        return f"{mean.loc[key, column]:.{digits}f}" + (f" ± {error:.{digits}f}" if np.isfinite(error) else "")

    lines = ["| sampler | " + " | ".join(sampler.values()) + " |", "|---" * (1 + len(sampler)) + "|"]
    arms = list(dict.fromkeys(arm for arm, _ in mean.index))
    lines += [f"| {a} | " + " | ".join(cell((a, "greedy"), c) for c in sampler) + " |" for a in arms]
    lines += [
        "",
        f"| sampler | {N_PICKS} picks | " + " | ".join(batch.values()) + " |",
        "|---" * (2 + len(batch)) + "|",
    ]
    lines += [
        f"| {a} | {SELECTORS[s]} | " + " | ".join(cell((a, s), c) for c in batch) + " |"
        for s in SELECTORS
        for a in arms
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
