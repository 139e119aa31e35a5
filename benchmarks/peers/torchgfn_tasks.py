"""torchgfn on the tasks of exactness.py and rollout_cost.py, which run it in the peers' environment (`make peers`).

    .venv-peers/bin/python benchmarks/peers/torchgfn_tasks.py train --task hypergrid_8x8 --seed 0 --budget 8000
    .venv-peers/bin/python benchmarks/peers/torchgfn_tasks.py roll-out --task hypergrid_8x8 --batch 64

Prints one JSON object per line.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parents[2]))
from gfn.actions import Actions
from gfn.env import DiscreteEnv
from gfn.estimators import DiscretePolicyEstimator
from gfn.gflownet import TBGFlowNet
from gfn.gym import HyperGrid
from gfn.preprocessors import KHotPreprocessor, Preprocessor
from gfn.samplers import Sampler
from gfn.states import DiscreteStates
from gfn.utils.modules import MLP

from benchmarks.support.tasks import TASKS, distances, tfbind8_log_reward

torch.set_num_threads(1)


class Words(DiscreteEnv):
    """Words of 8 letters over an alphabet of 4, built letter by letter, with TFBind8's reward."""

    def __init__(self) -> None:
        self.length, self.letters = 8, 4
        empty, sink = torch.full((8,), -1), torch.full((8,), -2)
        super().__init__(n_actions=5, s0=empty, state_shape=(8,), sf=sink)
        self.log_rewards = tfbind8_log_reward(torch.arange(4**8))

    def make_states_class(self) -> type[DiscreteStates]:
        env = self

        class WordStates(DiscreteStates):
            state_shape, s0, sf, n_actions = (8,), env.s0, env.sf, 5
            make_random_states = env.make_random_states

            def _compute_forward_masks(self) -> torch.Tensor:
                is_full = (self.tensor[..., -1:] >= 0).expand(*self.batch_shape, 4)
                return torch.cat([~is_full, is_full[..., :1]], -1)

            def _compute_backward_masks(self) -> torch.Tensor:
                count = (self.tensor >= 0).sum(-1)
                last = self.tensor.gather(-1, (count - 1).clamp(min=0)[..., None]).clamp(min=0)
                mask = torch.zeros(*self.batch_shape, 4, dtype=torch.bool).scatter_(-1, last, True)
                return mask & (count > 0)[..., None]

        return WordStates

    def step(self, states: DiscreteStates, actions: Actions) -> DiscreteStates:
        position = (states.tensor >= 0).sum(-1, keepdim=True)
        return self.States(states.tensor.scatter(-1, position, actions.tensor))

    def backward_step(self, states: DiscreteStates, actions: Actions) -> DiscreteStates:
        position = (states.tensor >= 0).sum(-1, keepdim=True) - 1
        return self.States(states.tensor.scatter(-1, position, -1))

    def log_reward(self, states: DiscreteStates) -> torch.Tensor:
        return self.log_rewards[(states.tensor * 4 ** torch.arange(7, -1, -1)).sum(-1)]


class OneHot(Preprocessor):
    """One-hot letters, with a fifth class for positions without a letter."""

    def __init__(self) -> None:
        super().__init__(output_dim=40)

    def preprocess(self, states: DiscreteStates) -> torch.Tensor:
        return one_hot_words(states.tensor)


def one_hot_words(words: torch.Tensor) -> torch.Tensor:
    """Return the features of n words, given as n x 8 letters with -1 for none: n x 40."""
    return torch.nn.functional.one_hot(words % 5, 5).flatten(-2).float()


def build_words(hidden: int) -> tuple[Words, TBGFlowNet, Sampler]:
    """Build environment, GFlowNet and sampler for words."""
    environment = Words()
    module = MLP(40, environment.n_actions, hidden_dim=hidden, n_hidden_layers=2)
    pf = DiscretePolicyEstimator(module, environment.n_actions, preprocessor=OneHot())
    return environment, TBGFlowNet(pf=pf, pb=None, init_logZ=0.0, constant_pb=True), Sampler(pf)


@torch.no_grad()
def word_distribution(network: torch.nn.Module) -> torch.Tensor:
    """Compute the exact distribution over words, by extending prefixes: 4^8."""
    p = torch.ones(1, dtype=torch.float64)
    words = torch.full((1, 8), -1)
    for position in range(8):
        logits = torch.cat([network(one_hot_words(rows)) for rows in words.split(8192)]).double()[:, :4]
        p = (p[:, None] * logits.softmax(1)).flatten()
        words = words.repeat_interleave(4, 0)
        words[:, position] = torch.arange(4).repeat(len(words) // 4)
    return p


def build(dimensions: int, height: int, hidden: int) -> tuple[HyperGrid, TBGFlowNet, Sampler]:
    """Build environment, GFlowNet and sampler for a hypergrid."""
    environment = HyperGrid(
        dimensions, height, reward_fn_str="original", reward_fn_kwargs={"R0": 0.1, "R1": 0.5, "R2": 2.0}
    )
    preprocessor = KHotPreprocessor(height, dimensions)
    forward = MLP(preprocessor.output_dim, environment.n_actions, hidden_dim=hidden, n_hidden_layers=2)
    backward = MLP(
        preprocessor.output_dim, environment.n_actions - 1, hidden_dim=hidden, n_hidden_layers=2, trunk=forward.trunk
    )
    pf = DiscretePolicyEstimator(forward, environment.n_actions, preprocessor=preprocessor)
    pb = DiscretePolicyEstimator(backward, environment.n_actions, preprocessor=preprocessor, is_backward=True)
    return environment, TBGFlowNet(pf=pf, pb=pb, init_logZ=0.0), Sampler(pf)


@torch.no_grad()
def terminal_distribution(network: torch.nn.Module, dimensions: int, height: int) -> torch.Tensor:
    """Compute the exact distribution over a hypergrid, by moving flow up the sum of coordinates: height^dimensions."""
    grid = torch.cartesian_prod(*[torch.arange(height)] * dimensions).reshape(-1, dimensions)
    one_hot = torch.nn.functional.one_hot(grid, height).flatten(1).float()
    logits = torch.cat([network(rows) for rows in one_hot.split(8192)]).double()
    may_rise = torch.cat([grid < height - 1, torch.ones(len(grid), 1, dtype=torch.bool)], 1)
    p = logits.masked_fill(~may_rise, -torch.inf).softmax(1)
    strides = torch.tensor([height ** (dimensions - 1 - i) for i in range(dimensions)])
    flow, level = torch.zeros(len(grid), dtype=torch.float64), grid.sum(1)
    flow[0] = 1
    for number in range(dimensions * (height - 1)):
        rows = (level == number).nonzero()[:, 0]
        for i in range(dimensions):
            can = rows[may_rise[rows, i]]
            flow.index_add_(0, can + strides[i], flow[can] * p[can, i])
    return flow * p[:, -1]


def train(task: str, seed: int, budget: int, points: int) -> None:
    """Train on a task; print the distance from R/Z and the time at some points."""
    settings = TASKS[task]
    dimensions, height = settings.dimensions, settings.height
    torch.manual_seed(seed)
    if dimensions:
        environment, gflownet, sampler = build(dimensions, height, settings.hidden)
        grid = torch.cartesian_prod(*[torch.arange(height)] * dimensions).reshape(-1, dimensions)
        log_reward = environment.reward_fn(grid).double().log()
    else:
        environment, gflownet, sampler = build_words(settings.hidden)
        log_reward = environment.log_rewards
    optimizer = torch.optim.Adam(
        [
            {"params": gflownet.pf_pb_parameters(), "lr": settings.lr},
            {"params": gflownet.logz_parameters(), "lr": settings.lr_log_z},
        ]
    )
    network = gflownet.pf.module
    n_steps, seconds, cpu = budget // settings.batch_size, 0.0, 0.0
    for step in range(1, n_steps + 1):
        started, started_cpu = time.perf_counter(), time.process_time()
        # the faster of the two ways shown by its authors: recompute probabilities, instead of storing the roll-out's
        trajectories = sampler.sample_trajectories(environment, n=settings.batch_size)
        optimizer.zero_grad()
        loss = gflownet.loss(environment, trajectories, recalculate_all_logprobs=True)
        loss.backward()
        optimizer.step()
        seconds += time.perf_counter() - started
        cpu += time.process_time() - started_cpu
        if step % max(n_steps // points, 1) == 0:
            p = terminal_distribution(network, dimensions, height) if dimensions else word_distribution(network)
            l1, js = distances(p, log_reward)
            point = {"trajectories": step * settings.batch_size, "seconds": seconds, "cpu": cpu, "l1": l1, "js": js}
            print(json.dumps(point), flush=True)


def roll_out(task: str, batch: int, repeats: int) -> None:
    """Print trajectories per second, and the ratio of the roll-out's time to that of the bare network; medians."""
    settings = TASKS[task]
    torch.manual_seed(0)
    make = build_words(settings.hidden) if not settings.dimensions else None
    environment, gflownet, sampler = make or build(settings.dimensions, settings.height, settings.hidden)
    network = gflownet.pf.module
    whole, bare = [], []
    with torch.no_grad():
        for repeat in range(repeats + 1):
            started = time.perf_counter()
            trajectories = sampler.sample_trajectories(environment, n=batch)
            seconds = time.perf_counter() - started
            inputs = [gflownet.pf.preprocessor(s[~s.is_sink_state]) for s in trajectories.states]
            inputs = [x for x in inputs if len(x)]
            started = time.perf_counter()
            for x in inputs:
                network(x)
            if repeat:
                whole.append(seconds)
                bare.append(time.perf_counter() - started)
    median = sorted(whole)[len(whole) // 2]
    ratio = sorted(a / b for a, b in zip(whole, bare, strict=True))[len(whole) // 2]
    print(json.dumps({"trajectories_per_s": batch / median, "ratio": ratio}))


def speed(task: str, batch: int, seconds: float) -> None:
    """Print trajectories and training steps per CPU second on a hypergrid, after a warm-up."""
    settings = TASKS[task]
    torch.manual_seed(0)
    environment, gflownet, sampler = build(settings.dimensions, settings.height, settings.hidden)
    optimizer = torch.optim.Adam(
        [
            {"params": gflownet.pf_pb_parameters(), "lr": settings.lr},
            {"params": gflownet.logz_parameters(), "lr": settings.lr_log_z},
        ]
    )

    @torch.no_grad()
    def draw() -> None:
        sampler.sample_trajectories(environment, n=batch)

    def step() -> None:
        trajectories = sampler.sample_trajectories(environment, n=batch)
        optimizer.zero_grad()
        gflownet.loss(environment, trajectories, recalculate_all_logprobs=True).backward()
        optimizer.step()

    rates = []
    for work in (draw, step):
        for _ in range(3):
            work()
        count, began = 0, time.process_time()
        while time.process_time() - began < seconds:
            work()
            count += 1
        rates.append(count / (time.process_time() - began))
    print(json.dumps({"batch": batch, "trajectories_per_s": rates[0] * batch, "steps_per_s": rates[1]}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["train", "roll-out", "speed"])
    parser.add_argument("--task", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=int, default=6400)
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=4.0)
    arguments = parser.parse_args()
    if arguments.command == "train":
        train(arguments.task, arguments.seed, arguments.budget, arguments.points)
    elif arguments.command == "speed":
        speed(arguments.task, arguments.batch, arguments.seconds)
    else:
        roll_out(arguments.task, arguments.batch, arguments.repeats)


if __name__ == "__main__":
    main()
