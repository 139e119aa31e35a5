"""Accuracy and calibration of each surrogate on docking scores.

    python benchmarks/surrogates/surrogates_quality.py      # 5 random and 5 scaffold splits, 30 minutes; resumable

The data are Enamine10k's docking scores (kcal/mol): 500 and 2,000 training molecules and 4,000 test molecules, in
random splits and in splits by Bemis-Murcko scaffold, where no scaffold is in both sets. Measured are RMSE, mean
negative log predictive density (noise included), rank correlation, and coverage of the central 50, 80 and 95 %
intervals. Baselines:

- a random forest (scikit-learn, 100 trees; its variance is that of the trees plus the remainder of the out-of-bag
  residuals);
- BoTorch's SingleTaskGP with an RBF kernel of one lengthscale on the same fingerprints, with at most 30 steps of L-BFGS
  for n = 2,000 (its default, one lengthscale for each of the 2,048 columns, takes minutes per fit).

Writes surrogates_quality.csv and surrogates_quality.png.

    python benchmarks/surrogates/surrogates_quality.py --ensemble    # gp_ensemble beside its members, 10 minutes

compares an ensemble of Gaussian processes with each of its members, on docking scores of Enamine10k and on ionisation
potentials of MODES, of 60 and 200 training molecules and 300 test molecules, and writes surrogates_ensemble.csv.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from al_loop import load_config
from al_loop.campaign.building import build_environment, build_oracle
from al_loop.config import BuildContext, Part, build
from al_loop.monitoring.metrics import scaffold
from al_loop.monitoring.scores import score
from al_loop.oracles.base import evaluate_all

BENCHMARKS = Path(__file__).parents[1]
CONFIG = BENCHMARKS.parent / "configs" / "pool_enamine10k.yaml"
N_TEST = 4000
JOINED = {"kind": "joined", "parts": [{"kind": "morgan"}, {"kind": "morgan", "roles": True}, {"kind": "descriptors"}]}
#: name -> configs of surrogate and features
OURS: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "gp, tanimoto": ({"kind": "gp"}, {"kind": "morgan"}),
    "gp, minmax": ({"kind": "gp", "kernel": "minmax"}, {"kind": "morgan"}),
    "gp, unfolded": ({"kind": "gp"}, {"kind": "circular"}),
    "gp, unfolded minmax": ({"kind": "gp", "kernel": "sparse_minmax"}, {"kind": "circular"}),
    "gp, joined": ({"kind": "gp"}, JOINED),
    "variational (1,024 rows)": ({"kind": "variational"}, {"kind": "morgan"}),
    "ensemble": ({"kind": "ensemble"}, {"kind": "morgan"}),
    "deep_kernel": ({"kind": "deep_kernel"}, {"kind": "morgan"}),
    "deep_kernel, graph": ({"kind": "deep_kernel"}, {"kind": "graph"}),
    "auto": ({"kind": "auto"}, {"kind": "morgan"}),
}
Predictor = Callable[[Tensor, Tensor, Tensor], tuple[np.ndarray, np.ndarray]]


def ours(part: dict[str, object], features: object) -> Predictor:
    """Return a function that fits one of our surrogates, and predicts mean and variance of observations."""
    context = BuildContext(kernel=features.kernel, layout=features.layout)  # type: ignore[attr-defined]
    surrogate = build("surrogate", Part.model_validate(part), context)

    def predict(X: Tensor, y: Tensor, X_test: Tensor) -> tuple[np.ndarray, np.ndarray]:
        model = surrogate.fit(X, y[:, None])
        mean, variance = model.mean_and_variance(X_test)
        return mean.numpy(), variance.numpy() + float(model.noise_variance)

    return predict


def forest(X: Tensor, y: Tensor, X_test: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Fit a random forest; return mean and variance of the test rows."""
    from sklearn.ensemble import RandomForestRegressor

    model = RandomForestRegressor(100, oob_score=True, random_state=0, min_samples_leaf=1, max_features=0.3)
    model.fit(X.float().numpy(), y.numpy())
    trees = np.stack([tree.predict(X_test.float().numpy()) for tree in model.estimators_])
    own = np.stack([tree.predict(X.float().numpy()) for tree in model.estimators_]).var(0)
    remainder = max(float(((model.oob_prediction_ - y.numpy()) ** 2).mean() - own.mean()), 1e-6)
    return trees.mean(0), trees.var(0) + remainder


def plain_rbf(X: Tensor, y: Tensor, X_test: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Fit BoTorch's SingleTaskGP; return mean and variance of the test rows."""
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.models.transforms import Standardize
    from gpytorch.kernels import RBFKernel, ScaleKernel
    from gpytorch.mlls import ExactMarginalLogLikelihood

    kernel = ScaleKernel(RBFKernel())
    kernel.base_kernel.lengthscale = float(
        torch.pdist(X[:500]).median()
    )  # a fit from its default start, 0.7, gets stuck
    model = SingleTaskGP(X, y[:, None], outcome_transform=Standardize(1), covar_module=kernel)
    options = {"maxiter": 30} if len(X) > 1000 else {}
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model), optimizer_kwargs={"options": options})
    means, variances = [], []
    with torch.no_grad():
        for part in X_test.split(500):
            posterior = model.posterior(part, observation_noise=True)
            means.append(posterior.mean[:, 0])
            variances.append(posterior.variance[:, 0])
    return torch.cat(means).numpy(), torch.cat(variances).numpy()


#: take minutes per fit at n = 2,000, so that only one split is measured
_SLOW = ("BoTorch GP, RBF",)
PEERS: dict[str, Predictor] = {"random forest": forest, "BoTorch GP, RBF": plain_rbf}


def split(kind: str, seed: int, n: int, scaffolds: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Split the molecules.

    Args:
        kind: "random" or "scaffold".
        seed: of the split.
        n: number of training molecules.
        scaffolds: scaffold of each molecule.

    Returns:
        Indices of training and test molecules.

    Raises:
        ValueError: no scaffold is left for the test molecules.
    """
    rng = np.random.default_rng([seed, n])
    if kind == "random":
        order = rng.permutation(len(scaffolds))
        return order[:n], order[n : n + N_TEST]
    names = np.array(scaffolds)
    train: list[int] = []
    groups = rng.permutation(np.unique(names))
    rows = {name: np.flatnonzero(names == name) for name in groups}
    for i, name in enumerate(groups):
        if len(train) >= n:
            rest = np.concatenate([rows[other] for other in groups[i:]])
            return np.array(train[:n]), rng.permutation(rest)[:N_TEST]
        train += rows[name].tolist()
    raise ValueError(f"{n} training molecules contain all scaffolds; choose fewer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=5, help="random and scaffold splits each")
    parser.add_argument("--sizes", type=int, nargs="*", default=[500, 2000], help="numbers of training molecules")
    parser.add_argument("--ensemble", action="store_true", help="gp_ensemble beside each of its members")
    parser.add_argument("--data", nargs="*", choices=list(ENSEMBLE_DATA), default=list(ENSEMBLE_DATA), help="with it")
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if arguments.ensemble:
        compare_with_members(arguments.data, min(arguments.splits, 3), arguments.out)
        return
    objects, y = enamine()
    scaffolds = [scaffold(o) or "none" for o in objects]
    features = {repr(f): build("features", Part.model_validate(f)) for _, f in OURS.values()}
    rows: dict[str, Tensor] = {}
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "surrogates_quality.csv"
    done = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["surrogate", "n", "split", "seed"])
    for seed in range(arguments.splits):
        for n in arguments.sizes:
            for kind in ("random", "scaffold"):
                train, test = split(kind, seed, n, scaffolds)
                for name in [*OURS, *PEERS]:
                    key = (
                        (done["surrogate"] == name)
                        & (done["n"] == n)
                        & (done["split"] == kind)
                        & (done["seed"] == seed)
                    )
                    if key.any() or (n > 1000 and seed > 0 and name in _SLOW):
                        continue
                    f = repr(OURS[name][1] if name in OURS else {"kind": "morgan"})
                    if f not in rows:
                        rows[f] = features[f](objects)
                    predict = ours(OURS[name][0], features[f]) if name in OURS else PEERS[name]
                    began = time.monotonic()
                    mean, variance = predict(rows[f][train], y[train], rows[f][test])
                    scores = score(mean, np.sqrt(variance), y[test].numpy())
                    new = {
                        "surrogate": name, "n": n, "split": kind, "seed": seed, "seconds": time.monotonic() - began,
                        "rmse": scores.rmse, "nlpd": scores.nlpd, "rank_correlation": scores.rank_correlation,
                        **{f"coverage_{level}": share for level, share in scores.coverage.items()},
                    }  # fmt: skip
                    done = pd.concat([done, pd.DataFrame([new])], ignore_index=True)
                    done.to_csv(path, index=False)
    report(done, arguments.out)


def enamine() -> tuple[list[str], Tensor]:
    """Return the molecules of Enamine10k and their docking scores, larger is better."""
    config = load_config(CONFIG)
    objects = list(build_environment(config).objects)
    outcomes = zip(objects, evaluate_all(build_oracle(config), objects), strict=True)
    measured = [(name, -outcome.values[0]) for name, outcome in outcomes if outcome.values]
    return [name for name, _ in measured], torch.tensor([value for _, value in measured], dtype=torch.float64)


def modes() -> tuple[list[str], Tensor]:
    """Return the molecules of MODES and their ionisation potentials (eV), larger is better."""
    table = pd.read_csv(BENCHMARKS / "data" / "modes_ionisation_potentials.csv")
    return table["smiles"].tolist(), -torch.from_numpy(table["ionisation_potential_eV"].to_numpy(dtype=np.float64))


#: data set -> its reader, and numbers of training molecules
ENSEMBLE_DATA = {"modes": (modes, (60, 200)), "enamine10k": (enamine, (60, 200))}
N_TEST_OF_ENSEMBLES = 300


def compare_with_members(data_sets: list[str], n_splits: int, out: Path) -> None:
    """Compare an ensemble of Gaussian processes with each of its members; resumable.

    Args:
        data_sets: keys of ``ENSEMBLE_DATA``.
        n_splits: random splits of each data set.
        out: folder of the results.
    """
    from al_loop.surrogates.gp_ensemble import GPEnsemble

    features = build("features", Part.model_validate(GPEnsemble.default_features))
    kernels = GPEnsemble(features.kernel).kernels
    names = ["Morgan", "roles", "atom pairs", "descriptors", "sum of all"]
    members = dict(zip(names, [{"kind": "gp", "kernel": kernel} for kernel in kernels], strict=True))
    surrogates = {**members, "gp_ensemble": {"kind": "gp_ensemble"}}
    path = out / "surrogates_ensemble.csv"
    keys = ["data", "surrogate", "n", "seed"]
    done = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=keys)
    for data in data_sets:
        load, sizes = ENSEMBLE_DATA[data]
        objects, y = load()
        for seed in range(n_splits):
            for n in sizes:
                order = np.random.default_rng([seed, n]).permutation(len(objects))[: n + N_TEST_OF_ENSEMBLES]
                measured = set(done[keys].itertuples(False, None))
                missing = [s for s in surrogates if (data, s, n, seed) not in measured]
                X = features([objects[i] for i in order]) if missing else torch.empty(0)
                for name in missing:
                    began = time.process_time()
                    mean, variance = ours(surrogates[name], features)(X[:n], y[order[:n]], X[n:])
                    scores = score(mean, np.sqrt(variance), y[order[n:]].numpy())
                    row = {"data": data, "surrogate": name, "n": n, "seed": seed}
                    row |= {"cpu_s": time.process_time() - began, "rmse": scores.rmse, "nlpd": scores.nlpd}
                    done = pd.concat([done, pd.DataFrame([row])], ignore_index=True)
                    done.to_csv(path, index=False)
    for (data, n), part in done.groupby(["data", "n"]):
        print(f"\n{data}, {n} training molecules ({part['seed'].nunique()} splits, mean)")
        for name, own in part.groupby("surrogate", sort=False):
            print(
                f"{name:14s} RMSE {own['rmse'].mean():.3f}  NLPD {own['nlpd'].mean():.3f}  {own['cpu_s'].mean():.1f} s"
            )
        means = part.groupby("surrogate")[["rmse", "nlpd"]].mean()
        best = means.drop(index="gp_ensemble").min()
        ratio, gap = means["rmse"]["gp_ensemble"] / best["rmse"], means["nlpd"]["gp_ensemble"] - best["nlpd"]
        print(f"gp_ensemble beside the best member of each column: RMSE x {ratio:.3f}, NLPD {gap:+.3f}")


def report(table: pd.DataFrame, out: Path) -> None:
    names = [name for name in [*OURS, *PEERS] if name in set(table["surrogate"])]
    for (kind, n), part in table.groupby(["split", "n"]):
        print(f"\n{kind} splits, {n} training molecules ({part['seed'].nunique()} splits; mean +- standard error)")
        print(
            f"{'':28s} {'RMSE':>15s} {'NLPD':>16s}  {'coverage 50 / 80 / 95 %':>24s}  rank corr.  fit and predict (s)"
        )
        for name in names:
            r = part[part["surrogate"] == name]
            cover = " / ".join(f"{r[f'coverage_{level}'].mean():.2f}" for level in (50, 80, 95))
            rmse, nlpd = (f"{r[column].mean():6.3f} +- {r[column].sem():.3f}" for column in ("rmse", "nlpd"))
            print(
                f"{name:28s} {rmse}  {nlpd}"
                f"  {cover:>24s}  {r['rank_correlation'].mean():10.3f}  {r['seconds'].median():.1f}"
            )
    sizes = sorted(table["n"].unique())
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    grid = figure.subplots(2, 2)
    colours = [f"C{i % 10}" for i in range(len(names))]
    for column, kind in enumerate(("random", "scaffold")):
        part = table[table["split"] == kind]
        axes = grid[0][column]
        for j, n in enumerate(sizes):
            means = [part[(part["surrogate"] == s) & (part["n"] == n)]["rmse"].mean() for s in names]
            errors = [part[(part["surrogate"] == s) & (part["n"] == n)]["rmse"].sem() for s in names]
            axes.barh(np.arange(len(names)) + 0.4 * j, means, 0.38, xerr=errors, label=f"{n:,} training molecules")
        axes.set(
            yticks=np.arange(len(names)) + 0.2, yticklabels=names, xlabel="RMSE (kcal/mol)", title=f"{kind} splits"
        )
        low = float(part.groupby(["surrogate", "n"])["rmse"].mean().min())
        axes.set_xlim(0.8 * low, None)
        axes.invert_yaxis()
        axes.legend(fontsize=7)
        axes = grid[1][column]
        levels = [50, 80, 95]
        axes.plot([45, 100], [45, 100], color="0.6", lw=1, ls="--")
        for name, colour in zip(names, colours, strict=True):
            r = part[(part["surrogate"] == name) & (part["n"] == max(sizes))]
            axes.plot(
                levels,
                [100 * r[f"coverage_{level}"].mean() for level in levels],
                "o-",
                ms=3,
                lw=1,
                color=colour,
                label=name,
            )
        axes.set(
            xlabel="predicted interval (%)",
            ylabel="observations within it (%)",
            title=f"{kind} splits, n = {max(sizes):,}",
        )
        axes.legend(fontsize=6)
    figure.savefig(out / "surrogates_quality.png", dpi=150)


if __name__ == "__main__":
    main()
