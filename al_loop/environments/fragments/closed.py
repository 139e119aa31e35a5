"""Trees of patterns, all of whose attachment points are bonded, grown breadth-first from their largest block."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from al_loop.environments._per_device import PerDevice
from al_loop.environments.fragments.block_features import block_features
from al_loop.environments.fragments.blocks import SCAFFOLD_MARK, without
from al_loop.environments.fragments.closing import Closing, Focus
from al_loop.environments.fragments.pattern_crossover import HalfCrossover
from al_loop.environments.fragments.states import SizeLimits, read_slots
from al_loop.environments.fragments.trees import BlockTrees
from al_loop.environments.fragments.vocabulary_file import Vocabulary, read_vocabulary

if TYPE_CHECKING:
    from al_loop.environments.fragments.pattern_encoding import PatternEncoder

#: blocks of a carboxylic acid and of its ion
_ACID, _CARBOXYLATE = "[1*]C(=O)O", "[1*]C(=O)[O-]"


@lru_cache(maxsize=4)  # a command builds the environment several times
def _closing_of(patterns: Vocabulary, exclude: tuple[str, ...], name: str) -> Closing:
    return Closing.of(without(list(patterns.blocks), exclude, name), patterns.joins, name)


@lru_cache(maxsize=2)
def _features_of(closing: Closing) -> tuple[Tensor, Tensor]:
    return block_features(closing.blocks)


class ClosedFragments(BlockTrees):
    """Molecules built of patterns: what ``fragments`` makes of a vocabulary that lists patterns.

    The first block has the highest rank of all (ring systems over chains, then linking blocks over ends, then by size),
    so that a molecule has one root. Each action bonds a block to the first attachment point that is open, until none
    is: there is one way to each state, and the actions are as many as the blocks have ways to be bonded.

    A molecule has several states if blocks of its root's kind occur several times, or if blocks are symmetric;
    ``log_multiplicity`` counts them. Two molecules that differ in the configuration of a centre are different objects,
    and a centre whose configuration is not defined (either, or a mixture) is a third. Where two branches of a centre
    turn out equal, it is none: such a molecule has one more tree, and is drawn more often by that.
    """

    kind = "fragments"
    default_policy: ClassVar[str] = "blocks"
    has_stop = False

    def __init__(
        self,
        max_fragments: int | None = None,
        min_fragments: int = 2,
        max_atoms: int = 38,
        vocabulary: str | None = None,
        exclude: Sequence[str] = (),
    ) -> None:
        max_fragments = 10 if max_fragments is None else max_fragments
        patterns = read_vocabulary(vocabulary)
        assert patterns is not None, "Fragments reads the other vocabularies"
        if not 1 <= min_fragments <= 2:
            raise ValueError(
                f"min_fragments: must be 1 or 2 with the vocabulary {vocabulary}, got {min_fragments}; for larger "
                "molecules, use constraints"
            )
        if max_fragments < 2:
            raise ValueError(
                f"max_fragments: must be at least 2 with the vocabulary {vocabulary}, whose blocks have to be bonded, "
                f"got {max_fragments}"
            )
        self._source, self._n_patterns = dict(patterns.source), len(patterns.blocks)
        closing = self._close(patterns, tuple(exclude), str(vocabulary))
        smallest = closing.smallest()
        if smallest > max_atoms:
            raise ValueError(f"max_atoms: {max_atoms} is below the smallest molecule, which has {smallest} heavy atoms")
        super().__init__(closing.blocks, closing.tables, SizeLimits(2, max_fragments, max_atoms))
        self._closing = closing
        self._closing_by_device = PerDevice(closing)
        self._encoder: PatternEncoder | None = None
        self.n_actions, self.n_backward_actions = self.n_entries, 1
        self.max_steps = max_fragments

    def _close(self, patterns: Vocabulary, exclude: tuple[str, ...], name: str) -> Closing:
        """Return the tables of a vocabulary's blocks."""
        return _closing_of(patterns, exclude, name)

    def block_features(self) -> tuple[Tensor, Tensor]:
        """Return numbers that say what each block and each of its sites are; see ``block_features``."""
        return _features_of(self._closing)

    def closing(self, device: torch.device) -> Closing:
        """Return what decides which blocks may be bonded, on a device."""
        return self._closing_by_device.on(device)

    def focus(self, states: Tensor) -> Focus:
        """Return the attachment point that the next action bonds."""
        return self.closing(states.device).focus(states)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        tables, focus = self.tables(states.device), self.focus(states)
        count = (states[:, : self.max_fragments] > 0).sum(1)
        new = torch.stack([tables.entry_block[actions], focus.slot, focus.site, tables.entry_site[actions]], 1)
        new[:, 1:] *= (count > 0)[:, None]  # the first block has no parent
        columns = count.clamp(max=self.max_fragments - 1)[:, None] + self.max_fragments * torch.arange(
            4, device=states.device
        )
        after = states.scatter(1, columns, new)
        after[:, -1] = (self.closing(states.device).n_open(after) == 0).long()
        return after

    def backward_step(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        last = ((states[:, : self.max_fragments] > 0).sum(1) - 1).clamp(min=0)
        columns = last[:, None] + self.max_fragments * torch.arange(4, device=states.device)
        before = states.scatter(1, columns, 0)
        before[:, -1] = 0
        return before

    def backward_action(self, states: Tensor, actions: Tensor) -> Tensor:
        return torch.zeros_like(actions)

    def forward_action(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        """Return the action that bonded the last block, shape n."""
        block, _, _, own_site = read_slots(states)
        last = ((block > 0).sum(1, keepdim=True) - 1).clamp(min=0)
        return self.tables(states.device).entry_of[block.gather(1, last), own_site.gather(1, last)][:, 0]

    def forward_mask(self, states: Tensor) -> Tensor:
        """Return the blocks that may be bonded to the first open attachment point, by their sites, n x n_entries."""
        return self.closing(states.device).mask(states, self.focus(states), self._limits)

    def backward_mask(self, states: Tensor) -> Tensor:
        return states[:, :1] > 0

    def log_multiplicity(self, states: Tensor) -> Tensor:
        """Return the log of the number of states of each molecule, shape n; 0 for unfinished states.

        For each possible root there are as many states as ways to label the sites, over all automorphisms.
        """
        device = states.device
        tables = self.tables(device)
        block, parent, parent_site, own_site = read_slots(states)
        is_child = (block > 0) & (torch.arange(self.max_fragments, device=device) > 0)
        orbit = tables.orbit_size.log()
        labellings = tables.n_symmetries[block].log() - torch.where(is_child, orbit[block, own_site], 0.0)
        # with a child as the root, it is bonded by its site no longer, and its parent by that of the bond
        change = orbit[block, own_site] - orbit[block.gather(1, parent), parent_site]
        as_root = torch.zeros_like(change)
        for slot in range(1, self.max_fragments):  # a parent comes before its children
            as_root[:, slot] = as_root.gather(1, parent[:, slot, None])[:, 0] + change[:, slot]
        as_root = as_root.masked_fill(block != block[:, :1], -torch.inf).logsumexp(1)
        automorphisms = self.n_automorphisms(states).double().log().float()
        total = labellings.sum(1) + as_root - automorphisms
        return torch.where(states[:, -1] == 1, total, 0.0)

    def log_paths(self, states: Tensor) -> Tensor:
        return torch.zeros(len(states), dtype=torch.float64, device=states.device)

    def features(self, states: Tensor) -> Tensor:
        """Raise a ValueError, since trees have no flat features; a policy must read the tree itself."""
        raise ValueError("fragments are trees, which have no flat features; use policy: {kind: blocks}")

    def decode(self, states: Tensor) -> list[str]:
        """Return canonical SMILES, with the configurations of stereocentres and double bonds."""
        from al_loop.environments.fragments.pattern_decoding import decode

        return decode(states, self.blocks)

    def encode(self, objects: Sequence[str]) -> Tensor:
        """Return a state of each molecule, stereochemistry included."""
        rows = [self._row(smiles) for smiles in objects]
        return torch.tensor(rows, dtype=torch.int64).reshape(-1, self.state_size)

    def _row(self, smiles: str) -> list[int]:
        """Return a state of a molecule, as a row of ``state_size`` numbers.

        Raises:
            NotInSpaceError: no actions lead to the molecule.
        """
        return self._reader().encode(smiles)

    def _reader(self) -> PatternEncoder:
        """Return the encoder, which requires RDKit."""
        from al_loop.environments.fragments.pattern_encoding import PatternEncoder

        if self._encoder is None:
            self._encoder = PatternEncoder(self._closing, self._limits)
        return self._encoder

    def breeder(self, seed: int) -> HalfCrossover:
        return HalfCrossover(self._closing, self._limits, seed)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_encoder": None}

    def about(self) -> list[str]:
        from al_loop.environments.fragments.vocabulary_building import MAX_ATOMS, MAX_FRAGMENTS

        blocks = [block for block in self.blocks if SCAFFOLD_MARK not in block.smiles]
        names = [block.smiles for block in blocks]
        n_rings = sum(block.is_ring for block in blocks)
        n_stereo = sum("@" in name or "/" in name for name in names)
        n_charged = sum("+" in name or "-]" in name for name in names)
        source = f", made from {self._source['file']}" if "file" in self._source else ""
        # the share that the vocabulary's file states is that of all its blocks, within the usual limits
        is_usual = (self.max_fragments, self.max_atoms) == (MAX_FRAGMENTS, MAX_ATOMS)
        if source and is_usual and "coverage" in self._source and len(blocks) == len(self.blocks) == self._n_patterns:
            source += f", of which they make {self._source['coverage']:.0%}"
        lacking = []
        if _ACID not in names and _CARBOXYLATE in names:
            lacking.append("carboxylic acids as their ions alone")
        n_alone, n_defined = self._reader().n_defined_alone() if n_stereo else (0, 0)
        if n_alone:
            lacking.append(f"{n_alone} of {n_defined} blocks with a stereochemistry in a defined configuration alone")
        return [
            f"molecules of 2 to {self.max_fragments} blocks and at most {self.max_atoms} heavy atoms",
            f"{len(names)} blocks ({n_rings} ring systems and {len(names) - n_rings} chains; {n_stereo} with a defined "
            f"stereochemistry, {n_charged} with charges){source}",
            "it cannot make other ring systems or chains, blocks that are substituted at other places or have another "
            "configuration, salts, isotopes and radicals; a centre without a defined configuration means either, or a "
            "mixture",
            *([f"it has {', and '.join(lacking)}"] if lacking else []),
        ]

    def vocabulary(self) -> list[Any]:
        # what an action means is read from its block, so that weights fit any vocabulary
        return ["patterns", 1]
