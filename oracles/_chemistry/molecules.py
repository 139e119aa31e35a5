"""Measurements of RDKit molecules, shared by the oracles that need RDKit alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from al_loop.config.plugins import find
from al_loop.oracles.base import Outcome
from al_loop.smiles import read_smiles

#: RDKit molecule -> number; RDKit is imported at the first call
Measure = Callable[[Any], float]


def per_molecule(objects: Sequence[str], measure: Callable[[Any], Sequence[float]]) -> Iterator[Outcome]:
    """Yield the outcome of each SMILES.

    A text that is not a molecule is an ``invalid`` failure. An error in RDKit is a failure of that object alone.

    Args:
        objects: SMILES.
        measure: RDKit molecule -> one value per objective.
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
                except Exception as error:  # RDKit raises errors of many types, and other objects are still to come
                    outcome = Outcome.failed("permanent", f"{type(error).__name__}: {error}")
        yield outcome


@cache
def _property(kind: str) -> Any:
    return find("property", kind)()


def bounded_property(kind: str) -> Measure:
    """Return the measure of a built-in property, so that an objective equals the constraint of the same name.

    Args:
        kind: the name of a ``MoleculeProperty`` without arguments.
    """
    return lambda molecule: float(_property(kind).of_molecule(molecule))


def descriptor(name: str) -> Measure:
    """Return the measure of a function of ``rdkit.Chem.rdMolDescriptors``."""

    def measure(molecule: Any) -> float:
        from rdkit.Chem import rdMolDescriptors

        return float(getattr(rdMolDescriptors, name)(molecule))

    return measure


logp = bounded_property("logp")
mol_weight = bounded_property("mol_weight")
qed = bounded_property("qed")
sa_score = bounded_property("sa_score")
tpsa = descriptor("CalcTPSA")
n_rings = descriptor("CalcNumRings")
n_aromatic_rings = descriptor("CalcNumAromaticRings")


def bertz(molecule: Any) -> float:
    """Compute Bertz' index of complexity."""
    from rdkit.Chem import GraphDescriptors

    measure: Measure = GraphDescriptors.BertzCT
    return float(measure(molecule))


def count_atoms(molecule: Any) -> Counter[str]:
    """Count the atoms of each element, hydrogen included."""
    atoms = Counter(atom.GetSymbol() for atom in molecule.GetAtoms())
    atoms["H"] += sum(atom.GetTotalNumHs() for atom in molecule.GetAtoms())
    return atoms


def n_fluorines(molecule: Any) -> float:
    """Count the fluorine atoms."""
    return float(count_atoms(molecule)["F"])
