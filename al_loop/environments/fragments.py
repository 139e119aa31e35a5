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

SHIPPED_VOCABULARY = Path(__file__).parent / "data" / "zinc_fragments.json"
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
_MIXER = 0x9E3779B97F4A7C15 - (1 << 64)  # the golden-ratio constant of splitmix64, as a signed 64-bit number


def _hash(x: Tensor) -> Tensor:
    """A mixing of 64-bit integers (splitmix64's finaliser with arithmetic shifts)."""
    x = (x ^ (x >> 30)) * -4658895280553007687
    x = (x ^ (x >> 27)) * -7723592293110705685
    return x ^ (x >> 31)


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
        vocabulary: a JSON file made by ``al_loop.environments.fragment_vocabulary``; None: the one shipped.
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
        self._orbit = torch.zeros(n_blocks + 1, n_sites, dtype=torch.int64)
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
            orbits = [sorted({p[s] for p in block.symmetries}) for s in range(k)]
            self._orbit[i, :k] = torch.tensor([o[0] for o in orbits])
            self._orbit_size[i, :k] = torch.tensor([float(len(o)) for o in orbits])
            # a block is bonded by one site of each orbit: the others would make the same molecules
            own = [s for s in range(k) if orbits[s][0] == s and block.required in (None, s)]
            root_entries += [len(entries)] if block.required is None else []
            entries += [(i, s) for s in own]
        self._entry_block, self._entry_site = torch.tensor(entries).T.contiguous()
        self._is_root_entry = torch.zeros(len(entries), dtype=torch.bool)
        self._is_root_entry[root_entries] = True
        may_join = torch.tensor([[frozenset((a, b)) in _MAY_JOIN for b in _CLASSES] for a in _CLASSES])
        entry_class = self._site_class[self._entry_block, self._entry_site]
        # _joins[class of the site that is there (last row: no site), entry]
        self._joins = torch.cat([may_join[:, entry_class], torch.zeros(1, len(entries), dtype=torch.bool)])

    def _table(self, name: str, device: torch.device) -> Tensor:
        """A table on the device of the states; moved there at the first use."""
        table: Tensor = getattr(self, name)
        if table.device != device:
            table = table.to(device)
            setattr(self, name, table)
        return table

    def slots(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Block (0: empty), parent's slot, parent's site and own site of each slot: four tensors n x max_fragments."""
        rows = states[:, :-1].reshape(-1, 4, self.max_fragments)
        return rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3]

    def occupied(self, states: Tensor) -> Tensor:
        """Which sites carry a bond: n x max_fragments x n_sites, bool."""
        block, parent, parent_site, own_site = self.slots(states)
        n, slots = block.shape
        taken = torch.zeros(n, slots * self.n_sites + 1, dtype=torch.bool, device=states.device)
        here = torch.arange(slots, device=states.device)
        is_child = (block > 0) & (here > 0)
        for index in (parent * self.n_sites + parent_site, here * self.n_sites + own_site):
            taken.scatter_(1, torch.where(is_child, index, slots * self.n_sites), True)
        return taken[:, :-1].reshape(n, slots, self.n_sites)

    def degree(self, states: Tensor) -> Tensor:
        """Bonds of each slot to other slots: n x max_fragments."""
        return self.occupied(states).sum(-1)

    def open_sites(self, states: Tensor) -> Tensor:
        """Where an action may bond a block: n x (max_fragments - 1, at least 1) x n_sites, bool.

        The first block, which is bonded to nothing, counts as bonded to the first site of the first slot.
        """
        block = states[:, : self._n_parents]
        sites = self._table("_site_class", states.device)[block] >= 0
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
                self._table("_entry_block", device)[entry],
                place // self.n_sites,
                place % self.n_sites,
                self._table("_entry_site", device)[entry],
            ],
            dim=1,
        )
        new[:, 1:] *= (slot > 0)[:, None]  # the first block is bonded to nothing
        columns = slot[:, None] + self.max_fragments * torch.arange(4, device=device)
        columns = torch.where(is_stop[:, None], self.state_size - 1, columns)
        return states.scatter(1, columns, torch.where(is_stop[:, None], 1, new))

    def backward_step(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        """Removes a block each, or takes the finish back."""
        block, parent, parent_site, own_site = self.slots(states)
        device = states.device
        is_undo = (backward_actions == self.max_fragments)[:, None]
        removed = torch.where(is_undo[:, 0], self.max_fragments, backward_actions)[:, None]
        here = torch.arange(self.max_fragments, device=device)
        # where the root goes, its only neighbour becomes the root: with no parent and no own site
        source = here + (here >= removed).long()
        padded = source.clamp(max=self.max_fragments - 1)
        inside = source < self.max_fragments
        taken = [torch.where(inside, part.gather(1, padded), 0) for part in (block, parent, parent_site, own_site)]
        taken[1] = (taken[1] - (taken[1] > removed).long()).clamp(min=0)
        is_first = here == 0
        taken[1:] = [torch.where(is_first, 0, part) for part in taken[1:]]
        smaller = torch.cat([*taken, torch.zeros_like(states[:, -1:])], dim=1)
        undone = torch.cat([states[:, :-1], torch.zeros_like(states[:, -1:])], dim=1)
        return torch.where(is_undo, undone, smaller)

    def backward_action(self, states: Tensor, actions: Tensor) -> Tensor:
        """The slot that the new block took."""
        slot = (states[:, : self.max_fragments] > 0).sum(1)
        return torch.where(actions == self.n_actions - 1, self.max_fragments, slot)

    def forward_mask(self, states: Tensor) -> Tensor:
        """Where blocks may be bonded, by class, size and room; and whether the molecule may be finished."""
        device = states.device
        block, _, _, _ = self.slots(states)
        count = (block > 0).sum(1)
        is_open = states[:, -1] == 0
        n_atoms = self._table("_n_atoms", device)
        fits = n_atoms[block].sum(1)[:, None] + n_atoms[self._table("_entry_block", device)] <= self.max_atoms
        parents = block[:, : self._n_parents]
        free_class = self._table("_site_class", device)[parents]
        free_class = free_class.masked_fill(self.occupied(states)[:, : self._n_parents], -1)  # -1: no site
        mask = self._table("_joins", device)[free_class]  # n x parents x sites x entries
        mask = mask & (fits & (is_open & (count < self.max_fragments))[:, None])[:, None, None]
        root = self._table("_is_root_entry", device) & fits
        mask[:, 0, 0] |= root & (count == 0)[:, None]
        # a molecule that cannot grow may stop even where it is small, so that no state is a dead end
        grows = mask.flatten(1)
        may_stop = is_open & ((count >= self.min_fragments) | ((count > 0) & ~grows.any(1)))
        return torch.cat([grows, may_stop[:, None]], dim=1)

    def backward_mask(self, states: Tensor) -> Tensor:
        """Blocks with one neighbour, but for those that a required bond holds."""
        device = states.device
        block, parent, parent_site, own_site = self.slots(states)
        is_finished = states[:, -1:] == 1
        is_leaf = (block > 0) & (self.degree(states) <= 1)
        # the block behind a required site stays as long as the block that requires it
        required = self._table("_required", device)[block]
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
        labellings = self._table("_n_symmetries", device)[block].log()
        orbit = self._table("_orbit_size", device)[block, own_site].log()
        labellings = labellings - torch.where((here > 0) & (block > 0), orbit, 0.0)
        return labellings.sum(1) - self.n_automorphisms(states).double().log().float()

    def n_automorphisms(self, states: Tensor) -> Tensor:
        """Automorphisms of the fragment trees, free sites included: n."""
        device = states.device
        block, parent, parent_site, own_site = self.slots(states)
        n, slots = block.shape
        sites = self.n_sites
        here = torch.arange(slots, device=device)
        is_child = (block > 0) & (here > 0)
        # for each (slot, site): the (slot, site) at the other end of its bond, or -1
        other = torch.full((n, slots * sites + 1), -1, dtype=torch.int64, device=device)
        up, down = parent * sites + parent_site, here * sites + own_site
        nowhere = slots * sites
        other.scatter_(1, torch.where(is_child, up, nowhere), down.expand(n, -1))
        other.scatter_(1, torch.where(is_child, down, nowhere), up)
        other = other[:, :-1].contiguous()
        # no more symmetries and rounds of messages than the states at hand need
        most = int(self._table("_n_symmetries", device)[block].max()) if n else 1
        n_rounds = int((block > 0).sum(1).max()) - 1 if n else 0
        permutations = self._table("_symmetries", device)[:, :most][block]  # n x slots x symmetries x sites
        valid = self._table("_is_symmetry", device)[:, :most][block]
        salts = _hash(torch.arange(1, sites + 1, device=device) * _MIXER)
        block_hash = _hash((block + 1) * _MIXER)

        def permuted(labels: Tensor) -> Tensor:  # n x slots x ... x sites -> n x slots x ... x symmetries x sites
            extra = labels.dim() - 3
            index = permutations.reshape(n, slots, *[1] * extra, *permutations.shape[2:])
            shape = (*labels.shape[:-1], most, sites)
            return labels.unsqueeze(-2).expand(shape).gather(-1, index.expand(shape))

        def canonical(labels: Tensor) -> Tensor:  # ... x sites -> ..., the same for labels that a symmetry relates
            extra = labels.dim() - 3
            codes = _hash((permuted(labels) * salts).sum(-1))
            ok = valid.reshape(n, slots, *[1] * extra, most)
            codes = codes.masked_fill(~ok, torch.iinfo(torch.int64).max)
            return _hash(codes.amin(-1) + block_hash.reshape(n, slots, *[1] * extra))

        # message[slot, site]: what hangs on the site, seen from the slot; empty sites carry 0
        is_bonded = (other >= 0).view(n, slots, sites)
        message = torch.zeros(n, slots, sites, dtype=torch.int64, device=device)
        toward = torch.eye(sites, dtype=torch.bool, device=device)
        for _ in range(n_rounds):
            # outgoing[slot, site]: the slot seen through that site, the site itself marked
            labels = torch.where(toward, 1, message.unsqueeze(2))  # n x slots x through x sites
            outgoing = canonical(labels).flatten(1)
            message = torch.where(is_bonded, outgoing.gather(1, other.clamp(min=0)).view(n, slots, sites), 0)
        whole = canonical(message)
        orbit_of_root = ((whole == whole[:, :1]) & (block > 0)).sum(1)
        # automorphisms that keep the root: for each block, the symmetries that keep what hangs on its sites, where the
        # way back to the root is one more thing that hangs
        marked = torch.where(
            (is_child[..., None]) & (own_site[..., None] == torch.arange(sites, device=device)), 1, message
        )
        keeps = (permuted(marked) == marked.unsqueeze(-2)).all(-1) & valid
        stabiliser = torch.where(block > 0, keeps.sum(-1), 1).prod(1)
        return stabiliser * orbit_of_root

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
        from al_loop.environments.fragment_encoding import encode_molecule

        rows = [encode_molecule(self, smiles) for smiles in objects]
        return torch.tensor(rows, dtype=torch.int64).reshape(-1, self.state_size)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v.cpu() if isinstance(v, Tensor) else v for k, v in self.__dict__.items()}
