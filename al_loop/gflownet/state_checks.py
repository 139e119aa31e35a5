"""Checks of states from elsewhere: those to start from, and finished objects of a space."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.conditioned import Conditioned

_MOST_WALKED = 1024  # states of a large data set that are taken apart; of all, it would cost as much as a training


def check_starts(environment: Environment, start: Tensor, n: int) -> None:
    """Raise an error unless n trajectories can start from states.

    Args:
        environment: the space.
        start: states, shape n x state_size.
        n: number of trajectories.

    Raises:
        ValueError: the shape differs, there is no such condition, or a state is finished.
    """
    if start.shape != (n, environment.state_size) or start.dtype != torch.int64:
        raise ValueError(
            f"start: expected {n} x {environment.state_size} numbers of type int64, got shape {tuple(start.shape)} of "
            f"{start.dtype}"
        )
    if isinstance(environment, Conditioned):
        environment.check_index(start[:, 0])
    is_finished = environment.is_terminal(start)
    if bool(is_finished.any()):
        row = str(start[is_finished][0].tolist())
        raise ValueError(f"start: {row:.200} is finished, so that no step can follow")


@torch.no_grad()
def check_terminal_states(environment: Environment, states: Tensor, objects: Sequence[str] | None = None) -> None:
    """Raise an error if states are not finished objects of a space.

    Each must be terminal. Some of them, evenly spaced among many, are also taken apart: allowed steps must lead back to
    the initial state, and each of these steps must be an allowed action there.

    Args:
        environment: the space.
        states: states, shape n x state_size.
        objects: the objects that they represent; None: not given.

    Raises:
        ValueError: a state is not a finished object, or not that object.
    """
    if states.ndim != 2 or states.shape[1] != environment.state_size or states.dtype != torch.int64:
        raise ValueError(
            f"states: expected n x {environment.state_size} numbers of type int64, the states of the environment "
            f"{environment.name}, got shape {tuple(states.shape)} of {states.dtype}"
        )
    if isinstance(environment, Conditioned):
        environment.check_index(states[:, 0])
    _refuse(environment, states, ~environment.is_terminal(states))
    spaced = torch.linspace(0, len(states) - 1, min(len(states), _MOST_WALKED), dtype=torch.float64).round().long()
    some = states[spaced.to(states.device)]
    try:
        is_reached = _is_reached(environment, some)
    except (IndexError, RuntimeError):  # a number is outside a table of the environment
        is_reached = torch.zeros(len(some), dtype=torch.bool, device=some.device)
    _refuse(environment, some, ~is_reached)
    if objects is not None:
        _check_objects(environment, some, [objects[row] for row in spaced.tolist()])


def _refuse(environment: Environment, states: Tensor, is_wrong: Tensor) -> None:
    if bool(is_wrong.any()):
        row = str(states[is_wrong][0].tolist())
        raise ValueError(
            f"states: {row:.200} is not a finished object of the environment {environment.name}; use states that "
            "its encode returns, or those at the end of trajectories"
        )


def _is_reached(environment: Environment, states: Tensor) -> Tensor:
    """Return a mask of the terminal states that allowed actions build from an initial state, shape n."""
    is_reached = torch.ones(len(states), dtype=torch.bool, device=states.device)
    for _ in range(environment.max_steps):
        mask = environment.backward_mask(states)
        is_step = mask.any(1)
        if not bool(is_step.any()):
            break
        choice = mask.int().argmax(1)
        action = environment.forward_action(states, choice)
        states = torch.where(is_step[:, None], environment.backward_step(states, choice), states)
        is_action = (action >= 0) & (action < environment.n_actions)
        is_allowed = environment.forward_mask(states).gather(1, torch.where(is_action, action, 0)[:, None])[:, 0]
        is_reached &= ~is_step | (is_action & is_allowed)
    first = environment.condition_size
    return is_reached & (states[:, first:] == environment.initial(1, states.device)[:, first:]).all(1)


def _check_objects(environment: Environment, states: Tensor, objects: Sequence[str]) -> None:
    """Raise an error if a state is not that of its object, which may be written in another way."""
    for row, name in zip(environment.decode(states), objects, strict=True):
        if row == name:
            continue
        try:
            (again,) = environment.decode(environment.encode([name]))
        except ValueError as error:
            raise ValueError(f"objects: {name!r:.80} is not in the space: {error}") from None
        if again != row:
            raise ValueError(f"objects: {name!r:.80} stands beside the state of {row!r:.80}")
