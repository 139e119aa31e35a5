"""Fragments scored without decoding: equality with RDKit, and speed on a CPU thread, many cores or a GPU.

    python benchmarks/engine/molecules.py equality --zinc zinc250k.smi.xz    # 3 minutes, one thread; needs RDKit
    python benchmarks/engine/molecules.py speed                              # 4 minutes, one thread
    python benchmarks/engine/molecules.py speed round --device cuda --execution plain graphed      # 6 minutes
    python benchmarks/engine/molecules.py processes --workers 1 2 16         # 1 minute and as many cores; needs RDKit

- equality: 10,000 drawn fragment molecules, and as many of ZINC if its file is given: substructures computed in
  tensors against RDKit's unfolded Morgan counts, 10^6 pairwise similarities each, eleven descriptors, identities.
- speed: molecules per second that are drawn, described by a fingerprint and scored by a Gaussian process with
  n = 1,000: RDKit decodes and describes them, or they are described as graphs; training steps per second with that
  reward.
- round: the phases of a campaign's round with n = 5,000 answers and a pool of 10,000 objects.
- processes: molecules per second that other processes decode and reward by RDKit's log P or QED, in wall-clock time,
  with the CPU time that a molecule takes there and in the process that asks for it.

On a CPU, seconds are those of its thread (but for processes). Where RDKit, pydantic or a GPU is missing, the rows that
need them are reported as not measured. Prints each figure beside the level of issue 16, and appends it to
molecules.csv; rows that are there are not measured again, unless with --again.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import lzma
import os
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

sys.path.append(str(Path(__file__).parents[2]))

import benchmarks.support.bare_machine  # noqa: F401  before the surrogates
from al_loop.environments.fragments import Fragments
from al_loop.features.molecules.circular import Substructures, distinct_counts, folded_counts, substructures
from al_loop.features.molecules.descriptors import NAMES, descriptor
from al_loop.features.molecules.similarity import Counts, SharedCounts, tanimoto
from al_loop.gflownet import StateReward, Trainer, Training
from al_loop.gflownet.execution.choice import choose_execution
from al_loop.gflownet.execution.chunked_rollout import ChunkedRollout
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.rollout import rollout
from al_loop.surrogates.gp import ExactGP
from benchmarks.support.tables import write_table

BENCHMARKS = Path(__file__).parents[1]
HAS_RDKIT = importlib.util.find_spec("rdkit") is not None
#: the levels of issue 16
LEVELS = {
    "scored from graphs, molecules/s": 50_000.0,
    "training steps/s, batch 64": 100.0,
    "training steps/s, batch 1,024": 40.0,
    "RDKit reward, molecules/s": 20_000.0,
    "round, longest phase, s": 10.0,
}
N_TRAINING, N_EQUAL, RADIUS, N_BITS = 1000, 10_000, 2, 2048


class Table:
    """The figures, each printed beside its level and kept in a file as soon as it is there.

    Args:
        path: the file.
        device: name of the device.
        again: whether figures that are there are measured again.
    """

    def __init__(self, path: Path, device: str, again: bool) -> None:
        self.path, self.device, self.again = path, device, again
        self.rows: list[dict[str, str]] = []
        if path.exists():
            with path.open(encoding="utf-8") as file:
                self.rows = list(csv.DictReader(file))

    def lacks(self, figure: str, setting: str) -> bool:
        """Return whether a figure is to be measured; print it if it is there."""
        for row in self.rows:
            if (row["figure"], row["setting"], row["device"]) == (figure, setting, self.device) and not self.again:
                print(f"{figure:45s} {setting:32s} {row['value']:>12s}   (measured before)", flush=True)
                return False
        return True

    def add(self, figure: str, setting: str, value: float, level: float | None = None) -> None:
        """Print and keep a figure."""
        row = {"figure": figure, "setting": setting, "device": self.device, "value": f"{value:.6g}"}
        key = {k: row[k] for k in ("figure", "setting", "device")}
        self.rows = [r for r in self.rows if {k: r[k] for k in key} != key] + [row]
        beside = "" if level is None else f"   level {level:g}"
        print(f"{figure:45s} {setting:32s} {row['value']:>12s}{beside}", flush=True)
        write_table(self.path, self.rows)


def not_measured(figure: str, reason: str) -> None:
    print(f"{figure:45s} not measured: {reason}", flush=True)


def seconds_of(work: Callable[[], object], device: torch.device, at_least_s: float) -> float:
    """Return the seconds of a call, the median of several after a warm-up: of the thread on a CPU, else of the wall."""
    is_gpu = device.type == "cuda"
    clock = time.perf_counter if is_gpu else time.process_time
    work()
    taken: list[float] = []
    while (sum(taken) < at_least_s and len(taken) < 100) or len(taken) < 3:
        if is_gpu:
            torch.cuda.synchronize()
        began = clock()
        work()
        if is_gpu:
            torch.cuda.synchronize()
        taken.append(clock() - began)
    return sorted(taken)[len(taken) // 2]


# ---- equality with RDKit ---------------------------------------------------------------------------------------------


def equality(table: Table, zinc: Path | None) -> None:
    if not HAS_RDKIT:
        not_measured("equality", "RDKit is not installed")
        return
    from rdkit import Chem, RDLogger

    from al_loop.features.molecules.reading import read_graphs

    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined,unused-ignore]
    if table.lacks("identities that are not one molecule", "drawn fragments"):
        equality_of_drawn(table)
    if zinc is None:
        not_measured("equality on ZINC", "give its file by --zinc")
        return
    if not table.lacks("largest difference of FractionCSP3", "ZINC"):
        return
    with lzma.open(zinc, "rt", encoding="utf-8") as lines:
        names = [line.split()[0] for line in lines if line.strip()]
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(0))[:N_EQUAL].tolist()
    molecules = [Chem.MolFromSmiles(names[i]) for i in order]
    compare(table, "ZINC", [read_graphs(molecules[i : i + 500]) for i in range(0, N_EQUAL, 500)], molecules)


def equality_of_drawn(table: Table) -> None:
    from rdkit import Chem

    environment = Fragments()
    generator = torch.Generator().manual_seed(0)
    states = torch.cat([rollout(environment, None, 1000, generator=generator).terminal for _ in range(N_EQUAL // 1000)])
    smiles = environment.decode(states)
    parts = [environment.graphs(part) for part in states.split(1000)]
    molecules = [Chem.MolFromSmiles(s) for s in smiles]
    compare(table, "drawn fragments", parts, molecules)
    pairs = set(zip(environment.identity(states).tolist(), smiles, strict=True))
    n_ids, n_names = len({i for i, _ in pairs}), len(set(smiles))
    table.add("identities that are not one molecule", "drawn fragments", abs(n_ids - n_names) + len(pairs) - n_names)


def compare(table: Table, name: str, parts: list[Any], molecules: list[Any]) -> None:
    """Compare what follows from graphs with what RDKit says of the same molecules."""
    from rdkit.Chem import Descriptors, rdFingerprintGenerator
    from rdkit.DataStructs import BulkTanimotoSimilarity

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS)
    theirs = [generator.GetSparseCountFingerprint(m) for m in molecules]
    counts: list[Counts] = []
    n_different = 0
    for part in parts:
        found = Counts(*distinct_counts(substructures(part, RADIUS)))
        for row in range(len(found.ids)):
            own = {i: n for i, n in zip(found.ids[row].tolist(), found.counts[row].tolist(), strict=True) if n}
            n_different += own != theirs[sum(len(c.ids) for c in counts) + row].GetNonzeroElements()
        counts.append(found)
    table.add("molecules whose substructures differ", f"{name}, {len(molecules):,}", n_different)
    width = max(c.ids.shape[1] for c in counts)
    padded = [[torch.nn.functional.pad(x, (0, width - x.shape[1])) for x in c] for c in counts]
    whole = Counts(torch.cat([ids for ids, _ in padded]), torch.cat([n for _, n in padded]))
    some = Counts(whole.ids[:100], whole.counts[:100])
    own = tanimoto(SharedCounts(some, is_minimum=True)(whole), whole.counts.sum(1), some.counts.sum(1))
    expected = torch.tensor([BulkTanimotoSimilarity(f, theirs) for f in theirs[:100]], dtype=torch.float64).T
    table.add(
        "largest difference of similarities", f"{name}, {own.numel():,} pairs", float((own - expected).abs().max())
    )
    functions = dict(Descriptors.descList)
    for label in NAMES:
        values = torch.cat([descriptor(part, label) for part in parts])
        rdkit = torch.tensor([float(functions[label](m)) for m in molecules], dtype=torch.float64)
        table.add(f"largest difference of {label}", name, float((values - rdkit).abs().max()))


# ---- speed -----------------------------------------------------------------------------------------------------------


class Task:
    """Drawing fragments, and a Gaussian process that scores them.

    Args:
        device: of everything.
        n: answers that the process is fitted to.
        is_folded: whether substructures are hashed into 2,048 columns.
        execution: ``plain``, or on a GPU also ``compiled`` or ``graphed``.
    """

    def __init__(self, device: torch.device, n: int, is_folded: bool, execution: str = "plain") -> None:
        self.device, self.is_folded = device, is_folded
        self.environment = Fragments()
        torch.manual_seed(0)
        self.policy = make_policy(self.environment, 128, 2).to(device)
        self.generator = torch.Generator(device).manual_seed(0)
        way = choose_execution(execution, device, steps=10_000)
        self._chunked = None if way is None else ChunkedRollout(self.environment, self.policy, way)
        self._fast_rows = self._rows if way is None else way.record(way.compile(self._rows))
        random = torch.Generator().manual_seed(1)
        parts = [rollout(self.environment, None, 1000, generator=random).terminal for _ in range(-(-n // 1000))]
        states = torch.cat(parts)[:n].to(device)
        target = descriptor(self.environment.graphs(states), "TPSA")[:, None]
        noise = torch.randn(len(target), 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        self.X, self.Y = self._rows(states)[0].double(), target + 5 * noise.to(device)
        self.began = time.perf_counter()
        self.model: Any = ExactGP(kernel="tanimoto" if is_folded else "sparse_tanimoto").fit(self.X, self.Y)

    def draw(self, n: int) -> torch.Tensor:
        with torch.no_grad():
            if self._chunked is None:
                return rollout(self.environment, self.policy, n, generator=self.generator).terminal
            start = self.environment.initial(n, self.device)
            return self._chunked.draw(start, generator=self.generator).terminal

    def rows(self, states: torch.Tensor) -> torch.Tensor:
        """Return the features of states, as the campaign's features ``morgan`` or ``circular`` have them."""
        (rows,) = self._fast_rows(states)
        return rows.double()

    def _rows(self, states: torch.Tensor) -> tuple[torch.Tensor]:
        found: Substructures = substructures(self.environment.graphs(states), RADIUS)
        if self.is_folded:
            return (folded_counts(found, N_BITS),)
        ids, counts = distinct_counts(found)
        spare = 256 - ids.shape[1]
        return (torch.cat([torch.nn.functional.pad(x, (0, spare)) for x in (ids, counts)], 1),)

    @torch.no_grad()
    def score(self, X: torch.Tensor) -> torch.Tensor:
        """Return the upper confidence bound of rows, standardised."""
        mean, variance = self.model.mean_and_variance(X)
        return ((mean + variance.sqrt() - self.Y.mean()) / self.Y.std()).float()

    def reward(self, states: torch.Tensor) -> torch.Tensor:
        return self.score(self.rows(states))


def speed(table: Table, device: torch.device, batches: list[int], at_least_s: float, execution: str) -> None:
    way = "" if execution == "plain" else f", {execution}"
    for is_folded in (True, False):
        kind = ("morgan, folded" if is_folded else "circular, unfolded") + way
        task = Task(device, N_TRAINING, is_folded, execution)
        for n in batches:
            setting = f"{kind}, batch {n:,}"
            if table.lacks("scored from graphs, molecules/s", setting):
                scored(table, task, n, setting, at_least_s)
            if is_folded and not way:
                todays(table, task, n, at_least_s)
    for n in (64, 1024):
        figure = f"training steps/s, batch {n:,}"
        for is_folded in (True, False):
            kind = ("morgan, folded" if is_folded else "circular, unfolded") + way
            if table.lacks(figure, kind):
                task = Task(device, N_TRAINING, is_folded, execution)
                training = Training(batch_size=n, replay_size=0, device=str(device), execution=execution)
                trainer = Trainer(task.environment, StateReward(task.reward), training)
                level = LEVELS[figure] if device.type == "cuda" else None
                table.add(figure, kind, 1 / seconds_of(trainer.step, device, 2 * at_least_s), level)


def scored(table: Table, task: Task, n: int, setting: str, at_least_s: float) -> None:
    """Measure drawing, describing and scoring, each by itself."""
    device = task.device
    states = task.draw(n)
    X = task.rows(states)
    parts: dict[str, Callable[[], object]] = {
        "drawn": lambda: task.draw(n),
        "described": lambda: task.rows(states),
        "scored": lambda: task.score(X),
    }
    taken = {name: seconds_of(work, device, at_least_s) for name, work in parts.items()}
    for name, value in taken.items():
        table.add(f"  {name} from graphs, molecules/s", setting, n / value)
    figure = "scored from graphs, molecules/s"
    table.add(figure, setting, n / sum(taken.values()), LEVELS[figure] if device.type == "cuda" else None)


def todays(table: Table, task: Task, n: int, at_least_s: float) -> None:
    """Measure the way by RDKit: the states are drawn, decoded and described by one process."""
    figure, setting = "scored by RDKit, molecules/s", f"morgan, folded, batch {n:,}"
    if not HAS_RDKIT:
        not_measured(figure, "RDKit is not installed")
        return
    if n > 2000 or not table.lacks(figure, setting):  # its cost is proportional to the number of molecules
        return
    from al_loop.features.morgan import Morgan

    def score() -> None:
        smiles = task.environment.decode(task.draw(n))
        task.score(Morgan()(smiles).to(task.device))

    table.add(figure, setting, n / seconds_of(score, task.device, at_least_s))


# ---- a round ---------------------------------------------------------------------------------------------------------


def round_of_a_campaign(table: Table, device: torch.device, n_answers: int = 5000, n_pool: int = 10_000) -> None:
    setting = f"{n_answers:,} answers, pool of {n_pool:,}"
    figure = "round, longest phase, s"
    if not table.lacks(figure, setting):
        return
    began = time.perf_counter()
    task = Task(device, n_answers, is_folded=True)
    phases = {"fit": time.perf_counter() - task.began}
    trainer = Trainer(task.environment, StateReward(task.reward), Training(replay_size=16, device=str(device)))

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        phases[name] = time.perf_counter() - began
        return result

    timed("compile and record, 20 steps", lambda: [trainer.step() for _ in range(20)])  # once in a campaign
    timed("train, 100 steps", lambda: [trainer.step() for _ in range(100)])
    draws = timed("draw the pool", lambda: torch.cat([task.draw(1000) for _ in range(n_pool // 1000)]))
    if HAS_RDKIT:
        from al_loop.features.morgan import Morgan

        smiles = timed("decode the pool", lambda: task.environment.decode(draws))
        X = timed("describe the pool", lambda: Morgan()(smiles))
    else:
        not_measured("round, decode and describe the pool", "RDKit is not installed")
        X = task.rows(draws).cpu()
    scores = timed("score the pool", lambda: task.score(X.to(device))).cpu()
    timed("select 96", lambda: select(scores, X, 96))
    for name, value in phases.items():
        table.add(f"  round, {name}, s", setting, value)
    del phases["compile and record, 20 steps"]
    table.add(figure, setting, max(phases.values()), LEVELS[figure] if device.type == "cuda" else None)
    print(f"(set-up and phases: {time.perf_counter() - began:.0f} s of wall-clock time)")


def select(scores: torch.Tensor, X: torch.Tensor, n: int) -> list[int]:
    from al_loop.features._similarity import min_max_similarity
    from al_loop.selectors.diverse import Diverse

    context: Any = types.SimpleNamespace(
        scores=scores, X=X, similarity=min_max_similarity, X_pending=None, n_picks=n, n=n
    )
    return Diverse().select(context)


# ---- processes -------------------------------------------------------------------------------------------------------


def qed(objects: list[str]) -> torch.Tensor:
    """Return RDKit's drug-likeness, as a log-reward."""
    from rdkit import Chem
    from rdkit.Chem.QED import qed as of_molecule

    return torch.tensor([4 * of_molecule(Chem.MolFromSmiles(name)) for name in objects])


def logp(objects: list[str]) -> torch.Tensor:
    """Return RDKit's log P, as a log-reward."""
    from rdkit import Chem
    from rdkit.Chem.Crippen import MolLogP

    return torch.tensor([MolLogP(Chem.MolFromSmiles(name)) for name in objects])


def processes(table: Table, counts: list[int]) -> None:
    figure = "RDKit reward, molecules/s"
    if not HAS_RDKIT:
        not_measured(figure, "RDKit is not installed")
        return
    import psutil

    from al_loop.gflownet.parallel_scoring import ParallelScorer
    from al_loop.gflownet.worker_processes import WorkerProcesses

    environment = Fragments()
    for name in ("logp", "qed"):
        for count in counts:
            setting = f"{name}, {count} processes, {len(os.sched_getaffinity(0))} cores"
            if not table.lacks(figure, setting):
                continue
            batch = 512 * max(count, 2)
            draws = [rollout(environment, None, batch, generator=g).terminal for g in generators(4)]
            workers = WorkerProcesses(environment, count)
            scorer = ParallelScorer(environment, workers)
            scorer.set_reward(importable(name))
            scorer.begin(draws[0]).result()  # starts the processes
            others = [psutil.Process(pid) for pid in workers.pids]
            spent = sum(sum(p.cpu_times()[:2]) for p in others)
            began, own = time.perf_counter(), time.process_time()
            for pending in [scorer.begin(states) for states in draws[1:]]:
                pending.result()
            taken, own = time.perf_counter() - began, time.process_time() - own
            spent = sum(sum(p.cpu_times()[:2]) for p in others) - spent
            scorer.close()
            table.add("  a worker's CPU time, ms a molecule", setting, 1e3 * spent / (3 * batch))
            table.add("  the caller's CPU time, ms a molecule", setting, 1e3 * own / (3 * batch))
            table.add(figure, setting, 3 * batch / taken, LEVELS[figure] if count >= 16 else None)


def generators(n: int) -> Iterator[torch.Generator]:
    for seed in range(n):
        yield torch.Generator().manual_seed(seed)


def importable(name: str) -> Callable[[list[str]], torch.Tensor]:
    """Return a reward of this file under the name by which other processes can import it."""
    from benchmarks.engine import molecules

    reward: Callable[[list[str]], torch.Tensor] = getattr(molecules, name)
    return reward


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["speed"], help="equality, speed, round, processes")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--zinc", type=Path, help="SMILES of ZINC 250k, one a line, .xz")
    parser.add_argument("--batches", type=int, nargs="*", help="default: 64, 1,024; on a GPU also 8,192, 32,768")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2], help="numbers of processes")
    parser.add_argument("--execution", nargs="*", default=["plain"], help="plain, compiled or graphed (on a GPU)")
    parser.add_argument("--seconds", type=float, default=3.0, help="least time of a measurement")
    parser.add_argument("--again", action="store_true", help="measure again what the table has")
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        not_measured(f"{', '.join(options.what)} on {options.device}", "there is no GPU")
        return
    device = torch.device(options.device)
    is_gpu = device.type == "cuda"
    table = Table(
        options.out / "molecules.csv", torch.cuda.get_device_name(device) if is_gpu else "CPU, 1 thread", options.again
    )
    if "equality" in options.what:
        equality(table, options.zinc)
    if "speed" in options.what:
        batches = options.batches or ([64, 1024, 8192, 32768] if is_gpu else [64, 1024])
        for execution in options.execution:
            speed(table, device, batches, options.seconds, execution)
    if "round" in options.what:
        round_of_a_campaign(table, device)
    if "processes" in options.what:
        processes(table, options.workers)


if __name__ == "__main__":
    main()
