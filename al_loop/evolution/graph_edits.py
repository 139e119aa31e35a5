"""Molecules evolved by edits of their graphs and by exchange of their parts."""

from __future__ import annotations

import random
from functools import cache
from typing import Any, ClassVar

from al_loop.evolution._graph_crossover import crossed
from al_loop.evolution._graph_mutations import mutated
from al_loop.evolution.base import Evolution
from al_loop.smiles import canonical_smiles, read_smiles, without_messages
from al_loop.system.path_texts import PathText

_TRIES = 3  # attempts of an operator at one child


class GraphEdits(Evolution):
    """Edits of single atoms, bonds, rings and substituents, and crossover of molecules at bonds outside rings.

    The operators are those of graph-based genetic algorithms (Jensen 2019), with substituents and bridges of common
    medicinal chemistry in addition. A child is a valid molecule in one piece, without rings of more than ``max_ring``
    atoms, cumulated double bonds in rings, or chains of three heteroatoms other than S and P that its parents lack.

    Args:
        children: children in each generation.
        generations: number of generations in each round.
        population: the best molecules, from which the parents are drawn.
        crossover: share of the children that are made of two molecules, 0 to 1; a third of them is mutated, too.
        max_atoms: largest number of heavy atoms.
        max_ring: largest ring that is made.
        library: a file of SMILES.
        immigrants: random molecules of the library in each round, which are candidates and may become parents.

    Raises:
        ValueError: an argument is out of range.
    """

    kind = "graph_edits"
    object_type: ClassVar[str | None] = "molecule"

    def __init__(
        self,
        children: int = 300,
        generations: int = 4,
        population: int = 100,
        crossover: float = 0.4,
        max_atoms: int = 50,
        max_ring: int = 7,
        library: PathText | None = None,
        immigrants: int = 100,
    ) -> None:
        super().__init__(children, generations, population, library, immigrants)
        if not 0 <= crossover <= 1 or max_atoms < 1 or max_ring < 3:
            raise ValueError(
                "crossover must be between 0 and 1, max_atoms at least 1 and max_ring at least 3, got "
                f"{crossover}, {max_atoms} and {max_ring}"
            )
        self.crossover, self.max_atoms, self.max_ring = crossover, max_atoms, max_ring

    def canonical(self, name: str) -> str | None:
        return canonical_smiles(name)

    def child(self, first: str, second: str, generator: random.Random) -> str | None:
        """Return the canonical SMILES of a child of two molecules, or of an edit of the first."""
        a, b = read_smiles(first), read_smiles(second)
        if a is None or b is None:
            return None
        with without_messages():
            for _ in range(_TRIES):
                molecule: Any = a
                if generator.random() < self.crossover and first != second:
                    molecule = crossed(a, b, generator)
                    n_edits = int(generator.random() < 1 / 3)
                else:
                    n_edits = 1 + int(generator.random() < 1 / 4)
                for _ in range(n_edits):
                    molecule = None if molecule is None else mutated(molecule, generator)
                if molecule is not None and self._is_plausible(molecule):
                    return canonical_smiles(_smiles(molecule))
        return None

    def _is_plausible(self, molecule: Any) -> bool:
        """Return whether a sanitised molecule has the right size, and neither strained nor improbable parts."""
        if not 0 < molecule.GetNumHeavyAtoms() <= self.max_atoms:
            return False
        if any(len(ring) > self.max_ring for ring in molecule.GetRingInfo().AtomRings()):
            return False
        return not any(molecule.HasSubstructMatch(pattern) for pattern in _improbable())


def _smiles(molecule: Any) -> str:
    from rdkit import Chem

    return str(Chem.MolToSmiles(molecule))


_IMPROBABLE = (
    "[R]=[R]=[R]",  # cumulated double bonds in a ring
    "[r3,r4]#,=[r3,r4]",  # multiple bonds in small rings
    "[#7,#8;!a]~[#7,#8;!a;!$([N+](=O)[O-])]~[#7,#8;!a;!$([O-]);!$(O=N)]",  # three of N and O in a row, but nitro
    "[OX2]-[OX2]",
    "[#7,#8]-[F,Cl,Br,I]",
    "[CX3]=[CX2]=*",
    "[N+;D2]=O",  # half a nitro group
)


@cache
def _improbable() -> tuple[Any, ...]:
    """Return the patterns that no child may have."""
    from rdkit import Chem

    return tuple(Chem.MolFromSmarts(text) for text in _IMPROBABLE)
