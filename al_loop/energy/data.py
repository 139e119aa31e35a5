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
        rows: for each of the states, the number of its object in the data, from 0.
        refused: objects outside the space, each with the reason.
    """

    states: Tensor
    rows: tuple[int, ...]
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def n_duplicates(self) -> int:
        """Number of objects that occurred before."""
        return len(self.states) - len(row_keys(self.states).unique())

    def notes(self) -> list[str]:
        """Return lines for the user on what was refused and what occurs repeatedly."""
        total, lines = len(self.states) + len(self.refused), []
        if self.refused:
            distinct = [*dict.fromkeys(self.refused)]
            listed = "; ".join(f"{name:.60}: {reason:.200}" for name, reason in distinct[:_N_LISTED])
            more = f"; and {len(distinct) - _N_LISTED} others" if len(distinct) > _N_LISTED else ""
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
    if _are_texts(rows):
        return [str(text) for text in rows.reshape(-1)]
    if rows.ndim != 2 or not len(rows):
        raise ConfigError(f"{path}: expected an array of n objects x places, at least one, got the shape {rows.shape}")
    return rows


def read_library(path: str | Path, environment: Environment) -> list[str]:
    """Return the objects of a file by name, also those of an array of letter indices (``.npy``).

    Args:
        path: the file.
        environment: the space of the array's objects.

    Raises:
        ConfigError: the file cannot be read, contains no object, or is an array of something else.
    """
    objects = read_data(path)
    return objects if isinstance(objects, list) else environment.decode(states_of_rows(environment, objects))


def _are_texts(rows: np.ndarray[Any, Any]) -> bool:
    """Return whether an array consists of texts."""
    return rows.dtype.kind == "U" or (rows.ndim == 1 and rows.dtype.kind == "O")


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
    if not len(objects):
        raise ConfigError("data: there is no object to learn from")
    if isinstance(objects, np.ndarray) and _are_texts(objects):
        objects = objects.reshape(-1).tolist()
    if isinstance(objects, np.ndarray | Tensor):
        return ObjectData(states_of_rows(environment, objects), tuple(range(len(objects))))
    rows: list[Tensor] = []
    refused: list[tuple[str, str]] = []
    numbers: list[int] = []
    for i in range(0, len(objects), _CHUNK):
        stopping.look()
        names = list(objects[i : i + _CHUNK])
        numbers += [i + place for place in _encode_part(environment, names, rows, refused)]
        for _ in objects[i : i + _CHUNK] if on_object is not None else ():
            assert on_object is not None
            on_object()
    states = torch.cat(rows) if rows else torch.empty(0, environment.state_size).long()
    data = ObjectData(states, tuple(numbers), tuple(refused))
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
) -> list[int]:
    """Encode some objects, and return the places of those that the environment's actions lead to."""
    known, states = _encoded(environment, names, refused)
    if not known:
        return []
    is_buildable = buildable(environment, states)
    rows.append(states[is_buildable])
    reason = "it has a step that the environment never takes, such as a bond between two heteroatoms"
    pairs = list(zip(known, is_buildable.tolist(), strict=True))
    refused += [(names[place], reason) for place, is_good in pairs if not is_good]
    return [place for place, is_good in pairs if is_good]


def _encoded(environment: Environment, names: list[str], refused: list[tuple[str, str]]) -> tuple[list[int], Tensor]:
    """Encode some objects, one by one if any of them is refused, and return the places and states of the others."""
    if all(isinstance(name, str) for name in names):
        try:
            return list(range(len(names))), environment.encode(names)
        except ValueError:
            pass
    known, rows = list[int](), list[Tensor]()
    for place, name in enumerate(names):
        stopping.look()
        if not isinstance(name, str):
            refused.append((str(name), "not a text"))
            continue
        try:
            rows.append(environment.encode([name]))
        except ValueError as error:
            refused.append((name, str(error)))
            continue
        known.append(place)
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


def _whole_numbers(rows: np.ndarray[Any, Any] | Tensor) -> Tensor:
    """Return an array of whole numbers, of any type of number, as a tensor.

    Raises:
        ConfigError: the array contains something else.
    """
    if isinstance(rows, Tensor):
        rows = rows.detach().cpu()
        rows = (rows.double() if rows.is_floating_point() else rows).numpy()
    if rows.dtype.kind not in "biuf":
        raise ConfigError(f"data: the array has values of the type {rows.dtype}; expected letter indices")
    if rows.dtype.kind == "f" and not bool((np.isfinite(rows) & (rows == np.round(rows))).all()):
        raise ConfigError("data: the array has values that are not whole numbers, such as NaN; expected letter indices")
    return torch.from_numpy(rows.astype(np.int64))


def states_of_rows(environment: Environment, array: np.ndarray[Any, Any] | Tensor) -> Tensor:
    """Return the terminal states of rows of letters by index, or of spins.

    Args:
        environment: the space, whose objects are words of one length.
        array: n x places, whole numbers.

    Raises:
        ConfigError: the environment has other objects, or the array other values.
    """
    letters, length = environment.letters() or environment.alphabet, environment.length
    if letters is None or length is None:
        raise ConfigError(
            f"data: an array of indices requires an environment of words, such as assignment, not {environment.name}; "
            "give a list of objects"
        )
    if array.ndim != 2 or array.shape[1] != length:
        raise ConfigError(f"data: expected an array of n objects x {length} places, got the shape {tuple(array.shape)}")
    rows = _whole_numbers(array)
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
