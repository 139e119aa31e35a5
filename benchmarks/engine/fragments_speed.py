"""Drawing and training speed on fragments, compared with the speed of recursionpharma/gflownet.

    .venv/bin/python benchmarks/engine/fragments_speed.py       # 3 minutes, one thread

Drawing includes decoding to canonical SMILES. A training step draws 64 molecules, decodes them, scores them with a
trivial reward and makes one gradient step of trajectory balance. Our molecules take about half as many actions as the
peer's, so the speed per action is reported too. The default vocabulary (zinc, from its prior) is measured beside the
former one (bengio72), and may take 1.5 times as long for a training step. Prints the time of each part, writes
fragments_speed.csv.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.environments.fragments import Fragments
from al_loop.gflownet import Trainer, Training
from al_loop.gflownet.priors import load_prior, read_prior
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.sampler import Draw
from al_loop.gflownet.trajectory_terms import log_probabilities
from benchmarks.support.tables import write_table

BENCHMARKS = Path(__file__).parents[1]
#: recursionpharma/gflownet on sEH fragments: graph transformer 128 x 4, 2.24 M parameters, batch 64, mean length 13.9;
#: measured on a machine like ours (2 cores, CPU, one thread; 2026-11)
PEER = {"molecules_per_s": 50.0, "steps_per_s": 0.262, "actions": 13.9}
BATCH = 64


def median_cpu(work: Callable[[], object], repeats: int) -> float:
    """Return the median CPU seconds of a call, after one warm-up call."""
    seconds = []
    for _ in range(repeats + 1):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return sorted(seconds[1:])[repeats // 2]


def reward(objects: list[str]) -> torch.Tensor:
    return torch.tensor([0.1 * smiles.count("N") for smiles in objects])


def measure(name: str, vocabulary: str, hidden: int, layers: int, repeats: int) -> dict[str, float | str]:
    """Measure and print the speed with one vocabulary and size of the policy network; return it as a row."""
    environment = Fragments(vocabulary=vocabulary)
    training = Training(batch_size=BATCH, hidden=hidden, layers=layers, replay_size=0, epsilon=0.0)
    trainer = Trainer(environment, reward, training)
    if vocabulary == "zinc":
        load_prior(environment, trainer.policy, read_prior("zinc") or {})
    for _ in range(20):  # until the molecules have the size that training leads to
        trainer.step()
    policy = trainer.policy
    generator = torch.Generator().manual_seed(0)
    drawn = rollout(environment, policy, BATCH, generator=generator)
    objects = environment.decode(drawn.terminal)
    draw = Draw(drawn, reward(objects), objects)

    parts = {
        "roll-out": median_cpu(lambda: rollout(environment, policy, BATCH, generator=generator), repeats),
        "  of it without a policy": median_cpu(lambda: rollout(environment, None, BATCH, generator=generator), repeats),
        "decoding": median_cpu(lambda: environment.decode(drawn.terminal), repeats),
        "update": median_cpu(lambda: trainer.learner.update(draw, seed=0), repeats),
        "  of it probabilities": median_cpu(lambda: log_probabilities(environment, policy, drawn), repeats),
        "  of it multiplicities": median_cpu(lambda: environment.log_multiplicity(drawn.terminal), repeats),
        "whole step": median_cpu(trainer.step, repeats),
    }
    parameters = sum(p.numel() for p in policy.parameters())
    speed = BATCH / (parts["roll-out"] + parts["decoding"])
    steps = 1 / parts["whole step"]
    length = float((drawn.actions >= 0).sum(0).float().mean())
    print(f"\n{name}: {parameters:,} parameters, {length:.1f} actions per molecule")
    theirs, their_steps, their_length = PEER["molecules_per_s"], PEER["steps_per_s"], PEER["actions"]
    for label, own, other in (
        ("molecules/s", speed, theirs),
        ("actions/s", speed * length, theirs * their_length),
        ("training steps/s", steps, their_steps),
        ("steps x actions/s", steps * length, their_steps * their_length),
    ):
        print(f"  {label:<17} {own:10.2f}   peer {other:8.2f}: {own / other:.0f} times as fast")
    for part, seconds in parts.items():
        print(f"    {part:<26}{1000 * seconds:7.1f} ms")
    return {
        "policy": name,
        "parameters": parameters,
        "actions_per_molecule": length,
        "molecules_per_s": speed,
        "steps_per_s": steps,
        **{part.strip().replace(" ", "_") + "_ms": 1000 * seconds for part, seconds in parts.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--large", action="store_true", help="also measure a larger network")
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        measure("message passing 128 x 2", "bengio72", 128, 2, arguments.repeats),
        measure("blocks 128 x 2", "zinc", 128, 2, arguments.repeats),
    ]
    former, default = (1 / float(row["steps_per_s"]) for row in rows)
    print(f"\na training step with zinc takes {default / former:.2f} times as long as with bengio72 (level: 1.5)")
    if arguments.large:
        rows.append(measure("message passing 384 x 3", "bengio72", 384, 3, arguments.repeats))
    write_table(arguments.out / "fragments_speed.csv", rows, ".6g")


if __name__ == "__main__":
    main()
