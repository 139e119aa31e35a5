"""A GFlowNet, PPO and random molecules compared as the sampler of one round of the quickstart campaign.

    python benchmarks/engine/gflownet_vs_ppo.py                  # 3 seeds, about 20 minutes on 2 cores; resumable

The quickstart's oracle (GFN2-xTB, ionisation potential) measures random molecules of its fragment space, its Gaussian
process is fitted to them, and its acquisition, with its constraints, is the reward. Each sampler is trained with the
same number of reward calls and the same policy network, and then draws a pool, as in a campaign. Of both samplers four
settings are tried on a separate seed, and those with the larger mean reward of the best 100 molecules are used for the
reported seeds. The GFlowNet is trained for the reward and for its third power, which equals a larger reward.beta.

A mode is a molecule with a larger reward than all reference (random) molecules, and a Tanimoto similarity (Morgan bits,
radius 2) below 0.7 to all previous modes; families are counted likewise, with a similarity below 0.4. Finally the
oracle measures 32 picks of each sampler: the best by acquisition, and the choice of the quickstart's selector. Trained
samplers and measurements are stored in --runs. Prints the table, writes gflownet_vs_ppo.csv (all runs) and
gflownet_vs_ppo.png.
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

BENCHMARKS = Path(__file__).parents[1]
CONFIG = BENCHMARKS.parent / "configs" / "quickstart.yaml"
N_REFERENCE, N_POOL, N_VISITED, N_PICKS, N_POINTS = 1000, 512, 1000, 32, 20
TUNING_SEED = 1000
#: Tanimoto similarity from which two molecules count as one
SIMILAR = {"modes": 0.7, "families": 0.4}
COLOURS = {"GFlowNet": "#1f6f8b", "GFlowNet, R^3": "#3fae8f", "PPO": "#d1603d", "random": "#8c8c8c"}
SELECTORS = {"greedy": "best by acquisition", "diverse": "the quickstart's selector"}


def random_molecules(config: CampaignConfig, n: int, *names: int | str) -> list[str]:
    """Draw n random molecules, with a seed derived from the campaign's seed and some names."""
    environment = build_environment(config)
    generator = torch.Generator().manual_seed(derive_seed(config.seed, *names))
    return environment.decode(rollout(environment, None, n, generator=generator).terminal)


def measure(config: CampaignConfig, smiles: str) -> float:
    """Return the oracle's value of a molecule (eV), or NaN for a failure."""
    torch.set_num_threads(1)
    from al_loop.oracles.base import evaluate_each

    (outcome,) = evaluate_each(build_oracle(config), [smiles])
    return float("nan") if outcome.values is None else float(outcome.values[0])


class CachedOracle:
    """The oracle, with every measurement written to disk at once and never repeated.

    Args:
        config: the campaign's config.
        path: the file of measurements.
        workers: number of processes.
    """

    def __init__(self, config: CampaignConfig, path: Path, workers: int) -> None:
        self._config, self._path, self._workers = config, path, workers
        self._values: dict[str, float] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                smiles, value = line.split(",")
                self._values[smiles] = float(value)

    def __call__(self, objects: Sequence[str]) -> np.ndarray:
        """Return the values of n molecules, NaN for failures: n."""
        new = [o for o in dict.fromkeys(objects) if o not in self._values]
        if new:
            with ProcessPoolExecutor(self._workers) as pool, self._path.open("a") as file:
                for smiles, value in zip(new, pool.map(measure, [self._config] * len(new), new), strict=True):
                    self._values[smiles] = value
                    print(f"{smiles},{value:.5f}", file=file, flush=True)
        return np.array([self._values[o] for o in objects])


def fit(config: CampaignConfig, measured: Sequence[str], values: np.ndarray) -> FittedModels:
    """Fit the quickstart's models to n measurements (eV, NaN for failures)."""
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
    """The reward, with a record of every molecule it was computed for, in order."""

    def __init__(self, models: FittedModels) -> None:
        self._reward = copy.copy(models.reward)  # without the state left by other samplers
        self.objects: list[str] = []
        self.log_rewards: list[float] = []

    def __call__(self, objects: Sequence[str]) -> Tensor:
        """Return the log-rewards of n molecules: n."""
        values = self._reward(objects)
        self.objects += objects
        self.log_rewards += values.tolist()
        return values


@dataclass(frozen=True)
class Arm:
    """A sampler and its settings.

    Args:
        name: of the sampler.
        setting: description of the settings.
        overrides: changes of the config.
        entropy: weight of PPO's entropy bonus.
        sharpness: a GFlowNet draws in proportion to the reward to this power.
    """

    name: str
    setting: str = ""
    overrides: tuple[str, ...] = ()
    entropy: float = 0.0
    sharpness: float = 1.0

    def train(self, config: CampaignConfig, seed: int, journal: Journal) -> list[str]:
        """Train with the budget of rewards, then draw and return the pool."""
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
    """Train a sampler and draw its pool, or read the stored result.

    Args:
        arm: the sampler.
        budget: number of reward calls.
        models: the fitted models, with the reward.
        seed: of the training.
        folder: where results are stored.

    Returns:
        The visited molecules followed by the pool, their log-rewards, the number of calls and CPU seconds.
    """
    label = "-".join(re.findall(r"[\w.]+", f"{arm.name} {arm.setting} {seed}"))
    path = folder / f"{label}.json"
    if not path.exists():
        config = load_config(CONFIG, ["sampler.batch_size=64", f"sampler.steps={budget // 64}", *arm.overrides])
        journal, started = Journal(models), time.process_time()
        pool = arm.train(config, seed, journal)
        seconds, n_calls = time.process_time() - started, len(journal.objects)
        journal(pool)
        costs = {"n_calls": n_calls, "seconds": seconds}
        content = {"objects": journal.objects, "log_rewards": journal.log_rewards, **costs}
        path.with_suffix(".part").write_text(json.dumps(content))
        path.with_suffix(".part").rename(path)
    return json.loads(path.read_text())  # type: ignore[no-any-return]


_GENERATOR = GetMorganGenerator(radius=2, fpSize=2048)


def bits(smiles: str) -> Any:
    return _GENERATOR.GetFingerprint(Chem.MolFromSmiles(smiles))


def distance(objects: Sequence[str]) -> float:
    """Return the mean pairwise Tanimoto distance."""
    prints = [bits(o) for o in objects]
    return mean_pairwise_distance(np.array([DataStructs.BulkTanimotoSimilarity(p, prints) for p in prints]))


def curve(visited: dict[str, Any], beta: float, threshold: float) -> Iterator[dict[str, float]]:
    """Yield the best 100 molecules so far and the number of modes, at ``N_POINTS`` points of the training.

    Args:
        visited: a result of ``run``.
        beta: inverse temperature of the reward.
        threshold: acquisition above which a molecule may be a mode, in spreads above the median random molecule.
    """
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
            **{name: len(bit_vectors) for name, bit_vectors in leaders.items()},
            "top100_distance": distance(best),
            "distinct": len(values),
        }


def picks(
    config: CampaignConfig, models: FittedModels, visited: dict[str, Any], measured: set[str]
) -> dict[str, list[str]]:
    """Select batches as a campaign would, from the pool and the best molecules visited in training."""
    features, constraints, n = Morgan(), constraints_of(config), visited["n_calls"]
    ranked = sorted(zip(visited["log_rewards"][:n], visited["objects"][:n], strict=True), reverse=True)
    best = list(dict.fromkeys(name for _, name in ranked))[:N_VISITED]
    names = [o for o in dict.fromkeys([*visited["objects"][n:], *best]) if o not in measured]
    names = [o for o, v in zip(names, constraints.violation(names).tolist(), strict=True) if v == 0]
    X = features(names)
    scores = models.scores(X)
    chosen = {"greedy": scores.argsort(descending=True)[:N_PICKS].tolist()}
    chosen["diverse"] = build("selector", config.selector).select(
        SelectionContext(N_PICKS, scores, X, features.similarity)
    )
    return {selector: [names[i] for i in rows] for selector, rows in chosen.items()}


def assess(models: FittedModels, batch: Sequence[str], oracle: CachedOracle, best: float) -> dict[str, float]:
    """Measure a batch, and compare the measurements with the model's predictions.

    Args:
        models: the fitted models.
        batch: SMILES of the batch.
        oracle: measures the batch.
        best: lowest value measured before (eV).
    """
    predicted, true = models.predict(Morgan()(batch))[0][:, 0], oracle(batch)
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
    names, centres = [], []
    for i, selector in enumerate(SELECTORS):
        for k, arm in enumerate(COLOURS):
            rows = table[(table["arm"] == arm) & (table["selector"] == selector)]
            x = 5 * i + k
            for one in rows.itertuples():
                right.plot([x - 0.18, x + 0.18], [one.predicted_eV, one.measured_eV], color=COLOURS[arm], alpha=0.5)
                right.plot(x - 0.18, one.predicted_eV, "o", color=COLOURS[arm], fillstyle="none", markersize=5)
                right.plot(x + 0.18, one.measured_eV, "o", color=COLOURS[arm], markersize=5)
        centres.append(5 * i + 1.5)
        names.append(SELECTORS[selector])
    right.axhline(best_random, color="#c0c0c0", linewidth=0.9, zorder=0)
    right.annotate("best before this round", (4.0, best_random), fontsize=7, ha="center", va="bottom")
    right.set_xticks(centres, names)
    right.set(ylabel=f"mean of {N_PICKS} picks (eV, lower is better)")
    right.set_title("ionisation potential (hollow: predicted, filled: measured)", fontsize=9)
    for ax in (left, middle, right):
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=int, default=6400, help="reward calls per training")
    parser.add_argument("--measured", type=int, default=200, help="random molecules that the model is fitted to")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="oracle processes")
    parser.add_argument("--runs", type=Path, default=Path("runs/gflownet_vs_ppo"))
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = arguments.runs / f"{arguments.measured}-{arguments.budget}"
    for path in (folder, arguments.out):
        path.mkdir(parents=True, exist_ok=True)
    config = load_config(CONFIG)
    oracle = CachedOracle(config, arguments.runs / "oracle.csv", arguments.workers)
    measured = list(dict.fromkeys(random_molecules(config, 2 * arguments.measured, "measured")))[: arguments.measured]
    values = oracle(measured)
    models = fit(config, measured, values)
    beta, best = config.reward.beta, float(np.nanmin(values))
    threshold = float(models.reward(random_molecules(config, N_REFERENCE, "reference")).max()) / beta
    print(f"{len(measured)} random molecules: best {best:.2f} eV, mean {np.nanmean(values):.2f} eV")
    print(f"modes have an acquisition above {threshold:.2f} spreads, the best of {N_REFERENCE} random molecules")

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

    trials = []
    for arm in CANDIDATES:
        visited = run(arm, arguments.budget, models, TUNING_SEED, folder)
        trials.append(summary(arm, TUNING_SEED, visited, list(curve(visited, beta, threshold))))
    best_of = {row["arm"]: row["setting"] for row in sorted(trials, key=lambda row: row["top100"])}
    print("chosen:", best_of)
    arms = [Arm("random"), *(arm for arm in CANDIDATES if arm.setting == best_of[arm.name])]
    arms.insert(2, replace(arms[1], name="GFlowNet, R^3", sharpness=3.0))

    results, curves = [], []
    for arm in arms:
        for seed in range(arguments.seeds):
            visited = run(arm, arguments.budget, models, seed, folder)
            points = list(curve(visited, beta, threshold))
            row = summary(arm, seed, visited, points)
            curves += [{"arm": arm.name, "seed": seed, **point} for point in points]
            for selector, batch in picks(config, models, visited, set(measured)).items():
                measurements = assess(models, batch, oracle, best)
                results.append({**row, "selector": selector, **measurements})
                print("  ", selector, {k: round(v, 3) for k, v in measurements.items()}, flush=True)
    table = pd.DataFrame(results)
    every_run = pd.concat([table.assign(purpose="reported"), pd.DataFrame(trials).assign(purpose="choice of settings")])
    every_run.to_csv(arguments.out / "gflownet_vs_ppo.csv", index=False, float_format="%.5g")
    means = table.drop(columns=["setting", "seed"])
    print("\n" + markdown(means.groupby(["arm", "selector"], sort=False).mean(), means))
    plot(pd.DataFrame(curves), table, best, arguments.out / "gflownet_vs_ppo.png")


def markdown(mean: pd.DataFrame, every: pd.DataFrame) -> str:
    """Return two Markdown tables, of samplers and of batches.

    Args:
        mean: means over the seeds, by arm and selector.
        every: the rows of every seed, of which the standard deviations are added.
    """
    spread = every.groupby(["arm", "selector"], sort=False).std(ddof=1)
    sampler = {
        "top100": "best 100, acquisition (spreads)",
        "modes": "modes",
        "families": "families",
        "top100_distance": "Tanimoto distance in the best 100",
        "pool_distinct": "distinct in the pool",
        "pool_distance": "Tanimoto distance in the pool",
        "cpu_s": "CPU time of training (s)",
    }
    batch = {
        "predicted_eV": "predicted (eV)",
        "measured_eV": "measured (eV)",
        "predicted_minus_measured_eV": "predicted - measured (eV)",
        "records": "picks better than the best before",
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
