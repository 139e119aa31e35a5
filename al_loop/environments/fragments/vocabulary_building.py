"""Vocabularies of patterns made from molecules, and the share of molecules that they cover. Requires RDKit."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from al_loop.environments.fragments.blocks import Block
from al_loop.environments.fragments.closing import Closing
from al_loop.environments.fragments.pattern_blocks import NotABlockError, describe_pattern
from al_loop.environments.fragments.patterns import cut, read_parent, unusable
from al_loop.environments.fragments.vocabulary_file import Vocabulary
from al_loop.smiles import without_messages
from al_loop.system import stopping

#: most heavy atoms of a molecule that the environment makes, unless its settings say otherwise
MAX_ATOMS = 38
#: most blocks, likewise
MAX_FRAGMENTS = 10
#: a bond between two classes of atoms must occur once in so many molecules
_RARE = 20_000
#: most heavy atoms of a block
MAX_BLOCK_ATOMS = 30


@dataclass
class Survey:
    """The pieces of many molecules.

    Args:
        n: molecules, those included that cannot be cut.
        n_unreadable: texts that are no molecule.
        n_salts: molecules whose salt or solvent was stripped.
        unusable: molecules with an element, an isotope or an unpaired electron that no block has, by which.
        molecules: patterns, classes of the cut bonds, and heavy atoms of each molecule that was cut.
    """

    n: int = 0
    n_unreadable: int = 0
    n_salts: int = 0
    unusable: Counter[str] = field(default_factory=Counter)
    molecules: list[tuple[tuple[str, ...], frozenset[frozenset[str]], int]] = field(default_factory=list)

    def add(self, smiles: str) -> None:
        """Cut one more molecule."""
        self.n += 1
        mol = read_parent(smiles, self._strip)
        if mol is None:
            self.n_unreadable += 1
        elif fault := unusable(mol):
            self.unusable[fault] += 1
        else:
            tree = cut(mol)
            patterns = tuple(piece.pattern for piece in tree.pieces)
            bonds = frozenset(map(frozenset, tree.classes))
            self.molecules.append((patterns, bonds, mol.GetNumAtoms()))

    def _strip(self) -> None:
        self.n_salts += 1

    def describe(self) -> list[str]:
        """Return what was left out or changed, in plain English."""
        lines = []
        if self.n_salts:
            verb = "has" if self.n_salts == 1 else "have"
            lines.append(f"{self.n_salts} {verb} a salt or a solvent, which is stripped: the largest part is kept")
        if self.n_unreadable:
            lines.append(f"skipped, because RDKit cannot read them: {self.n_unreadable}")
        if self.unusable:
            reasons = ", ".join(f"{reason} ({n})" for reason, n in self.unusable.most_common(5))
            lines.append(f"skipped for other reasons: {sum(self.unusable.values())}: {reasons}")
        return lines


def survey(smiles: Iterable[str], on_molecule: Callable[[], None] = lambda: None) -> Survey:
    """Cut molecules into pieces.

    Args:
        smiles: the molecules.
        on_molecule: called after each of them.
    """
    found = Survey()
    with without_messages():
        for text in smiles:
            stopping.look()
            found.add(text)
            on_molecule()
    return found


class VocabularyBuilder:
    """Vocabularies of several sizes from the pieces of the same molecules.

    Args:
        pieces: of the molecules.
        source: facts about the file, which vocabularies keep.
    """

    def __init__(self, pieces: Survey, source: Mapping[str, Any]) -> None:
        self._pieces, self._source = pieces, dict(source)
        counts: Counter[str] = Counter()
        bonds: Counter[frozenset[str]] = Counter()
        for patterns, classes, _ in pieces.molecules:
            counts.update(set(patterns))
            bonds.update(classes)
        least = max(len(pieces.molecules) / _RARE, 1)
        self._joins = {pair: n for pair, n in sorted(bonds.items(), key=lambda item: sorted(item[0])) if n >= least}
        self._frequent = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        self._blocks: list[tuple[Block, int]] = []
        self._refused: defaultdict[str, list[str]] = defaultdict(list)
        self._next = 0
        #: blocks that the last vocabulary leaves out, since no chain of these molecules closes their attachment points
        self.n_left_out = 0

    def build(self, size: int) -> Vocabulary:
        """Return the vocabulary of the most frequent blocks, fewer than ``size`` if the molecules have no more.

        Raises:
            ValueError: no molecule can be made of the blocks.
        """
        n = size
        while True:
            while len(self._blocks) < n and self._next < len(self._frequent):
                self._describe_next()
            chosen = self._blocks[:n]
            closing = Closing.of([block for block, _ in chosen], self._joins, "these molecules")
            kept = {block.smiles for block in closing.blocks}
            missing = size - len(kept)
            if missing <= 0 or len(self._blocks) < n:
                break
            n += missing
        rows = [(block, count) for block, count in chosen if block.smiles in kept][:size]
        self.n_left_out = sum(block.smiles not in kept for block, _ in chosen)
        made = Vocabulary(tuple(b for b, _ in rows), tuple(c for _, c in rows), self._joins, {})
        source = {**self._source, **self._counts(), "coverage": round(self.coverage(made), 4)}
        return replace(made, source=source)

    def _describe_next(self) -> None:
        stopping.look()
        pattern, count = self._frequent[self._next]
        self._next += 1
        try:
            block = describe_pattern(pattern)
            if block.n_atoms > MAX_BLOCK_ATOMS:
                raise NotABlockError(f"more than {MAX_BLOCK_ATOMS} heavy atoms")
        except NotABlockError as error:
            self._refused[str(error)].append(pattern)
        else:
            self._blocks.append((block, count))

    @property
    def refused(self) -> Mapping[str, Sequence[str]]:
        """Patterns among the most frequent that cannot be blocks, by what they have that no block may have."""
        return self._refused

    @property
    def n_blocks(self) -> int:
        """Number of blocks known so far: all of the molecules' once a vocabulary is to have more."""
        return len(self._blocks)

    def _counts(self) -> dict[str, int]:
        pieces = self._pieces
        return {
            "n_molecules": pieces.n,
            "n_unreadable": pieces.n_unreadable,
            "n_salts_stripped": pieces.n_salts,
            "n_skipped": sum(pieces.unusable.values()),
        }

    def coverage(self, vocabulary: Vocabulary, max_fragments: int = MAX_FRAGMENTS, max_atoms: int = MAX_ATOMS) -> float:
        """Return the share of the molecules that can be made of a vocabulary.

        Args:
            vocabulary: the vocabulary.
            max_fragments: most blocks of a molecule.
            max_atoms: most heavy atoms of a molecule.
        """
        known = {block.smiles for block in Closing.of(vocabulary.blocks, vocabulary.joins, "this file").blocks}
        n = sum(
            2 <= len(patterns) <= max_fragments
            and n_atoms <= max_atoms
            and known.issuperset(patterns)
            and vocabulary.joins.keys() >= bonds
            for patterns, bonds, n_atoms in self._pieces.molecules
        )
        return n / max(self._pieces.n, 1)
