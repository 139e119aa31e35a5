"""Objects of a data set as terminal states: what is in the space, what is not, and how to draw from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from al_loop.datafiles.number_tables import read_array
from al_loop.datafiles.object_lists import read_objects
from al_loop.environments.base import Environment
from al_loop.errors import ConfigError, counted
from al_loop.gflownet.backward_rollout import backward_rollout
from al_loop.gflownet.reward import AnyReward
from al_loop.gflownet.sources import Entries, Source
from al_loop.gflownet.unique_rows import row_keys
from al_loop.system import stopping

_N_LISTED = 5  # refused objects that a message names
_CHUNK = 1000  # objects encoded at once
_N_WALKS = 3  # random histories of an object by which it is checked


@dataclass(frozen=True)
class ObjectData:
    """A data set in the space of an environment.

    Args:
        states: terminal states, shape n x state_size; an object that occurs k times has k rows.
        refused: objects outside the space, each with the reason.
    """

    states: Tensor
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def n_duplicates(self) -> int:
        """Number of objects that occurred before."""
        return len(self.states) - len(row_keys(self.states).unique())

    def notes(self) -> list[str]:
        """Return lines for the user on what was refused and what occurs repeatedly."""
        total, lines = len(self.states) + len(self.refused), []
        if self.refused:
            listed = "; ".join(f"{name:.60}: {reason}" for name, reason in self.refused[:_N_LISTED])
            more = f"; and {len(self.refused) - _N_LISTED} more" if len(self.refused) > _N_LISTED else ""
            lines.append(f"{len(self.refused)} of {counted(total, 'object')} are outside the space: {listed}{more}")
        if n := self.n_duplicates:
            lines.append(f"{n} of {counted(total, 'object')} are duplicates; each occurrence counts")
        return lines


def read_data(path: str | Path) -> list[str] | np.ndarray[Any, Any]:
    """Return the objects of a file: a list or table of objects, or the rows of an integer array (``.npy``).

    Args:
        path: the file; see ``read_objects`` for lists and tables.

    Raises:
        ConfigError: the file cannot be read, or contains no object.
    """
    if Path(path).suffix.casefold() != ".npy":
        return read_objects(path)
    rows = read_array(path)
    if rows.dtype.kind == "U":
        return [str(text) for text in rows.reshape(-1)]
    if rows.ndim != 2 or not len(rows):
        raise ConfigError(f"{path}: expected an array of n objects x places, at least one, got the shape {rows.shape}")
    return rows


def encode_data(
    environment: Environment,
    objects: Sequence[str] | np.ndarray[Any, Any] | Tensor,
    most_refused: float = 0.5,
    on_object: Callable[[], None] | None = None,
) -> ObjectData:
    """Return the terminal states of a data set.

    Args:
        environment: the space.
        objects: objects in any notation of the environment; or an array of n x places, whose values are indices of
            letters or, if there are two letters, -1 and 1.
        most_refused: largest share of objects outside the space.
        on_object: called after each object of a list.

    Raises:
        ConfigError: no object is in the space, or too many are outside.
    """
    if isinstance(objects, np.ndarray | Tensor):
        return ObjectData(_states_of_rows(environment, torch.as_tensor(objects)))
    if not len(objects):
        raise ConfigError("data: there is no object to learn from")
    rows: list[Tensor] = []
    refused: list[tuple[str, str]] = []
    for i in range(0, len(objects), _CHUNK):
        stopping.look()
        _encode_part(environment, list(objects[i : i + _CHUNK]), rows, refused)
        for _ in objects[i : i + _CHUNK] if on_object is not None else ():
            assert on_object is not None
            on_object()
    data = ObjectData(torch.cat(rows) if rows else torch.empty(0, environment.state_size).long(), tuple(refused))
    if not len(data.states):
        name, reason = refused[0]
        raise ConfigError(
            f"data: none of {counted(len(objects), 'object')} is in the space of the environment; the first, "
            f"{name:.60}: {reason}"
        )
    if len(refused) > most_refused * len(objects):
        raise ConfigError(
            f"data: {data.notes()[0]}; this is more than most_refused={most_refused:g} allows. Widen the environment "
            "(its vocabulary or sizes), remove these objects, or set most_refused higher"
        )
    return data


def _encode_part(
    environment: Environment, names: list[str], rows: list[Tensor], refused: list[tuple[str, str]]
) -> None:
    """Encode some objects, and refuse those that the environment's actions do not lead to."""
    known, states = _encoded(environment, names, refused)
    if not known:
        return
    is_buildable = buildable(environment, states)
    rows.append(states[is_buildable])
    reason = "it has a step that the environment never takes, such as a bond between two heteroatoms"
    refused += [(name, reason) for name, is_good in zip(known, is_buildable.tolist(), strict=True) if not is_good]


def _encoded(environment: Environment, names: list[str], refused: list[tuple[str, str]]) -> tuple[list[str], Tensor]:
    """Encode some objects at once, and one by one if any of them is refused."""
    try:
        return names, environment.encode([str(name) for name in names])
    except ValueError:
        pass
    known, rows = list[str](), list[Tensor]()
    for name in names:
        stopping.look()
        if not isinstance(name, str):
            refused.append((str(name), "not a text"))
            continue
        try:
            rows.append(environment.encode([name]))
        except ValueError as error:
            refused.append((name, str(error)))
            continue
        known.append(name)
    return known, torch.cat(rows) if rows else torch.empty(0, environment.state_size).long()


def buildable(environment: Environment, states: Tensor) -> Tensor:
    """Return a mask of the terminal states that allowed actions lead to along random histories, shape n.

    An environment may encode more than its forward mask allows; a sampler could never be balanced there.

    Args:
        environment: the space.
        states: terminal states, shape n x state_size.
    """
    result = torch.ones(len(states), dtype=torch.bool)
    if environment.n_backward_actions == 1:  # a single history
        return result
    for seed in range(_N_WALKS):
        generator = torch.Generator().manual_seed(seed)
        history = backward_rollout(environment, None, states, generator=generator)
        for before, action in zip(history.states, history.actions, strict=False):
            is_step = action >= 0
            allowed = environment.forward_mask(before).gather(1, action.clamp(min=0)[:, None])[:, 0]
            result &= allowed | ~is_step
    return result


def _states_of_rows(environment: Environment, rows: Tensor) -> Tensor:
    """Return the terminal states of rows of letters by index, or of spins."""
    letters, length = environment.letters() or environment.alphabet, environment.length
    if letters is None or length is None:
        raise ConfigError(
            f"data: an array of indices requires an environment of words, such as assignment, not {environment.name}; "
            "give a list of objects"
        )
    if rows.ndim != 2 or rows.shape[1] != length:
        raise ConfigError(f"data: expected an array of n objects x {length} places, got the shape {tuple(rows.shape)}")
    if rows.is_floating_point() and not bool((rows == rows.round()).all()):  # false for NaN, too
        raise ConfigError("data: the array has values that are not whole numbers, such as NaN; expected letter indices")
    rows = rows.long()
    if len(letters) == 2 and bool((rows == -1).any()) and bool(((rows == -1) | (rows == 1)).all()):
        rows = (rows + 1) // 2
    if bool(((rows < 0) | (rows >= len(letters))).any()):
        raise ConfigError(
            f"data: the array has values from {int(rows.min())} to {int(rows.max())}, expected indices of letters from "
            f"0 to {len(letters) - 1}" + (", or -1 and 1" if len(letters) == 2 else "")
        )
    if environment.state_size == length:  # an assignment's state is its letters
        return rows
    words = ["".join(letters[i] for i in row) for row in rows.tolist()]
    return environment.encode(words)


class LiveData(Source):
    """Objects of a data set, with weights, for a reward that is evaluated anew whenever they are used.

    Args:
        states: terminal states, shape n x state_size.
        weights: how much more often one is drawn than another, shape n; None: all are equally likely.
    """

    def __init__(self, states: Tensor, weights: Tensor | None = None) -> None:
        self.states = states
        self._cumulative = None if weights is None else (weights.double() / weights.double().sum()).cumsum(0).cpu()

    def __len__(self) -> int:
        return len(self.states)

    @property
    def is_weighted(self) -> bool:
        """Whether some objects are drawn more often than others."""
        return self._cumulative is not None

    def rows(self, n: int, generator: torch.Generator) -> Tensor:
        """Return n terminal states, drawn with replacement.

        Args:
            n: number of states.
            generator: source of all randomness, on the CPU.
        """
        if self._cumulative is None:
            index = torch.randint(len(self.states), (n,), generator=generator)
        else:
            level = torch.rand(n, generator=generator, dtype=torch.float64)
            index = torch.searchsorted(self._cumulative, level).clamp(max=len(self.states) - 1)
        return self.states[index.to(self.states.device)]

    def sample(self, n: int, generator: torch.Generator) -> Entries:
        return Entries([None] * n, self.rows(n, generator), torch.zeros(n, device=self.states.device))

    def rescore(self, log_reward: AnyReward) -> None:
        """Do nothing, since the reward is live."""
