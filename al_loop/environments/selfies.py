"""Molecules as SELFIES words. The selfies package and RDKit are imported on first use."""

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
from al_loop.smiles import canonical_smiles, parse_smiles

#: symbols that suffice for 99 % of the molecules of ZINC250k, ignoring stereochemistry
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
        raise ConfigError("environment: selfies requires the selfies package; pip install 'al-loop[selfies]'") from None


class Selfies(Sequences):
    """Molecules written symbol by symbol as SELFIES (Krenn et al. 2020), in which every word is a valid molecule.

    Many words represent the same molecule. The sampler draws words, not molecules, in proportion to the reward, so
    that a molecule with many words is drawn proportionally more often; ``fragments`` has no such bias. ``encode``
    returns one word of a molecule, so that ``encode(decode(x))`` represents the same molecule, but rarely by the same
    word. It may reject unusual molecules although they can be decoded, such as those with triple bonds to sulfur, which
    only some orders of symbols can express.

    The first symbol is an atom, so that no molecule is empty: leading branch and ring symbols would be skipped. Atoms
    that SELFIES leaves with unpaired electrons (mostly charged ones) are saturated with hydrogen.

    Args:
        alphabet: the SELFIES symbols; None: 28 that suffice for most drug-like molecules, without stereochemistry.
        length: number of symbols in the longest word.
        min_length: number of symbols in the shortest word.

    Raises:
        ValueError: the alphabet contains no atom or an invalid symbol, or a length is out of range.
        ConfigError: the selfies package is not installed.
    """

    kind = "selfies"
    object_type: ObjectType = "molecule"  # type: ignore[misc]

    def __init__(self, alphabet: list[str] | None = None, length: int = 40, min_length: int = 1) -> None:
        symbols = list(ZINC_ALPHABET) if alphabet is None else list(alphabet)
        atoms = [symbol for symbol in symbols if self._is_atom(symbol)]
        if not atoms:
            raise ValueError(f"alphabet: {alphabet!r} must contain at least one atom, such as '[C]'")
        # atoms come first, so that the actions that may start a word have the smallest indices
        super().__init__(atoms + [symbol for symbol in symbols if symbol not in atoms], length, min_length)
        self._n_atoms = len(atoms)
        branches = [symbol for symbol in self.alphabet if "Branch" in symbol]
        # a symbol that can be appended to a word without changing its molecule
        self._filler = next((s for s in ("[nop]", *branches) if s in self._index), None)

    @staticmethod
    def _is_atom(symbol: str) -> bool:
        """Return whether a symbol is an atom rather than a branch, a ring, or nothing.

        Raises:
            ValueError: the text is not a SELFIES symbol.
        """
        package = _selfies()
        try:
            if not re.fullmatch(r"\[[^\[\]]+\]", symbol) or symbol == "[epsilon]":
                raise ValueError
            # at the start of a word, every symbol other than an atom is skipped
            return bool(package.decoder(symbol))
        except (ValueError, package.DecoderError):
            raise ValueError(f"alphabet: {symbol!r} is not a SELFIES symbol, such as '[=C]' or '[Ring1]'") from None

    def forward_mask(self, states: Tensor) -> Tensor:
        """Return the atoms in an empty word, then all symbols while there is room, and stop from ``min_length`` on."""
        is_atom = torch.arange(self.n_actions, device=states.device) < self._n_atoms
        return super().forward_mask(states) & (is_atom | (states[:, -2:-1] > 0))

    def decode(self, states: Tensor) -> list[str]:
        """Return canonical SMILES."""
        return [self._molecule(word) for word in super().decode(states)]

    def _molecule(self, word: str) -> str:
        from rdkit import Chem

        mol = Chem.MolFromSmiles(_selfies().decoder(word))
        if mol is None:
            raise ValueError(f"the alphabet allows words that RDKit cannot parse, such as {word!r}")
        radicals = [atom for atom in mol.GetAtoms() if atom.GetNumRadicalElectrons()]
        if radicals:
            Chem.Kekulize(mol, clearAromaticFlags=True)
            for atom in radicals:
                atom.SetNumRadicalElectrons(0)
                atom.SetNoImplicit(False)
            Chem.SanitizeMol(mol)
        smiles: str = Chem.MolToSmiles(mol)
        # a canonical SMILES with an explicit hydrogen may have another canonical SMILES
        return canonical_smiles(smiles) or smiles if "[H]" in smiles else smiles

    def encode(self, objects: Sequence[str]) -> Tensor:
        """Return the finished state of one word of each molecule."""
        return self._finished([self._word(smiles) for smiles in objects], objects)

    def _word(self, smiles: str) -> list[int]:
        """Return the first valid word, trying each atom of the molecule as the start.

        Raises:
            ValueError: no word is valid; the message gives the first reason.
        """
        from rdkit import Chem

        mol = parse_smiles(smiles)
        if mol is None or not mol.GetNumAtoms():
            raise ValueError(f"{smiles!r} is not a molecule")
        if "." in smiles:
            raise ValueError(f"{smiles!r} is more than one molecule")
        canonical = Chem.MolToSmiles(mol)
        reason = ""
        for symbols in self._writings(mol, smiles):
            unknown = sorted({symbol for symbol in symbols if symbol not in self._index})
            if unknown:
                reason = reason or f"{smiles!r} requires symbols that are not in the alphabet: {unknown}"
            elif len(symbols) > self.length:
                reason = reason or f"{smiles!r} requires {len(symbols)} symbols, more than length ({self.length})"
            else:
                if self._filler:
                    symbols += [self._filler] * (self.min_length - len(symbols))
                if self._molecule("".join(symbols)) == canonical:
                    return [self._index[symbol] for symbol in symbols]
                reason = reason or f"{smiles!r} changes when it is converted to SELFIES and back"
        raise ValueError(reason)

    def _writings(self, mol: Any, smiles: str) -> Iterator[list[str]]:
        """Yield the symbols of a molecule from its canonical SMILES, then starting at each atom."""
        from rdkit import Chem

        package = _selfies()
        # without aromatic bonds, whose hydrogens would require additional symbols
        Chem.Kekulize(mol, clearAromaticFlags=True)
        for root in range(-1, mol.GetNumAtoms()):
            try:
                word = package.encoder(Chem.MolToSmiles(mol, rootedAtAtom=root))
            except package.EncoderError:
                raise ValueError(f"{smiles!r} has bonds that SELFIES does not allow") from None
            symbols = package.split_selfies(word)
            # decoding adds hydrogens, so that '[N+1]' can replace a missing '[NH1+1]'
            yield [s if s in self._index else re.sub(r"H\d", "", s) for s in symbols]
