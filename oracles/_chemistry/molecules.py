"""What the oracles that RDKit answers share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from al_loop.oracles.base import Outcome
from al_loop.smiles import read_smiles

#: a number of an RDKit molecule; RDKit is imported when one is first called for
Measure = Callable[[Any], float]


def per_molecule(objects: Sequence[str], measure: Callable[[Any], Sequence[float]]) -> Iterator[Outcome]:
    """The outcome of each SMILES; one that is no molecule is ``invalid``, an error in RDKit is that object's alone.

    Args:
        objects: SMILES.
        measure: the values of an RDKit molecule.
    """
    from rdkit import rdBase

    for smiles in objects:
        with rdBase.BlockLogs():
            molecule = read_smiles(smiles)
            if molecule is None:
                outcome = Outcome.failed("invalid", f"not a valid SMILES: {smiles!r:.120}")
            elif not molecule.GetNumAtoms():
                outcome = Outcome.failed("invalid", f"not a molecule: {smiles!r:.120}")
            else:
                try:
                    outcome = Outcome(values=tuple(measure(molecule)))
                except Exception as error:  # RDKit raises errors of all kinds, and other objects still wait
                    outcome = Outcome.failed("permanent", f"{type(error).__name__}: {error}")
        yield outcome


def descriptor(name: str) -> Measure:
    """One of RDKit's rdMolDescriptors."""

    def measure(molecule: Any) -> float:
        from rdkit.Chem import rdMolDescriptors

        return float(getattr(rdMolDescriptors, name)(molecule))

    return measure


tpsa = descriptor("CalcTPSA")
n_rings = descriptor("CalcNumRings")
n_aromatic_rings = descriptor("CalcNumAromaticRings")


def logp(molecule: Any) -> float:
    """Crippen's logP."""
    from rdkit.Chem.rdMolDescriptors import CalcCrippenDescriptors

    return float(CalcCrippenDescriptors(molecule)[0])


def qed(molecule: Any) -> float:
    """Drug-likeness, 0 to 1."""
    from rdkit.Chem import QED

    measure: Measure = QED.qed
    return float(measure(molecule))


def sa_score(molecule: Any) -> float:
    """Synthetic accessibility, 1 (easy) to 10 (hard)."""
    from rdkit.Contrib.SA_Score import sascorer

    return float(sascorer.calculateScore(molecule))


def bertz(molecule: Any) -> float:
    """Bertz' index of complexity."""
    from rdkit.Chem import GraphDescriptors

    measure: Measure = GraphDescriptors.BertzCT
    return float(measure(molecule))


def count_atoms(molecule: Any) -> Counter[str]:
    """How many atoms of each element there are, hydrogen included."""
    atoms = Counter(atom.GetSymbol() for atom in molecule.GetAtoms())
    atoms["H"] += sum(atom.GetTotalNumHs() for atom in molecule.GetAtoms())
    return atoms


def n_fluorines(molecule: Any) -> float:
    """How many fluorine atoms there are."""
    return float(count_atoms(molecule)["F"])
