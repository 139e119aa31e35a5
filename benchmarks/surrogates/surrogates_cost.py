"""Time and memory of each surrogate against the number of observations, and two required speeds.

    python benchmarks/surrogates/surrogates_cost.py                    # up to 100,000 observations, 20 min; resumable
    python benchmarks/surrogates/surrogates_cost.py --levels           # the two required speeds only, 1 to 2 minutes
    python benchmarks/surrogates/surrogates_cost.py --device cuda      # on a GPU, with its own memory and results

The inputs are Morgan count fingerprints (2,048 columns) of the Enamine10k molecules; beyond 10,446 rows, each block of
64 columns is taken from one of two random molecules. The target is a linear function with noise of a tenth of its
spread. Each measurement runs in its own process with one thread: a fit, mean and variance of 10,000 rows, and the peak
memory beyond the data. A surrogate is measured up to the size at which a fit takes two minutes. The growth exponent is
the slope of log time over the upper half of the sizes.

Required speeds: one refit of the exact Gaussian process at n = 2,000 within 5 s; mean and variance of at least 10,000
objects per second at n = 1,000, from cached features on one core. Printed for comparison: BoTorch's default
SingleTaskGP (n = 300), and the bare matrix product and factorisations of these sizes. Writes surrogates_cost.csv and
.png; on a GPU surrogates_cost_cuda.csv and .png.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

BENCHMARKS = Path(__file__).parents[1]
SIZES = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
N_PREDICTIONS = 10_000
LONGEST_FIT_S = 120.0
SURROGATES = {
    "gp": {"kind": "gp"},
    "variational": {"kind": "variational", "n_inducing": 1024},
    "ensemble": {"kind": "ensemble", "encoder": "mlp"},
    "deep_kernel": {"kind": "deep_kernel", "encoder": "mlp"},
    "auto": {"kind": "auto"},
}


def rows(n: int, seed: int) -> np.ndarray:
    """Return n fingerprints, of real molecules first, then of recombined ones: n x 2,048, float32."""
    from al_loop import load_config
    from al_loop.campaign.building import build_environment
    from al_loop.config import Part, build

    path = BENCHMARKS.parent / "runs" / "surrogates_cost.npy"
    if not path.exists():
        objects = build_environment(load_config(BENCHMARKS.parent / "configs" / "pool_enamine10k.yaml")).objects
        path.parent.mkdir(exist_ok=True)
        np.save(path, build("features", Part(kind="morgan"))(objects).numpy().astype(np.uint8))
    real = np.load(path)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(real))[:n]
    if n <= len(real):
        return real[order].astype(np.float32)
    first, second = rng.integers(len(real), size=(2, n - len(real)))
    choice = np.repeat(rng.random((n - len(real), 32)) < 0.5, 64, axis=1)
    return np.concatenate([real[order], np.where(choice, real[first], real[second])]).astype(np.float32)


def measure(name: str, n: int, device: str) -> dict[str, float]:
    """Measure a surrogate with n observations, in this process: seconds of fit and predictions, memory in MB."""
    import torch

    from al_loop.config import BuildContext, Part, build

    torch.set_num_threads(1)
    X = torch.from_numpy(rows(n, 0))
    X_test = torch.from_numpy(rows(N_PREDICTIONS, 1))
    generator = torch.Generator().manual_seed(0)
    y = X.double() @ torch.randn(2048, generator=generator).double()
    y += 0.1 * y.std() * torch.randn(n, generator=generator).double()
    X, y, X_test = X.to(device), y.to(device), X_test.to(device)
    is_gpu = X.is_cuda
    surrogate = build("surrogate", Part.model_validate(SURROGATES[name]), BuildContext(kernel="tanimoto"))
    surrogate.fit(X[:50], y[:50, None]).mean_and_variance(X_test[:10])  # warm up

    def peak_mb() -> float:
        if is_gpu:
            return torch.cuda.max_memory_allocated() / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def now() -> float:
        if is_gpu:
            torch.cuda.synchronize()
        return time.monotonic()

    before, began = peak_mb(), now()
    model = surrogate.fit(X, y[:, None])
    fitted = now()
    model.mean_and_variance(X_test)
    predicted = now()
    return {"fit_s": fitted - began, "predict_s": predicted - fitted, "memory_mb": max(peak_mb() - before, 0.0)}


def levels() -> None:
    """Measure the two required speeds, and the operations that they are compared with."""
    import torch
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from gpytorch.mlls import ExactMarginalLogLikelihood

    from al_loop.surrogates.gp import ExactGP

    X, X_test = torch.from_numpy(rows(2000, 0)), torch.from_numpy(rows(N_PREDICTIONS, 1))
    y = (X.double() @ torch.randn(2048, generator=torch.Generator().manual_seed(0)).double())[:, None]

    def median_of(count: int, call: object) -> float:
        seconds = []
        for _ in range(count):
            began = time.monotonic()
            call()  # type: ignore[operator]
            seconds.append(time.monotonic() - began)
        return float(np.median(seconds))

    torch.set_num_threads(1)  # as in a campaign; on a busy machine, two threads wait for each other
    refit = median_of(3, lambda: ExactGP().fit(X, y))
    print(f"refit at n = 2,000, one thread: {refit:.2f} s (required: 5 s) {'passes' if refit <= 5 else 'FAILS'}")
    T = X @ X.T / 300 + torch.eye(2000) * 10
    product = median_of(3, lambda: X @ X.T)
    factor = median_of(3, lambda: torch.linalg.cholesky(T.double()))
    eigen = median_of(1, lambda: torch.linalg.eigh(T.double()))
    print(f"  bare: product of the rows {product:.3f} s, Cholesky {factor:.3f} s, eigendecomposition {eigen:.2f} s")
    for name, kernel in (
        ("tanimoto", "tanimoto"),
        ("a sum over three blocks", "tanimoto[0:1024] + tanimoto[1024:1848] + matern52[1848:2048]"),
    ):
        model = ExactGP(kernel).fit(X[:1000], y[:1000])
        seconds = median_of(3, lambda model=model: model.mean_and_variance(X_test))
        rate = N_PREDICTIONS / seconds
        print(
            f"mean and variance at n = 1,000 on one core, {name}: {rate:,.0f} objects/s (required: 10,000) "
            f"{'passes' if rate >= 10_000 else 'FAILS'}"
        )
    model = ExactGP().fit(X[:1000], y[:1000])
    cross = median_of(3, lambda: [part @ X[:1000].T for part in X_test.split(2048)])
    solve = median_of(
        3,
        lambda: torch.linalg.solve_triangular(
            model.L, torch.ones(1000, N_PREDICTIONS, dtype=torch.float64), upper=False
        ),
    )
    print(
        f"  bare: products with the training rows {N_PREDICTIONS / cross:,.0f}/s, "
        f"triangular solves {N_PREDICTIONS / solve:,.0f}/s"
    )
    n = 300
    stock = SingleTaskGP(X[:n].double(), (y[:n] - y[:n].mean()) / y[:n].std())
    seconds = median_of(1, lambda: fit_gpytorch_mll(ExactMarginalLogLikelihood(stock.likelihood, stock)))
    own = median_of(1, lambda: ExactGP().fit(X[:n], y[:n]))
    print(f"fit at n = {n}: BoTorch's default SingleTaskGP {seconds:.1f} s, ours {own:.2f} s")


def exponent(sizes: np.ndarray, values: np.ndarray) -> float:
    """Return the slope of log values over log sizes, for the upper half of the sizes."""
    half = len(sizes) // 2
    if len(sizes) - half < 2 or (values[half:] <= 0).any():
        return float("nan")
    return float(np.polyfit(np.log(sizes[half:]), np.log(values[half:]), 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=SIZES[-1], help="largest number of observations")
    parser.add_argument("--levels", action="store_true", help="measure the required speeds only")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--one", nargs=2, metavar=("SURROGATE", "N"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one[0], int(arguments.one[1]), arguments.device)))
        return
    if arguments.levels:
        levels()
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / f"surrogates_cost{'' if arguments.device == 'cpu' else f'_{arguments.device}'}.csv"
    done = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["surrogate", "n", "fit_s"])
    for name in SURROGATES:
        for n in [size for size in SIZES if size <= arguments.most]:
            here = done[done["surrogate"] == name]
            if (here["n"] == n).any():
                continue
            if len(here) >= 2:  # extrapolate from the last two sizes
                last = here.sort_values("n").tail(2).astype({"n": float, "fit_s": float})
                slope = np.diff(np.log(last["fit_s"]))[0] / np.diff(np.log(last["n"]))[0]
                if last["fit_s"].iloc[-1] * (n / last["n"].iloc[-1]) ** max(slope, 1) > LONGEST_FIT_S:
                    n_last = int(last["n"].iloc[-1])
                    print(f"{name}: stops at {n_last:,}, as the next fit would take over {LONGEST_FIT_S:g} s")
                    break
            command = [sys.executable, __file__, "--one", name, str(n), "--device", arguments.device]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            row = {"surrogate": name, "n": n, **json.loads(output.splitlines()[-1])}
            done = pd.concat([done, pd.DataFrame([row])], ignore_index=True)
            done.to_csv(path, index=False)
    report(done, path.with_suffix(".png"))
    if arguments.device == "cpu":
        levels()


def report(table: pd.DataFrame, figure_path: Path) -> None:
    columns = {"fit_s": "fit (s)", "predict_s": "10,000 predictions (s)", "memory_mb": "peak memory (MB)"}
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    for axes, (column, label) in zip(figure.subplots(1, 3), columns.items(), strict=True):
        print(f"\n{label}\n{'':12s}" + "".join(f"{n:>10,}" for n in SIZES) + "   growth")
        for name in [s for s in SURROGATES if s in set(table["surrogate"])]:
            here = table[table["surrogate"] == name].sort_values("n")
            values = dict(zip(here["n"], here[column], strict=True))
            growth = exponent(here["n"].to_numpy(dtype=float), here[column].to_numpy(dtype=float))
            cells = "".join(f"{values[n]:10.2f}" if n in values else f"{'':>10s}" for n in SIZES)
            print(f"{name:12s}{cells}   n^{growth:.1f}")
            axes.loglog(
                here["n"],
                here[column].clip(lower=1e-3 if column.endswith("_s") else 1),
                "o-",
                ms=3,
                label=f"{name}, n^{growth:.1f}",
            )
        axes.set(xlabel="observations", title=label)
        axes.legend(fontsize=7)
    figure.savefig(figure_path, dpi=150)


if __name__ == "__main__":
    main()
