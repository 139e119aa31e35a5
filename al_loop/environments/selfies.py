"""Molecules as SELFIES words. The selfies package and RDKit are loaded where they are used, not before."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from al_loop.environments.base import ObjectType
from al_loop.environments.sequence import Sequences
from al_loop.errors import ConfigError

#: what 99 % of the molecules of ZINC250k can be written with, stereochemistry aside
ZINC_ALPHABET = (
    *("[C]", "[=C]", "[#C]", "[N]", "[=N]", "[#N]", "[N+1]", "[=N+1]", "[O]", "[=O]", "[O-1]", "[S]", "[=S]", "[P]"),
    *("[F]", "[Cl]", "[Br]", "[I]"),
    *("[Branch1]", "[=Branch1]", "[#Branch1]", "[Branch2]", "[=Branch2]", "[#Branch2]"),
    *("[Ring1]", "[=Ring1]", "[Ring2]", "[=Ring2]"),
)


def _selfies() -> Any:
    try:
        return importlib.import_module("selfies")
    except ModuleNotFoundError:
        raise ConfigError("environment: selfies needs the selfies package; pip install 'al-loop[selfies]'") from None


class Selfies(Sequences):
    """Molecules, written symbol by symbol as SELFIES (Krenn et al. 2020): whatever its symbols, a word is a molecule.

    Many words are one molecule. The sampler draws words, not molecules, in proportion to the reward: a molecule that
    many words stand for is drawn that much more often. ``fragments`` has no such bias. ``encode`` gives some word of a
    molecule, so that ``encode(decode(x))`` is a word of the same molecule, but seldom the same word. It may refuse odd
    molecules that were decoded, such as those with triple bonds to sulfur, which only some orders of symbols can write.

    The first symbol is an atom, so that no molecule is empty: symbols of branches and rings in front would be skipped.
    Atoms that SELFIES leaves with unpaired electrons (charged ones, mostly) are filled with hydrogen.

    Args:
        alphabet: the SELFIES symbols; None: 28 that suffice for most drug-like molecules, without stereochemistry.
        length: symbols in the longest word.
        min_length: symbols in the shortest word.
    """

    kind = "selfies"
    object_type: ObjectType = "molecule"  # type: ignore[misc]

    def __init__(self, alphabet: list[str] | None = None, length: int = 40, min_length: int = 1) -> None:
        symbols = list(ZINC_ALPHABET) if alphabet is None else list(alphabet)
        atoms = [symbol for symbol in symbols if self._is_atom(symbol)]
        if not atoms:
            raise ValueError(f"alphabet: {alphabet!r} has no atom, such as '[C]'")
        # atoms come first, so that what may come first is told by an action's number
        super().__init__(atoms + [symbol for symbol in symbols if symbol not in atoms], length, min_length)
        self._n_atoms = len(atoms)
        branches = [symbol for symbol in self.alphabet if "Branch" in symbol]
        # what can be written behind a word without changing its molecule
        self._filler = next((s for s in ("[nop]", *branches) if s in self._index), None)

    @staticmethod
    def _is_atom(symbol: str) -> bool:
        """Whether a symbol is an atom (or else a branch, a ring, or nothing).

        Raises:
            ValueError: it is no SELFIES symbol.
        """
        package = _selfies()
        try:
            if not re.fullmatch(r"\[[^\[\]]+\]", symbol) or symbol == "[epsilon]":
                raise ValueError
            # behind nothing, all but an atom is skipped
            return bool(package.decoder(symbol))
        except (ValueError, package.DecoderError):
            raise ValueError(f"alphabet: {symbol!r} is not a SELFIES symbol, such as '[=C]' or '[Ring1]'") from None

    def forward_mask(self, states: Tensor) -> Tensor:
        """An atom first, then any symbol while there is room; a stop from the shortest length on."""
        may_come = torch.arange(self.n_actions, device=states.device) < self._n_atoms
        return super().forward_mask(states) & (may_come | (states[:, -2:-1] > 0))

    def decode(self, states: Tensor) -> list[str]:
        """Canonical SMILES."""
        return [self._molecule(word) for word in super().decode(states)]

    def _molecule(self, word: str) -> str:
        from rdkit import Chem

        mol = Chem.MolFromSmiles(_selfies().decoder(word))
        if mol is None:
            raise ValueError(f"the alphabet makes words that are no molecules to RDKit: {word!r}")
        radicals = [atom for atom in mol.GetAtoms() if atom.GetNumRadicalElectrons()]
        if radicals:
            Chem.Kekulize(mol, clearAromaticFlags=True)
            for atom in radicals:
                atom.SetNumRadicalElectrons(0)
                atom.SetNoImplicit(False)
            Chem.SanitizeMol(mol)
        smiles: str = Chem.MolToSmiles(mol)
        return smiles

    def encode(self, objects: Sequence[str]) -> Tensor:
        """The finished state of some word of each molecule."""
        return self._finished([self._word(smiles) for smiles in objects], objects)

    def _word(self, smiles: str) -> list[int]:
        """The first word of a molecule that fits, with its atoms in canonical order from each atom on."""
        from rdkit import Chem

        mol = Chem.MolFromSmiles(smiles)
        if mol is None or not mol.GetNumAtoms():
            raise ValueError(f"{smiles!r} is not a molecule")
        if "." in smiles:
            raise ValueError(f"{smiles!r} is more than one molecule")
        canonical = Chem.MolToSmiles(mol)
        reason = ""
        for symbols in self._writings(mol, smiles):
            unknown = sorted({symbol for symbol in symbols if symbol not in self._index})
            if unknown:
                reason = reason or f"{smiles!r} needs symbols that are not in the alphabet: {unknown}"
            elif len(symbols) > self.length:
                reason = reason or f"{smiles!r} needs {len(symbols)} symbols, more than {self.length}"
            else:
                if self._filler:
                    symbols += [self._filler] * (self.min_length - len(symbols))
                if self._molecule("".join(symbols)) == canonical:
                    return [self._index[symbol] for symbol in symbols]
                reason = reason or f"{smiles!r} does not come back from SELFIES"
        raise ValueError(reason)

    def _writings(self, mol: Any, smiles: str) -> Iterator[list[str]]:
        """The symbols of a molecule, from its canonical SMILES, then with each atom as the first."""
        from rdkit import Chem

        package = _selfies()
        # single and double bonds: aromatic hydrogens need no symbols of their own
        Chem.Kekulize(mol, clearAromaticFlags=True)
        for root in range(-1, mol.GetNumAtoms()):
            try:
                word = package.encoder(Chem.MolToSmiles(mol, rootedAtAtom=root))
            except package.EncoderError:
                raise ValueError(f"{smiles!r} has bonds that SELFIES does not allow") from None
            symbols = package.split_selfies(word)
            # decoding fills hydrogens, so that '[N+1]' does for '[NH1+1]' where that is not there
            yield [s if s in self._index else re.sub(r"H\d", "", s) for s in symbols]
