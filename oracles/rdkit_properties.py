"""Cheap RDKit properties of molecules as objectives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from al_loop.errors import ConfigError
from al_loop.oracles._chemistry.conformer import require_rdkit
from al_loop.oracles._chemistry.molecules import (
    Measure,
    descriptor,
    logp,
    mol_weight,
    n_rings,
    per_molecule,
    qed,
    sa_score,
    tpsa,
)
from al_loop.oracles.base import Goal, Objective, Oracle, Outcome

PropertyName = Literal[
    "fraction_csp3",
    "logp",
    "mol_weight",
    "n_hba",
    "n_hbd",
    "n_rings",
    "n_rotatable_bonds",
    "penalised_logp",
    "qed",
    "sa_score",
    "tpsa",
]


@dataclass(frozen=True)
class PropertyObjective:
    """A property and the direction in which it is optimised.

    Args:
        name: the property.
        goal: the direction; by default the usual one for this property.
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = {"extra": "forbid"}

    name: PropertyName
    goal: Goal | None = None


#: mean and standard deviation of logP, -SA score and ring penalty over ZINC 250k (You et al. 2018)
_ZINC_LOGP = (2.4570953396190123, 1.434324401111988)
_ZINC_SA = (-3.0525811293166134, 0.8335207024513095)
_ZINC_RINGS = (-0.0485696876403053, 0.2860212110245455)


def _penalised_logp(molecule: Any) -> float:
    largest = max(map(len, molecule.GetRingInfo().AtomRings()), default=0)
    terms = (logp(molecule), _ZINC_LOGP), (-sa_score(molecule), _ZINC_SA), (-max(largest - 6, 0), _ZINC_RINGS)
    return float(sum((x - mean) / deviation for x, (mean, deviation) in terms))


#: measure, unit and usual goal of each property
_PROPERTIES: Mapping[PropertyName, tuple[Measure, str, Goal]] = {
    "fraction_csp3": (descriptor("CalcFractionCSP3"), "", "maximise"),
    "logp": (logp, "", "maximise"),
    "mol_weight": (mol_weight, "g/mol", "minimise"),
    "n_hba": (descriptor("CalcNumHBA"), "", "minimise"),
    "n_hbd": (descriptor("CalcNumHBD"), "", "minimise"),
    "n_rings": (n_rings, "", "minimise"),
    "n_rotatable_bonds": (descriptor("CalcNumRotatableBonds"), "", "minimise"),
    "penalised_logp": (_penalised_logp, "", "maximise"),
    "qed": (qed, "", "maximise"),
    "sa_score": (sa_score, "", "minimise"),
    "tpsa": (tpsa, "Å2", "minimise"),
}


class RDKitProperties(Oracle):
    """One or several molecular properties that RDKit computes in about a millisecond.

    They serve to try out a campaign, or as cheap objectives beside an expensive one. Unless stated otherwise they are
    maximised:

    - fraction_csp3: fraction of the carbon atoms that are sp3, 0 to 1.
    - logp: estimated logP, octanol over water, no unit (Wildman & Crippen 1999).
    - mol_weight: average molecular weight in g/mol; minimised.
    - n_hba, n_hbd: number of hydrogen-bond acceptors and donors by RDKit's patterns (not Lipinski's counts); minimised.
    - n_rings: number of rings in the smallest set of smallest rings; minimised.
    - n_rotatable_bonds: number of rotatable bonds without amide bonds (RDKit's strict definition); minimised.
    - penalised_logp: logP - SA score - number of atoms beyond 6 in the largest ring, each term standardised by its mean
      and standard deviation over ZINC 250k (You et al. 2018), no unit.
    - qed: quantitative estimate of drug-likeness, 0 to 1 (Bickerton et al. 2012).
    - sa_score: synthetic accessibility, 1 (easy to make) to 10 (hard) (Ertl & Schuffenhauer 2009); minimised.
    - tpsa: topological polar surface area of nitrogen and oxygen in Å2 (Ertl et al. 2000); minimised.

    Args:
        properties: names, or ``{name: ..., goal: maximise | minimise}``.
    """

    kind = "rdkit_properties"
    libraries = ("rdkit",)
    object_type = "molecule"
    call_size = 64

    def __init__(self, properties: Sequence[PropertyName | PropertyObjective]) -> None:
        chosen = [p if isinstance(p, PropertyObjective) else PropertyObjective(p) for p in properties]
        names = [p.name for p in chosen]
        unknown = [name for name in names if name not in _PROPERTIES]
        if unknown or not names or len(set(names)) < len(names):
            raise ConfigError(
                f"properties: {', '.join(names) or 'none'}; expected one or more distinct names out of "
                f"{', '.join(get_args(PropertyName))}"
            )
        self.objectives = tuple(
            Objective(p.name, unit, p.goal or usual)
            for p, (_, unit, usual) in zip(chosen, (_PROPERTIES[name] for name in names), strict=True)
        )

    def check(self) -> None:
        """Verify that RDKit is installed.

        Raises:
            ConfigError: it is missing.
        """
        require_rdkit()

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Yield the properties of each SMILES."""
        measures = [_PROPERTIES[objective.name][0] for objective in self.objectives]  # type: ignore[index]
        return per_molecule(objects, lambda molecule: [measure(molecule) for measure in measures])
