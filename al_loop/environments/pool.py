"""A finite list of objects in a file: what a library, a catalogue or a table offers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from al_loop.datafiles.object_tables import object_type_of, read_table
from al_loop.environments.base import Environment, ObjectType
from al_loop.smiles import canonical_smiles


class Pool(Environment):
    """A finite list of objects (a library of molecules, say) from a file; one action picks one of them.

    All of them stand in ``objects``, so that a campaign may score each instead of training a sampler: for some thousand
    objects and more that is what should be done, as nothing that is learned of one object tells of the others.

    Each object counts once, and they are sorted, so that nothing of their order in the file (often that of the answers)
    is seen.

    Args:
        file: a path, from the folder in which the campaign is started (a CSV with a header, or ``.smi`` or ``.txt``
            with an object a line; perhaps ``.gz``, ``.xz`` or ``.bz2``), or the name of a table that is shipped.
        column: the column of the objects; left out: smiles, sequence or object, else the first.
        object_type: what they are; left out: molecule where the column's name speaks of SMILES, sequence where it
            speaks of sequences, else other. Molecules are brought to canonical SMILES by RDKit.
        is_canonical: the SMILES are RDKit's canonical ones already, which saves a quarter of a millisecond each.
    """

    kind = "pool"
    object_type: ObjectType = "molecule"  # type: ignore[misc]  # of most; an instance has its own

    def __init__(
        self,
        file: str,
        column: str | None = None,
        object_type: ObjectType | None = None,
        is_canonical: bool = False,
    ) -> None:
        table = read_table(file)
        column = table.object_column(column)
        self.object_type = object_type or object_type_of(column)
        #: all objects, each once, sorted
        self.objects: list[str] = sorted(set(table.objects(column, self.object_type, is_canonical)))
        self.file = file
        self.n_actions = len(self.objects) + 1  # the last: stop, which is never allowed, as a pick ends the object
        self.n_backward_actions = 1
        self.state_size = 1  # the object's place in the list, -1 where none is picked yet
        self.max_steps = 1
        self.n_features = 1
        if self.object_type == "sequence":  # what one-hot features ask for
            self.alphabet = "".join(sorted(set().union(*self.objects)))
            self.length = max(map(len, self.objects))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.objects)}

    def initial(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        """N times nothing picked."""
        return torch.full((n, 1), -1, dtype=torch.int64, device=device)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        """Picks an object each."""
        return actions[:, None].clone()

    def backward_step(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        """Puts the objects back."""
        return torch.full_like(states, -1)

    def backward_action(self, states: Tensor, actions: Tensor) -> Tensor:
        """The only one there is."""
        return torch.zeros_like(actions)

    def forward_action(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        """To pick the same object."""
        return states[:, 0].clone()

    def forward_mask(self, states: Tensor) -> Tensor:
        """Any object where none is picked; never the stop."""
        is_open = states < 0
        return torch.cat([is_open.expand(-1, len(self.objects)), torch.zeros_like(is_open)], dim=1)

    def backward_mask(self, states: Tensor) -> Tensor:
        """What is picked can be put back."""
        return states >= 0

    def is_terminal(self, states: Tensor) -> Tensor:
        """Whether each is picked."""
        return states[:, 0] >= 0

    def features(self, states: Tensor) -> Tensor:
        """1 where an object is picked, else 0: which one, no policy needs to know."""
        return (states >= 0).float()

    def log_paths(self, states: Tensor) -> Tensor:
        """0: each object is picked in one way."""
        return torch.zeros(states.shape[0], dtype=torch.float64, device=states.device)

    def decode(self, states: Tensor) -> list[str]:
        """The objects, molecules as canonical SMILES."""
        return [self.objects[i] for i in states[:, 0].tolist()]

    def encode(self, objects: Sequence[str]) -> Tensor:
        """The places of objects; a molecule may be written in any way."""
        return torch.tensor([[self._place(name)] for name in objects], dtype=torch.int64).reshape(-1, 1)

    def _place(self, name: str) -> int:
        place = self._places.get(name)
        if place is None and self.object_type == "molecule":
            place = self._places.get(canonical_smiles(name) or "")
        if place is None:
            raise ValueError(f"{name!r:.120} is not among the {len(self.objects)} objects of {self.file}")
        return place
