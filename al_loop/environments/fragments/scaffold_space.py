"""Molecules that have a scaffold: its substituents are generated, or the linker between two parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from al_loop.environments.fragments.blocks import Block, without
from al_loop.environments.fragments.closed import ClosedFragments
from al_loop.environments.fragments.closing import Closing, Focus
from al_loop.environments.fragments.growth import NEVER
from al_loop.environments.fragments.states import read_slots
from al_loop.environments.fragments.vocabulary_file import DEFAULT_VOCABULARY, Vocabulary, read_vocabulary
from al_loop.errors import counted

#: symbols of atoms that may be bonded to a scaffold's carbon where the vocabulary has no bond of its kind
_PARTNERS_OF_CARBON = {"C", "N", "O", "S", "P", "F", "Cl", "Br", "I"}


class ScaffoldFragments(ClosedFragments):
    """Molecules that start from a scaffold, a block of its own that no action removes.

    With one scaffold, each of its attachment points gets a substituent. With two parts, the first is the start, and the
    second closes exactly one of the attachment points of what is built on it, which is the linker: each state leaves an
    attachment point, and room, for it. Nothing else is bonded to the parts.

    A molecule that has its scaffold at several places has a tree for each; ``log_multiplicity`` counts these as well,
    so that molecules are drawn in proportion to the reward, and ``identity`` is the molecule's.
    """

    reads_from_device = True  # to count the places of a scaffold

    def __init__(
        self,
        max_fragments: int | None = None,
        min_fragments: int = 2,
        max_atoms: int = 38,
        vocabulary: str | None = None,
        exclude: Sequence[str] = (),
        scaffold: str | Sequence[str] | None = None,
    ) -> None:
        from al_loop.environments.fragments.scaffolds import read_scaffolds

        assert scaffold is not None, "Fragments has no scaffold"
        vocabulary = vocabulary or DEFAULT_VOCABULARY
        if read_vocabulary(vocabulary) is None:
            raise ValueError(
                f"scaffold: the blocks of {vocabulary} may have free sites; use a vocabulary of patterns, such as zinc"
            )
        self._scaffolds = read_scaffolds(scaffold)
        self._places: dict[int, tuple[int, int]] = {}
        super().__init__(max_fragments, min_fragments, max_atoms, vocabulary, exclude)
        index = {block.smiles: i for i, block in enumerate(self.blocks, start=1)}
        #: indices of the scaffold's blocks: the first block, and the other end of a linker
        self._own = [index[scaffold.block.smiles] for scaffold in self._scaffolds]
        self._end_entry = int(self._tables.entry_of[self._own[-1], 0])
        self.max_steps = self.max_fragments - 1
        if not bool(self.forward_mask(self.initial(1)).any()):
            raise ValueError(
                f"scaffold: no molecule of at most {self.max_fragments} blocks (max_fragments) and {self.max_atoms} "
                "heavy atoms (max_atoms) has it; it has "
                f"{sum(s.block.n_atoms for s in self._scaffolds)} heavy atoms itself"
            )

    def _close(self, patterns: Vocabulary, exclude: tuple[str, ...], name: str) -> Closing:
        blocks, joins = without(list(patterns.blocks), exclude, name), patterns.joins
        own = [replace(scaffold.block, is_ring=True) for scaffold in self._scaffolds]  # so that none is a mere end
        classes = sorted({kind for block in blocks for kind in block.classes})
        closing = Closing.of([*blocks, *own], {**joins, **_joins_of(own, joins, classes)}, name)
        index = {block.smiles: i for i, block in enumerate(closing.blocks, start=1)}
        tables, places = closing.tables, [index.get(block.smiles, 0) for block in own]
        least = closing.least[places]
        if not all(places) or bool((least >= NEVER).any()):
            raise ValueError(
                f"scaffold: no chain of the vocabulary {name} may end the molecule at one of its attachment points, at "
                "most ring systems may be bonded there; add the next atoms to the scaffold"
            )
        table = tables.joins.clone()
        is_root = tables.entry_block == places[0]
        table[:, is_root], table[-2] = False, False
        table[-2, int(tables.entry_of[places[0], 0])] = True
        rank = closing.rank.clone()
        rank[places[0]] = len(rank)
        return replace(closing, tables=replace(tables, joins=table), rank=rank)

    def initial(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        states = super().initial(n, device)
        states[:, 0] = self._own[0]
        return states

    def backward_mask(self, states: Tensor) -> Tensor:
        return states[:, 1:2] > 0

    def forward_mask(self, states: Tensor) -> Tensor:
        closing, focus = self.closing(states.device), self.focus(states)
        mask = closing.mask(states, focus, self._limits)
        return mask if len(self._own) == 1 else self._leaving_a_place(states, focus, mask)

    def _leaving_a_place(self, states: Tensor, focus: Focus, mask: Tensor) -> Tensor:
        """Return a mask without the entries after which the other end of the linker could be bonded no more."""
        closing = self.closing(states.device)
        tables, end = closing.tables, self._own[1]
        block = read_slots(states).block
        is_end = tables.entry_block == end
        is_there = (block == end).any(1)
        # heavy atoms that the other end adds, where it may be bonded, to those of the smallest end there
        may_join = tables.joins[:, self._end_entry][tables.site_class] & (tables.site_class >= 0)
        extra = torch.where(may_join, self._scaffolds[1].block.n_atoms - closing.least, NEVER)
        at_site = extra[block]
        place = focus.slot * tables.n_sites + focus.site
        others = at_site.masked_fill(self.occupied(states), NEVER).flatten(1).scatter(1, place[:, None], NEVER).amin(1)
        new = extra[tables.entry_block].scatter(1, tables.entry_site[:, None], NEVER).amin(1)
        room = closing.room(states, focus, self._limits)
        needed = closing.cost + torch.minimum(others[:, None], new)
        allowed = torch.where(is_end, True, needed <= room[:, None])
        return mask & torch.where(is_there[:, None], ~is_end, allowed)

    def admits(self, objects: Sequence[str]) -> list[bool]:
        """Return whether each molecule has the scaffold, bonded at its attachment points and nowhere else."""
        from al_loop.environments.fragments.scaffolds import has_scaffolds

        return [has_scaffolds(smiles, self._scaffolds) for smiles in objects]

    # -- molecules with a scaffold at several places -------------------------------------------------------------------

    def _row(self, smiles: str) -> list[int]:
        return self._rows(smiles)[0]

    def _rows(self, smiles: str) -> list[list[int]]:
        """Return a state for each place at which a molecule has the scaffold; at least one.

        Raises:
            ValueError: it is not in the space.
        """
        from al_loop.environments.fragments.reasons import NotInSpaceError
        from al_loop.environments.fragments.scaffolds import cuts_of

        reader = self._reader()
        mol = reader.read(smiles)
        refusal = NotInSpaceError(
            smiles, "it does not have the scaffold, bonded at its attachment points and nowhere else"
        )
        rows = []
        for molecule in cuts_of(mol, self._scaffolds):
            try:
                rows.append(reader.encode_cut(smiles, molecule, mol.GetNumAtoms()))
            except NotInSpaceError as error:
                refusal = error
        if not rows:
            raise refusal
        return rows

    def _molecules(self, states: Tensor) -> list[tuple[int, int]]:
        """Return the number of trees of each finished molecule, and the smallest of their hashes."""
        from al_loop.environments.fragments.scaffolds import n_choices

        hashes = super().identity(states).tolist()
        new = [row for row, key in enumerate(hashes) if key not in self._places]
        if new:
            names = self.decode(states[new].cpu())
            for row, name in zip(new, names, strict=True):
                if n_choices(name, self._scaffolds) == 1:  # as nearly always
                    self._places[hashes[row]] = 1, hashes[row]
                    continue
                trees = torch.tensor(self._rows(name), dtype=torch.int64)
                known = super().identity(trees).unique().tolist()
                self._places[hashes[row]] = len(known), min(known)
        return [self._places[key] for key in hashes]

    def log_multiplicity(self, states: Tensor) -> Tensor:
        """Return the log of the number of states of each molecule, shape n; 0 for unfinished states."""
        total = super().log_multiplicity(states)
        finished = (states[:, -1] == 1).nonzero()[:, 0]
        if not len(finished):
            return total
        counts = [float(n) for n, _ in self._molecules(states[finished])]
        return total.index_add(0, finished, torch.tensor(counts, device=states.device).log())

    def identity(self, states: Tensor) -> Tensor:
        """Return a 64-bit hash of each finished molecule, shape n, the same for all places of its scaffold."""
        own = super().identity(states)
        finished = (states[:, -1] == 1).nonzero()[:, 0]
        if not len(finished):
            return own
        hashes = [key for _, key in self._molecules(states[finished])]
        return own.index_copy(0, finished, torch.tensor(hashes, device=states.device))

    def crossover(self, a: Tensor, b: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return a child of each pair of molecules that has the scaffold once, as ``ClosedFragments`` does."""
        states, is_child = super().crossover(a, b, generator)
        blocks = states[:, : self.max_fragments]
        keeps = torch.stack([(blocks == own).sum(1) == 1 for own in self._own]).all(0) & (blocks[:, 0] == self._own[0])
        is_child &= keeps
        return torch.where(is_child[:, None], states, a), is_child

    def about(self) -> list[str]:
        sizes, *others = super().about()
        return [
            f"{sizes}, each with the scaffold {self._pattern}, which counts as {counted(len(self._own), 'block')}",
            *others,
        ]

    def describe(self) -> str:
        return f"{self.name} ({len(self.blocks) - len(self._own)} blocks), with {self._pattern}"

    @property
    def _pattern(self) -> str:
        return ".".join(scaffold.block.smiles.split()[0] for scaffold in self._scaffolds)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_places": {}}


def _joins_of(
    own: Sequence[Block], joins: Mapping[frozenset[str], int], classes: Sequence[str]
) -> dict[frozenset[str], int]:
    """Return what may be bonded to the sites of scaffolds: what the vocabulary has at atoms of their class.

    Where it has no bond of such an atom, one of the two ends has to be a carbon.
    """
    found = {}
    for kind in {kind for block in own for kind in block.classes}:
        name = kind.removeprefix("scaffold's ")
        partners = [other for other in classes if frozenset((name, other)) in joins]
        symbol = _symbol(name)
        if not partners:
            allowed = _PARTNERS_OF_CARBON if symbol == "C" else {"C"}
            partners = [other for other in classes if _symbol(other) in allowed]
        found.update({frozenset((kind, other)): 1 for other in partners})
    return found


def _symbol(name: str) -> str:
    return name.split()[-1].rstrip("+-")
