"""Conversion of molecules to trees of patterns. Requires RDKit."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import torch
from rdkit import Chem

from al_loop.environments.fragments.blocks import SCAFFOLD_MARK
from al_loop.environments.fragments.closing import Closing
from al_loop.environments.fragments.pattern_decoding import decode
from al_loop.environments.fragments.pattern_trees import Bonds, TreeWriter
from al_loop.environments.fragments.patterns import CutMolecule, canonical_pattern, cut, symmetries, unusable
from al_loop.environments.fragments.reasons import NotInSpaceError
from al_loop.environments.fragments.states import SizeLimits
from al_loop.smiles import canonical_smiles, parse_smiles

_MAX_TRIES = 256
_MISSING = "it contains a block that is not in the vocabulary"


class PatternEncoder:
    """States of molecules.

    Args:
        closing: of the vocabulary, on the CPU.
        limits: sizes of the molecules.
    """

    def __init__(self, closing: Closing, limits: SizeLimits) -> None:
        self._blocks, self._limits = closing.blocks, limits
        self._writer = TreeWriter(closing, limits)
        self._index = {block.smiles: i for i, block in enumerate(closing.blocks, start=1)}

    def encode(self, smiles: str) -> list[int]:
        """Return the finished state of a molecule, as a row of ``state_size`` numbers.

        Raises:
            NotInSpaceError: no actions lead to the molecule; the message gives the reason.
        """
        mol = self.read(smiles)
        return self.encode_cut(smiles, cut(mol), mol.GetNumAtoms())

    def read(self, smiles: str) -> Any:
        """Return the RDKit molecule of a SMILES.

        Args:
            smiles: the molecule.

        Raises:
            NotInSpaceError: it is no molecule, or one that cannot be cut.
        """
        mol = parse_smiles(smiles)
        if mol is None or not mol.GetNumAtoms():
            raise NotInSpaceError(smiles, "it is not a molecule")
        if len(Chem.GetMolFrags(mol)) > 1:
            raise NotInSpaceError(smiles, "it consists of more than one molecule, such as a salt")
        if fault := unusable(mol):
            raise NotInSpaceError(smiles, "no block has such an atom", fault)
        return mol

    def encode_cut(self, smiles: str, molecule: CutMolecule, n_atoms: int) -> list[int]:
        """Return the finished state of a molecule that is cut already.

        Args:
            smiles: the molecule.
            molecule: its pieces.
            n_atoms: number of heavy atoms.

        Raises:
            NotInSpaceError: no actions lead to the molecule; the message gives the reason.
        """
        if len(molecule.pieces) < 2:
            raise NotInSpaceError(smiles, "it is a single block, and a molecule has at least two")
        if len(molecule.pieces) > self._limits.max_fragments:
            most = f"max_fragments ({self._limits.max_fragments})"
            raise NotInSpaceError(smiles, f"it has more blocks than {most}", str(len(molecule.pieces)))
        if n_atoms > self._limits.max_atoms:
            most = f"max_atoms ({self._limits.max_atoms})"
            raise NotInSpaceError(smiles, f"it has more heavy atoms than {most}", str(n_atoms))
        target, reason, other = canonical_smiles(smiles), "", ""
        for blocks, bonds in self._trees(smiles, molecule):
            row = self._writer.write(blocks, bonds)
            if isinstance(row, str):
                reason = reason or row
                continue
            name = decode(torch.tensor([row]), self._blocks)[0]
            if name == target:
                return row
            other = other or name
        if missing := next((p.pattern for p in molecule.pieces if p.pattern not in self._index), ""):
            # the vocabulary has it with configurations that are not this one, see ``_variants``
            which = "another" if any(mark in missing for mark in "@/\\") else "a defined"
            reason = f"the vocabulary has one of its blocks only with {which} configuration"
            raise NotInSpaceError(smiles, reason, missing, other and f"it has {other}")
        raise NotInSpaceError(smiles, reason or "its configuration (stereochemistry) cannot be expressed by its blocks")

    def _trees(self, smiles: str, molecule: CutMolecule) -> Iterator[tuple[list[int], Bonds]]:
        """Yield trees that may be the molecule: the one of its pieces, or of blocks with other configurations.

        A centre with two equal branches is none in the molecule, whatever the block that it was made of says.
        """
        options: list[list[tuple[int, tuple[int, ...]]]] = []
        for piece in molecule.pieces:
            known = self._index.get(piece.pattern)
            if known is not None:
                options.append([(known, piece.bonds)])
                continue
            others = [(block, tuple(piece.bonds[i] for i in order)) for block, order in self._variants(piece.pattern)]
            if not others:
                raise NotInSpaceError(smiles, _MISSING, piece.pattern)
            options.append(others)
        for choice in itertools.islice(itertools.product(*options), _MAX_TRIES):
            ends: dict[int, list[tuple[int, int]]] = defaultdict(list)  # cut bond -> (piece, site)
            for number, (_, cuts) in enumerate(choice):
                for site, bond in enumerate(cuts):
                    ends[bond].append((number, site))
            bonds: Bonds = [{} for _ in choice]
            for (a, a_site), (b, b_site) in ends.values():
                bonds[a][a_site] = b, b_site
                bonds[b][b_site] = a, a_site
            yield [block for block, _ in choice], bonds

    @cached_property
    def _defined(self) -> dict[str, list[tuple[int, tuple[int, ...]]]]:
        """The blocks with a configuration, each with the order of its sites, by their pattern without it."""
        found: dict[str, list[tuple[int, tuple[int, ...]]]] = defaultdict(list)
        for i, block in enumerate(self._blocks, start=1):
            if SCAFFOLD_MARK not in block.smiles and any(mark in block.smiles for mark in "@/\\"):
                for flat, order in _flat_orders(block.smiles, is_every=False):
                    found[flat].append((i, order))
        return found

    def n_defined_alone(self) -> tuple[int, int]:
        """Return how many blocks there are only with a defined configuration, and how many with one at all.

        Blocks that differ in their configuration alone count once.
        """
        return sum(flat not in self._index for flat in self._defined), len(self._defined)

    def _variants(self, pattern: str) -> list[tuple[int, tuple[int, ...]]]:
        """Return the blocks that differ from a pattern in their configuration alone.

        Each with the sites of the pattern in the order of the block's own, in every way that the graph allows.
        """
        found = []
        for flat, order in _flat_orders(pattern, is_every=True):
            for number, own in self._defined.get(flat, ()):
                place = [0] * len(own)
                for i, site in enumerate(own):
                    place[site] = order[i]
                found.append((number, tuple(place)))
        return found


def _flat_orders(pattern: str, is_every: bool) -> Sequence[tuple[str, tuple[int, ...]]]:
    """Return the pattern without configurations, and the order (or every one) of its sites in it."""
    mol = Chem.MolFromSmiles(pattern)
    if mol is None:
        return []
    Chem.RemoveStereochemistry(mol)
    flat, order = canonical_pattern(Chem.MolToSmiles(mol))
    if not is_every:
        return [(flat, order)]
    return [(flat, tuple(order[i] for i in p)) for p in symmetries(flat)]
