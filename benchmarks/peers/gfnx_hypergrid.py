"""gfnx (JAX) on the hypergrid, for one_thread.py and gpu.py: roll-outs and trajectory-balance training.

    python benchmarks/peers/gfnx_hypergrid.py --side 20 --batch 16 256 --seconds 4

Its own environment and its own roll-out, inside ``lax.fori_loop``, timed after warm-up (the second call compiles again,
since weak types become strong). Needs ``pip install --no-deps gfnx`` and jax, equinox, optax, chex, flashbax, jax-tqdm,
omegaconf. Prints one JSON object per batch size; times are CPU seconds with ``--clock process``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import gfnx
import jax
import jax.numpy as jnp
import optax

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--dim", type=int, default=4)
parser.add_argument("--side", type=int, default=20)
parser.add_argument("--batch", type=int, nargs="+", default=[16, 256])
parser.add_argument("--hidden", type=int, default=256)
parser.add_argument("--chunk", type=int, default=50)
parser.add_argument("--seconds", type=float, default=4)
parser.add_argument("--clock", choices=["wall", "process"], default="wall")
options = parser.parse_args()
now: Callable[[], float] = time.perf_counter if options.clock == "wall" else time.process_time

env = gfnx.HypergridEnvironment(gfnx.EasyHypergridRewardModule(), dim=options.dim, side=options.side)
params = env.init(jax.random.PRNGKey(0))
n_forward, n_backward = env.action_space.n, env.backward_action_space.n
width = env.observation_space.shape[0]
net = eqx.nn.MLP(width, n_forward + n_backward, options.hidden, 2, key=jax.random.PRNGKey(1))
arrays, static = eqx.partition(net, eqx.is_array)


def policy(key: Any, obs: Any, weights: Any) -> Any:
    return jax.vmap(eqx.combine(weights, static))(obs)[:, :n_forward], {}


def roll(key: Any, weights: Any, n: int) -> Any:
    return gfnx.utils.forward_rollout(
        rng_key=key, num_envs=n, policy_fn=policy, policy_params=weights, env=env, env_params=params
    )


def loss(everything: Any, data: Any) -> Any:
    out = jax.vmap(jax.vmap(eqx.combine(everything["w"], static)))(data.obs)
    forward, backward = out[..., :n_forward], out[..., n_forward:]
    mask = jax.vmap(env.get_invalid_mask, (1, None), 1)(data.state, params)
    log_pf = jax.nn.log_softmax(gfnx.utils.mask_logits(forward, mask), -1)
    log_pf = jnp.take_along_axis(log_pf, data.action[..., None], -1)[..., 0]
    log_pf = jnp.where(data.pad, 0.0, log_pf).sum(1)
    before = jax.tree.map(lambda x: x[:, :-1], data.state)
    after = jax.tree.map(lambda x: x[:, 1:], data.state)
    action = jax.vmap(env.get_backward_action, (1, 1, 1, None), 1)(before, data.action[:, :-1], after, params)
    mask = jax.vmap(env.get_invalid_backward_mask, (1, None), 1)(after, params)
    log_pb = jax.nn.log_softmax(gfnx.utils.mask_logits(backward[:, 1:], mask), -1)
    log_pb = jnp.take_along_axis(log_pb, action[..., None], -1)[..., 0]
    pad = data.pad[:, :-1]
    reward = jnp.where(pad, 0.0, data.log_gfn_reward[:, :-1]).sum(1)
    target = jnp.where(pad, 0.0, log_pb).sum(1) + reward
    return ((everything["logz"] + log_pf - target) ** 2).mean()


labels = {"w": jax.tree.map(lambda _: "w", arrays), "logz": "z"}
optimizer = optax.multi_transform({"w": optax.adam(1e-3), "z": optax.adam(1e-1)}, labels)


def rate(function: Callable[[Any], Any], state: Any, per_call: int) -> float:
    """Return how often something that a call does ``per_call`` times happens in a second."""
    for _ in range(3):
        state = jax.block_until_ready(function(state))
    count, began = 0, now()
    while now() - began < options.seconds:
        state = jax.block_until_ready(function(state))
        count += per_call
    return count / (now() - began)


def measure(n: int) -> dict[str, Any]:
    @jax.jit
    def rolls(state: Any) -> Any:
        def body(_: Any, carried: Any) -> Any:
            key, total = carried
            key, own = jax.random.split(key)
            return key, total + roll(own, arrays, n)[1]["log_gfn_reward"].sum()

        return jax.lax.fori_loop(0, 10, body, state)

    @jax.jit
    def steps(state: Any) -> Any:
        def body(_: Any, carried: Any) -> Any:
            key, everything, moments = carried
            key, own = jax.random.split(key)
            data, _ = roll(own, everything["w"], n)
            update, moments = optimizer.update(jax.grad(loss)(everything, data), moments, everything)
            return key, eqx.apply_updates(everything, update), moments

        return jax.lax.fori_loop(0, options.chunk, body, state)

    drawn = rate(rolls, (jax.random.PRNGKey(2), jnp.float32(0)), 10) * n
    everything = {"w": arrays, "logz": jnp.array(0.0)}
    trained = rate(steps, (jax.random.PRNGKey(3), everything, optimizer.init(everything)), options.chunk)
    return {"batch": n, "trajectories_per_s": drawn, "steps_per_s": trained, "device": str(jax.devices()[0])}


for size in options.batch:
    print(json.dumps(measure(size)), flush=True)
