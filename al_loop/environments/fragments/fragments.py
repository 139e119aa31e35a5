"""Molecules as trees of ring systems and chains. RDKit is loaded where molecules are decoded, not before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from al_loop.environments.base import Environment, ObjectType
from al_loop.environments.fragments.crossover import cross
from al_loop.environments.fragments.symmetry import count_automorphisms, mix
from al_loop.environments.fragments.walks import log_paths, retrace

SHIPPED_VOCABULARY = Path(__file__).parents[1] / "data" / "zinc_fragments.json"
_CLASSES = ("ring_carbon", "ring_hetero", "carbon", "hetero", "sulfonyl")
#: which classes of atoms may be joined: one end in a ring (so that the bond is cut again by the same rule), one end
#: carbon unless it is a sulfonamide (so that no N-O, N-N, N-halogen bond is made)
_MAY_JOIN = {
    frozenset(pair)
    for pair in (
        ("ring_carbon",),
        ("ring_carbon", "ring_hetero"),
        ("ring_carbon", "carbon"),
        ("ring_carbon", "hetero"),
        ("ring_carbon", "sulfonyl"),
        ("ring_hetero", "carbon"),
        ("ring_hetero", "sulfonyl"),
    )
}


@dataclass(frozen=True)
class Block:
    """A vocabulary entry, see ``fragment_vocabulary.describe_block``."""

    smiles: str
    is_ring: bool
    sites: list[int]
    classes: list[str]
    required: int | None
    n_atoms: int
    tokens: list[str]
    symmetries: list[list[int]]


class Fragments(Environment):
    """Drug-like molecules, built by bonding ring systems and chains (from ZINC, or your own vocabulary) into a tree.

    A state lists the blocks in the order in which they were added, with the slot and site that each is bonded to. An
    action bonds a new block, by one of its own sites, to a free site of a block that is there. Many states stand for
    one molecule (orders, equivalent sites); ``log_multiplicity`` counts them exactly, through the orbit-stabiliser
    theorem, so that molecules and not drawings of them are drawn in proportion to the reward (the bias that is
    described in Ma et al. 2023, "Baking symmetry into GFlowNets").

    Args:
        max_fragments: most blocks in a molecule.
        min_fragments: fewest blocks in a molecule.
        max_atoms: most heavy atoms in a molecule; no block is added beyond it.
        vocabulary: a JSON file made by ``al_loop.environments.fragments.vocabulary``; None: the one shipped.
        exclude: blocks of the vocabulary, by their SMILES, that are not wanted.
    """

    kind = "fragments"
    object_type: ObjectType = "molecule"  # type: ignore[misc]

    def __init__(
        self,
        max_fragments: int = 6,
        min_fragments: int = 2,
        max_atoms: int = 38,
        vocabulary: str | None = None,
        exclude: Sequence[str] = (),
    ) -> None:
        if not 1 <= min_fragments <= max_fragments:
            raise ValueError(f"min_fragments: {min_fragments} is not between 1 and max_fragments ({max_fragments})")
        path = Path(vocabulary) if vocabulary else SHIPPED_VOCABULARY
        try:
            self.blocks = [Block(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
        except (OSError, TypeError, ValueError) as error:
            raise ValueError(f"vocabulary: cannot read {path}: {error}") from None
        if not self.blocks:
            raise ValueError(f"vocabulary: {path} holds no block")
        unknown = sorted(set(exclude) - {b.smiles for b in self.blocks})
        if unknown:
            raise ValueError(f"exclude: {unknown} are not blocks of the vocabulary {path}")
        self.blocks = [b for b in self.blocks if b.smiles not in exclude]
        self.max_fragments, self.min_fragments, self.max_atoms = max_fragments, min_fragments, max_atoms
        least = min((b.n_atoms for b in self.blocks if b.required is None), default=None)
        if least is None:
            raise ValueError(f"vocabulary: no block of {path} can come first, each requires a bond")
        if max_atoms < least:
            raise ValueError(f"max_atoms: {max_atoms} is below the smallest block, which has {least} heavy atoms")
        self._build_tables()
        self.n_sites = self._site_class.shape[1]
        self.n_entries = len(self._entry_block)
        self._n_parents = max(max_fragments - 1, 1)  # a block in the last slot bears no other
        self.n_actions = self._n_parents * self.n_sites * self.n_entries + 1
        self.n_backward_actions = max_fragments + 1  # a slot to remove, or the stop to undo
        # for each slot: block (1-based, 0 where empty), parent's slot, parent's site, own site; then: finished
        self.state_size = 4 * max_fragments + 1
        self.max_steps = max_fragments + 1
        self.n_features = 0

    def _build_tables(self) -> None:
        n_blocks, n_sites = len(self.blocks), max(len(b.sites) for b in self.blocks)
        n_symmetries = max(len(b.symmetries) for b in self.blocks)
        # block index 0 is "empty" in every table
        self._site_class = torch.full((n_blocks + 1, n_sites), -1)
        # the entry that bonds a block by a site, or by the first one that is equivalent; at site 0, also as the root
        self._entry_of = torch.zeros(n_blocks + 1, n_sites, dtype=torch.int64)
        # a symmetry that maps a site to the first one that is equivalent: where it takes all sites
        self._to_first = torch.arange(n_sites).repeat(n_blocks + 1, n_sites, 1)
        self._orbit_size = torch.ones(n_blocks + 1, n_sites)
        self._required = torch.full((n_blocks + 1,), -1)
        self._n_atoms = torch.zeros(n_blocks + 1, dtype=torch.int64)
        self._n_symmetries = torch.ones(n_blocks + 1)
        self._symmetries = torch.arange(n_sites).repeat(n_blocks + 1, n_symmetries, 1)
        self._is_symmetry = torch.zeros(n_blocks + 1, n_symmetries, dtype=torch.bool)
        self._is_symmetry[0, 0] = True
        entries: list[tuple[int, int]] = []
        root_entries: list[int] = []
        for i, block in enumerate(self.blocks, start=1):
            k = len(block.sites)
            self._site_class[i, :k] = torch.tensor([_CLASSES.index(c) for c in block.classes])
            self._required[i] = -1 if block.required is None else block.required
            self._n_atoms[i] = block.n_atoms
            self._n_symmetries[i] = len(block.symmetries)
            self._symmetries[i, : len(block.symmetries), :k] = torch.tensor(block.symmetries)
            self._is_symmetry[i, : len(block.symmetries)] = True
            self._orbit_size[i, :k] = torch.tensor([float(len({p[s] for p in block.symmetries})) for s in range(k)])
            firsts = [min(p[s] for p in block.symmetries) for s in range(k)]
            for s, first in enumerate(firsts):
                self._to_first[i, s, :k] = torch.tensor(next(p for p in block.symmetries if p[s] == first))
            # a block is bonded by one site of each orbit: the others would make the same molecules
            own = [s for s in range(k) if firsts[s] == s and block.required in (None, s)]
            root_entries += [len(entries)] if block.required is None else []
            for s in range(k):
                self._entry_of[i, s] = len(entries) + own.index(firsts[s]) if firsts[s] in own else 0
            entries += [(i, s) for s in own]
        self._salts = mix(torch.arange(1, n_sites + 1))[self._symmetries]  # a number for each site, carried along
        self._entry_block, self._entry_site = torch.tensor(entries).T.contiguous()
        self._is_root_entry = torch.zeros(len(entries), dtype=torch.bool)
        self._is_root_entry[root_entries] = True
        self._may_join = torch.tensor([[frozenset((a, b)) in _MAY_JOIN for b in _CLASSES] for a in _CLASSES])
        entry_class = self._site_class[self._entry_block, self._entry_site]
        # _joins[class of the site that is there, entry]; the last but one row: no block yet, the last: no site
        nothing = torch.zeros(1, len(entries), dtype=torch.bool)
        self._joins = torch.cat([self._may_join[:, entry_class], self._is_root_entry[None], nothing])
        self._entry_n_atoms = self._n_atoms[self._entry_block]
        # the heavy atoms of the smallest block that may come to each of these places
        self._least_atoms = torch.where(self._joins, self._entry_n_atoms, torch.iinfo(torch.int64).max).amin(1)
        self._tables: dict[tuple[str, torch.device], Tensor] = {}

    def table(self, name: str, device: torch.device) -> Tensor:
        """A table on the device of the states; copied there at the first use."""
        key = name, device
        if key not in self._tables:
            self._tables[key] = getattr(self, name).to(device)
        return self._tables[key]

    def slots(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Block (0: empty), parent's slot, parent's site and own site of each slot: four tensors n x max_fragments."""
        rows = states[:, :-1].reshape(-1, 4, self.max_fragments)
        return rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3]

    def occupied(self, states: Tensor) -> Tensor:
        """Which sites carry a bond: n x max_fragments x n_sites, bool."""
        block, parent, parent_site, own_site = self.slots(states)
        is_child = (block > 0).long()
        is_child[:, 0] = 0
        bits = (is_child << own_site).scatter_add_(1, parent, is_child << parent_site)  # bit s: site s
        return (bits[..., None] >> torch.arange(self.n_sites, device=states.device)) & 1 > 0

    def degree(self, states: Tensor) -> Tensor:
        """Bonds of each slot to other slots: n x max_fragments."""
        block, parent, _, _ = self.slots(states)
        is_child = (block > 0).long()
        is_child[:, 0] = 0
        return is_child.scatter_add(1, parent, is_child)

    def open_sites(self, states: Tensor) -> Tensor:
        """Where an action may bond a block: n x (max_fragments - 1, at least 1) x n_sites, bool.

        The first block, which is bonded to nothing, counts as bonded to the first site of the first slot.
        """
        block = states[:, : self._n_parents]
        sites = self.table("_site_class", states.device)[block] >= 0
        is_open = sites & ~self.occupied(states)[:, : self._n_parents]
        is_open[:, 0, 0] |= block[:, 0] == 0
        may_grow = (states[:, self.max_fragments - 1] == 0) & (states[:, -1] == 0)
        return is_open & may_grow[:, None, None]

    def initial(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        """N times no block."""
        return torch.zeros(n, self.state_size, dtype=torch.int64, device=device)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        """Bonds a block each, or finishes the molecule."""
        states = states.clone()
        is_stop = actions == self.n_actions - 1
        place, entry = actions // self.n_entries, actions % self.n_entries
        slot = (states[:, : self.max_fragments] > 0).sum(1)
        device = states.device
        new = torch.stack(
            [
                self.table("_entry_block", device)[entry],
                place // self.n_sites,
                place % self.n_sites,
                self.table("_entry_site", device)[entry],
            ],
            dim=1,
        )
        new[:, 1:] *= (slot > 0)[:, None]  # the first block is bonded to nothing
        columns = slot[:, None] + self.max_fragments * torch.arange(4, device=device)
        columns = torch.where(is_stop[:, None], self.state_size - 1, columns)
        return states.scatter(1, columns, torch.where(is_stop[:, None], 1, new))

    def backward_step(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        """Removes a block each, or takes the finish back."""
        slots = self.max_fragments
        here = torch.arange(slots, device=states.device)
        removed = backward_actions[:, None]
        source = here + (here >= removed).long()
        kept = (source < slots)[:, None].expand(-1, 4, -1).clone()
        kept[:, 1:, 0] = False  # where the root goes, its only neighbour becomes the root: it is bonded to nothing
        rows = states[:, :-1].reshape(-1, 4, slots)
        rows = rows.gather(2, source.clamp(max=slots - 1)[:, None].expand(-1, 4, -1))
        rows[:, 1] -= (rows[:, 1] > removed).long()
        smaller = torch.where(kept, rows, 0).flatten(1)
        is_undo = removed == slots  # the finish is taken back, no block goes
        return torch.cat([torch.where(is_undo, states[:, :-1], smaller), torch.zeros_like(removed)], dim=1)

    def backward_action(self, states: Tensor, actions: Tensor) -> Tensor:
        """The slot that the new block took."""
        slot = (states[:, : self.max_fragments] > 0).sum(1)
        return torch.where(actions == self.n_actions - 1, self.max_fragments, slot)

    def forward_action(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        """The block that goes, bonded again to what stays; by the first of its sites that are equivalent."""
        block, parent, parent_site, own_site = self.slots(states)
        removed = backward_actions.clamp(max=self.max_fragments - 1)[:, None]
        child = min(1, self.max_fragments - 1)  # a root goes when it has one child, in the second slot, then the first
        is_root = removed == 0
        site = torch.where(is_root, parent_site[:, child, None], own_site.gather(1, removed))
        at_site = torch.where(is_root, own_site[:, child, None], parent_site.gather(1, removed))
        slot = torch.where(is_root, 0, parent.gather(1, removed))
        entry = self.table("_entry_of", states.device)[block.gather(1, removed), site]
        action = (slot * self.n_sites + at_site) * self.n_entries + entry
        return torch.where(backward_actions == self.max_fragments, self.n_actions - 1, action[:, 0])

    def retrace(self, states: Tensor, backward_actions: Tensor) -> tuple[Tensor, Tensor]:
        """As in the base class; the trajectories may end in another drawing of the molecule."""
        return retrace(self, states, backward_actions)

    def forward_mask(self, states: Tensor) -> Tensor:
        """Where blocks may be bonded, by class, size and room; and whether the molecule may be finished."""
        device = states.device
        block = states[:, : self.max_fragments]
        n, count = len(states), (block > 0).sum(1)
        is_open = states[:, -1] == 0
        room = self.max_atoms - self.table("_n_atoms", device)[block].sum(1)
        room = torch.where(is_open & (count < self.max_fragments), room, 0)
        fits = self.table("_entry_n_atoms", device) <= room[:, None]
        joins = self.table("_joins", device)
        allowed = joins & fits[:, None]  # n x kinds of places x entries: fewer than there are places
        kinds = len(joins)
        kind = self.table("_site_class", device)[block[:, : self._n_parents]]
        kind = torch.where((kind < 0) | self.occupied(states)[:, : self._n_parents], kinds - 1, kind).flatten(1)
        kind[:, 0] = torch.where(count == 0, kinds - 2, kind[:, 0])
        row = kind + kinds * torch.arange(n, device=device)[:, None]
        grows = allowed.flatten(0, 1).index_select(0, row.flatten())
        # a molecule that cannot grow may stop even where it is small, so that no state is a dead end
        is_stuck = (self.table("_least_atoms", device)[kind] > room[:, None]).all(1)
        may_stop = is_open & ((count >= self.min_fragments) | ((count > 0) & is_stuck))
        return torch.cat([grows.view(n, self.n_actions - 1), may_stop[:, None]], dim=1)

    def backward_mask(self, states: Tensor) -> Tensor:
        """Blocks with one neighbour, but for those that a required bond holds."""
        device = states.device
        block, parent, parent_site, own_site = self.slots(states)
        is_finished = states[:, -1:] == 1
        is_leaf = (block > 0) & (self.degree(states) <= 1)
        # the block behind a required site stays as long as the block that requires it
        required = self.table("_required", device)[block]
        blocked = (required.gather(1, parent) == parent_site) & (required.gather(1, parent) >= 0)
        blocked[:, 0] = False
        child_of_root = torch.arange(self.max_fragments, device=device) > 0
        holds_root = (parent == 0) & child_of_root & (required == own_site) & (required >= 0) & (block > 0)
        blocked[:, 0] = holds_root.any(1)
        return torch.cat([is_leaf & ~blocked & ~is_finished, is_finished], dim=1)

    def is_terminal(self, states: Tensor) -> Tensor:
        """Whether each molecule is finished."""
        return states[:, -1] == 1

    def features(self, states: Tensor) -> Tensor:
        """There are none: the policy reads the tree itself."""
        raise ValueError("fragments are trees and have no flat features: use policy: {kind: fragments}")

    def log_multiplicity(self, states: Tensor) -> Tensor:
        """log(ways to label the sites) - log(automorphisms), see ``Environment``; exact but for 64-bit hash collisions.

        A molecule's fragment tree can be written with its sites relabelled by any symmetry of each block; blocks other
        than the first are bonded by the first site of the orbit, which leaves them the stabiliser of that site. Each
        state is met once for each automorphism of the whole.
        """
        device = states.device
        block, _, _, own_site = self.slots(states)
        here = torch.arange(self.max_fragments, device=device)
        labellings = self.table("_n_symmetries", device)[block].log()
        orbit = self.table("_orbit_size", device)[block, own_site].log()
        labellings = labellings - torch.where((here > 0) & (block > 0), orbit, 0.0)
        return labellings.sum(1) - self.n_automorphisms(states).double().log().float()

    def log_paths(self, states: Tensor) -> Tensor:
        """Logarithm of the number of orders in which the blocks can be put together: n, double precision."""
        return log_paths(self, states)

    def n_automorphisms(self, states: Tensor) -> Tensor:
        """Automorphisms of the fragment trees, free sites included: n."""
        return count_automorphisms(self, states)

    def decode(self, states: Tensor) -> list[str]:
        """Canonical SMILES."""
        from rdkit import Chem

        smiles = []
        for row in states[:, :-1].reshape(-1, 4, self.max_fragments).tolist():
            mol = Chem.MolFromSmiles(self._write(row))
            assert mol is not None, f"a state that is no molecule: {row}"
            smiles.append(Chem.MolToSmiles(mol))
        return smiles

    def _write(self, row: list[list[int]]) -> str:
        """A state as SMILES: blocks separated by dots, bonded through ring-closure numbers."""
        closures: list[dict[int, str]] = [{} for _ in range(self.max_fragments)]
        for slot in range(1, self.max_fragments):
            block, parent, parent_site, own_site = (column[slot] for column in row)
            if block:
                mark = f"%{slot + 10}"
                ends = ((parent, self.blocks[row[0][parent] - 1].sites[parent_site]),)
                for end, atom in (*ends, (slot, self.blocks[block - 1].sites[own_site])):
                    closures[end][atom] = closures[end].get(atom, "") + mark
        parts = []
        for slot in range(self.max_fragments):
            if row[0][slot]:
                tokens = self.blocks[row[0][slot] - 1].tokens
                text = ""
                for atom, token in enumerate(tokens):
                    bonds = closures[slot].get(atom, "")
                    if bonds and token.endswith("H]"):  # the bond takes the place of the bracket's hydrogen
                        token = token[: token.index("[")] + token[token.index("[") + 1 : -2]
                    text += token + bonds
                parts.append(text)
        return ".".join(parts)

    def encode(self, objects: Sequence[str]) -> Tensor:
        """A drawing of each molecule, without its stereochemistry."""
        from al_loop.environments.fragments.encoding import encode_molecule

        rows = [encode_molecule(self, smiles) for smiles in objects]
        return torch.tensor(rows, dtype=torch.int64).reshape(-1, self.state_size)

    def crossover(self, a: Tensor, b: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A child of each pair of molecules: a random part of one, bonded to a random part of the other.

        It goes object by object, some thousand a second: it is no part of a roll-out.

        Args:
            a: terminal states, n x state_size.
            b: terminal states, n x state_size.
            generator: all randomness.

        Returns:
            Terminal states (n x state_size), and whether each is a child (n, bool): where none was found, the state
            is that of ``a``.
        """
        return cross(self, a, b, generator)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tables": {}}
