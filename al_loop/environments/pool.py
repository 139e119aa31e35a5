"""A finite list of objects from a file, such as a library, a catalogue or a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from al_loop.datafiles.delimited import find_object_column
from al_loop.datafiles.object_tables import read_table
from al_loop.environments.base import Environment, ObjectType
from al_loop.errors import counted
from al_loop.smiles import canonical_smiles
from al_loop.system.path_texts import PathOrName


class Pool(Environment):
    """A finite list of objects (such as a library of molecules) from a file; one action picks one of them.

    All of them are in ``objects``, so that a campaign scores each instead of training a sampler, which could not
    generalise from one object to another.

    Duplicates are removed and the objects are sorted, so that their order in the file (often by measured value) does
    not matter.

    Args:
        file: a path, relative to the folder of the config (CSV, TSV, Excel, Parquet, SDF, or ``.smi`` or ``.txt`` with
            one object per line; text also as ``.gz``, ``.xz`` or ``.bz2``), or the name of a shipped table.
        column: the column of the objects; None: smiles, sequence or object, else the only one of molecules or of text.
        object_type: type of the objects; None: molecule if the column's name contains SMILES or its cells are SMILES,
            sequence if it contains sequence, else other. Molecules are converted to canonical SMILES by RDKit.
        is_canonical: whether the SMILES are already in RDKit's canonical form, which saves a quarter of a millisecond
            each.
        details: the columns (ids, prices, vendors, ...) that travel with an object to the tables of the run; None: all.

    Raises:
        ConfigError: the file cannot be read, or an object is not valid.
    """

    kind = "pool"
    object_type: ObjectType = "molecule"  # type: ignore[misc]  # the usual one; each instance sets its own
    objects: list[str]

    def __init__(
        self,
        file: PathOrName,
        column: str | None = None,
        object_type: ObjectType | None = None,
        is_canonical: bool = False,
        details: list[str] | None = None,
    ) -> None:
        table = read_table(file)
        column = table.object_column(column)
        for name in details or ():
            table.column(name)
        others = [name for name in table.columns if name != column]
        self._details = others if details is None else list(details)
        self._column, self._is_canonical = column, is_canonical
        self.object_type = object_type or table.object_type(column)
        self.objects = sorted(set(table.objects(column, self.object_type, is_canonical)))
        if find_object_column([column]) is None:
            self.source = f"the {self.object_type}s are the column {column!r} of {file}"
        self.file = file
        self.n_actions = (
            len(self.objects) + 1
        )  # the last one: stop, which is never allowed, since a pick ends the object
        self.n_backward_actions = 1
        self.state_size = 1  # the object's index, -1 before one is picked
        self.max_steps = 1
        self.n_features = 1
        is_sequence = self.object_type == "sequence"  # one-hot features require the alphabet
        self.alphabet = "".join(sorted(set().union(*self.objects))) if is_sequence else None
        self.length = max(map(len, self.objects)) if is_sequence else None

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.objects)}

    def initial(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        return torch.full((n, 1), -1, dtype=torch.int64, device=device)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        return actions[:, None].clone()

    def backward_step(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        return torch.full_like(states, -1)

    def backward_action(self, states: Tensor, actions: Tensor) -> Tensor:
        return torch.zeros_like(actions)

    def forward_action(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        return states[:, 0].clone()

    def forward_mask(self, states: Tensor) -> Tensor:
        """Return every object until one is picked, and never stop."""
        is_open = states < 0
        return torch.cat([is_open.expand(-1, len(self.objects)), torch.zeros_like(is_open)], dim=1)

    def backward_mask(self, states: Tensor) -> Tensor:
        return states >= 0

    def is_terminal(self, states: Tensor) -> Tensor:
        return states[:, 0] >= 0

    def features(self, states: Tensor) -> Tensor:
        """Return whether an object is picked (any of them), as 1 or 0, shape n x 1."""
        return (states >= 0).float()

    def log_paths(self, states: Tensor) -> Tensor:
        """Return 0, since there is one way to pick each object."""
        return torch.zeros(states.shape[0], dtype=torch.float64, device=states.device)

    def decode(self, states: Tensor) -> list[str]:
        """Return the objects, molecules as canonical SMILES."""
        return [self.objects[i] for i in states[:, 0].tolist()]

    def encode(self, objects: Sequence[str]) -> Tensor:
        """Return the indices of objects; any SMILES of a molecule is accepted."""
        return torch.tensor([[self._index_of(name)] for name in objects], dtype=torch.int64).reshape(-1, 1)

    def _index_of(self, name: str) -> int:
        index = self._index.get(name)
        if index is None and self.object_type == "molecule":
            index = self._index.get(canonical_smiles(name) or "")
        if index is None:
            raise ValueError(f"{name!r:.120} is not among the {counted(len(self.objects), 'object')} of {self.file}")
        return index

    def details(self, objects: Sequence[str]) -> list[Mapping[str, Any] | None]:
        """Return the cells beside each object in its (first) row of the file."""
        if not self._details:
            return [None] * len(objects)
        table = read_table(self.file)
        wanted = set(objects)
        rows: dict[str, int] = {}
        for row, name in enumerate(table.objects(self._column, self.object_type, self._is_canonical)):
            if name in wanted:
                rows.setdefault(name, row)
        columns = {name: table.column(name) for name in self._details}
        return [
            {name: cells[rows[o]] for name, cells in columns.items() if cells[rows[o]]} or None if o in rows else None
            for o in objects
        ]

    def vocabulary(self) -> list[int]:
        """Return the number of actions, since objects are not built from letters."""
        return [self.n_actions]
