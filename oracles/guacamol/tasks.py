"""The tasks of GuacaMol and PMO, as terms of molecules and their means. RDKit is imported on first use."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal

from al_loop.oracles._chemistry.molecules import (
    Measure,
    bertz,
    count_atoms,
    logp,
    n_aromatic_rings,
    n_fluorines,
    n_rings,
    qed,
    tpsa,
)

TaskName = Literal[
    "albuterol_similarity",
    "amlodipine_mpo",
    "celecoxib_rediscovery",
    "deco_hop",
    "fexofenadine_mpo",
    "isomers_c7h8n2o2",
    "isomers_c9h10n2o2pf2cl",
    "median1",
    "median2",
    "mestranol_similarity",
    "osimertinib_mpo",
    "perindopril_mpo",
    "qed",
    "ranolazine_mpo",
    "scaffold_hop",
    "sitagliptin_mpo",
    "thiothixene_rediscovery",
    "troglitazone_rediscovery",
    "valsartan_smarts",
    "zaleplon_mpo",
]

Fingerprint = Literal["ECFP4", "ECFP6", "FCFP4", "AP", "PHCO"]


@cache
def _fingerprint(name: Fingerprint) -> Callable[[Any], Any]:
    """Return the fingerprint function: counts of circular neighbourhoods or atom pairs, bits of pharmacophores."""
    from rdkit.Chem import rdFingerprintGenerator

    if name == "PHCO":
        from rdkit.Chem.Pharm2D import Generate, Gobbi_Pharm2D

        return partial(Generate.Gen2DFingerprint, sigFactory=Gobbi_Pharm2D.factory)
    if name == "AP":
        generator = rdFingerprintGenerator.GetAtomPairGenerator(maxDistance=10)
    elif name == "FCFP4":
        features = rdFingerprintGenerator.GetMorganFeatureAtomInvGen()
        generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, atomInvariantsGenerator=features)
    else:
        generator = rdFingerprintGenerator.GetMorganGenerator(radius=2 if name == "ECFP4" else 3)
    counts: Callable[[Any], Any] = generator.GetSparseCountFingerprint
    return counts


@cache
def _reference(smiles: str) -> Any:
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(smiles)
    assert molecule is not None, smiles
    return molecule


@cache
def _fingerprint_of(smiles: str, name: Fingerprint) -> Any:
    return _fingerprint(name)(_reference(smiles))


@cache
def _pattern(smarts: str) -> Any:
    from rdkit import Chem

    pattern = Chem.MolFromSmarts(smarts)
    assert pattern is not None, smarts
    return pattern


# ---- modifiers: measure -> score from 0 to 1 ----------------------------------------------------------------------

_Modifier = Callable[[float], float]


def _unchanged(x: float) -> float:
    return x


def _near(mu: float, sigma: float) -> _Modifier:
    """Return a Gaussian of height 1 around mu (GuacaMol's GaussianModifier)."""
    return lambda x: math.exp(-0.5 * ((x - mu) / sigma) ** 2)


def _at_most(mu: float, sigma: float) -> _Modifier:
    """Return a modifier that is 1 up to mu, and a Gaussian beyond it (GuacaMol's MinGaussianModifier)."""
    near = _near(mu, sigma)
    return lambda x: near(max(x, mu))


def _at_least(mu: float, sigma: float) -> _Modifier:
    """Return a modifier that is a Gaussian up to mu, and 1 beyond it (GuacaMol's MaxGaussianModifier)."""
    near = _near(mu, sigma)
    return lambda x: near(min(x, mu))


def _capped(limit: float) -> _Modifier:
    """Return a modifier that rises linearly to 1 at the limit (GuacaMol's Clipped and ThresholdedLinear)."""
    return lambda x: min(x / limit, 1.0)


# ---- terms -------------------------------------------------------------------------------------------------------


class _Term(ABC):
    """A score of a molecule, 0 to 1."""

    @abstractmethod
    def __call__(self, molecule: Any) -> float: ...


@dataclass(frozen=True)
class _Similar(_Term):
    """Tanimoto similarity to a reference molecule."""

    reference: str
    fingerprint: Fingerprint
    modifier: _Modifier = _unchanged

    def __call__(self, molecule: Any) -> float:
        from rdkit.DataStructs import TanimotoSimilarity

        reference = _fingerprint_of(self.reference, self.fingerprint)
        return self.modifier(float(TanimotoSimilarity(reference, _fingerprint(self.fingerprint)(molecule))))


@dataclass(frozen=True)
class _Measured(_Term):
    """A descriptor, modified."""

    measure: Measure
    modifier: _Modifier = _unchanged

    def __call__(self, molecule: Any) -> float:
        return self.modifier(self.measure(molecule))


@dataclass(frozen=True)
class _Like(_Term):
    """Closeness of a descriptor to its value for a reference molecule."""

    reference: str
    measure: Measure
    sigma: float

    def __call__(self, molecule: Any) -> float:
        return _near(self.measure(_reference(self.reference)), self.sigma)(self.measure(molecule))


@dataclass(frozen=True)
class _Formula(_Term):
    """Closeness to a molecular formula: geometric mean over the elements (sigma 1) and the total (sigma 2)."""

    formula: str

    def __call__(self, molecule: Any) -> float:
        target = {symbol: int(n or 1) for symbol, n in re.findall(r"([A-Z][a-z]?)(\d*)", self.formula)}
        atoms = count_atoms(molecule)
        scores = [_near(n, 1.0)(atoms[symbol]) for symbol, n in target.items()]
        return _geometric([*scores, _near(sum(target.values()), 2.0)(atoms.total())])


@dataclass(frozen=True)
class _Has(_Term):
    """1 if the molecule contains a SMARTS pattern, otherwise 0; the reverse if ``is_wanted`` is False."""

    smarts: str
    is_wanted: bool = True

    def __call__(self, molecule: Any) -> float:
        return float(molecule.HasSubstructMatch(_pattern(self.smarts)) == self.is_wanted)


def _geometric(scores: Sequence[float]) -> float:
    if min(scores) <= 0:
        return 0.0
    return math.exp(math.fsum(map(math.log, scores)) / len(scores))


@dataclass(frozen=True)
class _Task:
    """A mean over terms."""

    terms: tuple[_Term, ...]
    mean: Literal["geometric", "arithmetic"] = "geometric"

    def __call__(self, molecule: Any) -> float:
        scores = []
        for term in self.terms:
            scores.append(term(molecule))
            if self.mean == "geometric" and scores[-1] <= 0:
                return 0.0
        return _geometric(scores) if self.mean == "geometric" else math.fsum(scores) / len(scores)


# ---- the tasks ---------------------------------------------------------------------------------------------------

_ALBUTEROL = "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1"
_AMLODIPINE = r"Clc1ccccc1C2C(=C(/N/C(=C2/C(=O)OCC)COCCN)C)\C(=O)OC"
_CAMPHOR = "CC1(C)C2CCC1(C)C(=O)C2"
_CELECOXIB = "CC1=CC=C(C=C1)C1=CC(=NN1C1=CC=C(C=C1)S(N)(=O)=O)C(F)(F)F"
_FEXOFENADINE = "CC(C)(C(=O)O)c1ccc(cc1)C(O)CCCN2CCC(CC2)C(O)(c3ccccc3)c4ccccc4"
_MENTHOL = "CC(C)C1CCC(C)CC1O"
_MESTRANOL = "COc1ccc2[C@H]3CC[C@@]4(C)[C@@H](CC[C@@]4(O)C#C)[C@@H]3CCc2c1"
_OSIMERTINIB = "COc1cc(N(C)CCN(C)C)c(NC(=O)C=C)cc1Nc2nccc(n2)c3cn(C)c4ccccc34"
_PERINDOPRIL = "O=C(OCC)C(NC(C(=O)N1C(C(=O)O)CC2CCCCC12)C)CCC"
_RANOLAZINE = "COc1ccccc1OCC(O)CN2CCN(CC(=O)Nc3c(C)cccc3C)CC2"
_SILDENAFIL = "CCCC1=NN(C2=C1N=C(NC2=O)C3=C(C=CC(=C3)S(=O)(=O)N4CCN(CC4)C)OCC)C"
_SITAGLIPTIN = "Fc1cc(c(F)cc1F)CC(N)CC(=O)N3Cc2nnc(n2CC3)C(F)(F)F"
_TADALAFIL = "O=C1N(CC(N2C1CC3=C(C2C4=CC5=C(OCO5)C=C4)NC6=C3C=CC=C6)=O)C"
_THIOTHIXENE = "CN(C)S(=O)(=O)c1ccc2Sc3ccccc3C(=CCCN4CCN(C)CC4)c2c1"
_TROGLITAZONE = "Cc1c(C)c2OC(C)(COc3ccc(CC4SC(=O)NC4=O)cc3)CCc2c(C)c1O"
_ZALEPLON = "O=C(C)N(CC)C1=CC=CC(C2=CC=NC3=C(C=NN23)C#N)=C1"
#: the start of both hops: a quinazoline with an aminobenzothiazole
_HOP_START = "CCCOc1cc2ncnc(Nc3ccc4ncsc4c3)c2cc1S(=O)(=O)C(C)(C)C"
_HOP_SCAFFOLD = "[#7]-c1n[c;h1]nc2[c;h1]c(-[#8])[c;h0][c;h1]c12"
_HOP_CHAIN = "[#6]-[#6]-[#6]-[#8]-[#6]~[#6]~[#6]~[#6]~[#6]-[#7]-c1ccc2ncsc2c1"
_BENZOTHIAZOLE = "[#7]-c1ccc2ncsc2c1"
_SULFONYL = "CS([#6])(=O)=O"
_VALSARTAN_CORE = "CN(C=O)Cc1ccc(c2ccccc2)cc1"

TASKS: Mapping[TaskName, _Task] = {
    "albuterol_similarity": _Task((_Similar(_ALBUTEROL, "FCFP4", _capped(0.75)),)),
    "amlodipine_mpo": _Task((_Similar(_AMLODIPINE, "ECFP4"), _Measured(n_rings, _near(3, 0.5)))),
    "celecoxib_rediscovery": _Task((_Similar(_CELECOXIB, "ECFP4"),)),
    "deco_hop": _Task(
        (
            _Similar(_HOP_START, "PHCO", _capped(0.85)),
            _Has(_SULFONYL, is_wanted=False),
            _Has(_BENZOTHIAZOLE, is_wanted=False),
            _Has(_HOP_SCAFFOLD),
        ),
        mean="arithmetic",
    ),
    "fexofenadine_mpo": _Task(
        (
            _Similar(_FEXOFENADINE, "AP", _capped(0.8)),
            _Measured(tpsa, _at_least(90, 10)),
            _Measured(logp, _at_most(4, 1)),
        )
    ),
    "isomers_c7h8n2o2": _Task((_Formula("C7H8N2O2"),)),
    "isomers_c9h10n2o2pf2cl": _Task((_Formula("C9H10N2O2PF2Cl"),)),
    "median1": _Task((_Similar(_CAMPHOR, "ECFP4"), _Similar(_MENTHOL, "ECFP4"))),
    "median2": _Task((_Similar(_TADALAFIL, "ECFP6"), _Similar(_SILDENAFIL, "ECFP6"))),
    "mestranol_similarity": _Task((_Similar(_MESTRANOL, "AP", _capped(0.75)),)),
    "osimertinib_mpo": _Task(
        (
            _Similar(_OSIMERTINIB, "FCFP4", _capped(0.8)),
            _Similar(_OSIMERTINIB, "ECFP6", _at_most(0.85, 0.1)),
            _Measured(tpsa, _at_least(100, 10)),
            _Measured(logp, _at_most(1, 1)),
        )
    ),
    "perindopril_mpo": _Task((_Similar(_PERINDOPRIL, "ECFP4"), _Measured(n_aromatic_rings, _near(2, 0.5)))),
    "qed": _Task((_Measured(qed),)),
    "ranolazine_mpo": _Task(
        (
            _Similar(_RANOLAZINE, "AP", _capped(0.7)),
            _Measured(logp, _at_least(7, 1)),
            _Measured(tpsa, _at_least(95, 20)),
            _Measured(n_fluorines, _near(1, 1)),
        )
    ),
    "scaffold_hop": _Task(
        (
            _Similar(_HOP_START, "PHCO", _capped(0.75)),
            _Has(_HOP_CHAIN),
            _Has(_HOP_SCAFFOLD, is_wanted=False),
        ),
        mean="arithmetic",
    ),
    "sitagliptin_mpo": _Task(
        (
            _Similar(_SITAGLIPTIN, "ECFP4", _near(0, 0.1)),
            _Like(_SITAGLIPTIN, logp, sigma=0.2),
            _Like(_SITAGLIPTIN, tpsa, sigma=5),
            _Formula("C16H15F6N5O"),
        )
    ),
    "thiothixene_rediscovery": _Task((_Similar(_THIOTHIXENE, "ECFP4"),)),
    "troglitazone_rediscovery": _Task((_Similar(_TROGLITAZONE, "ECFP4"),)),
    "valsartan_smarts": _Task(
        (
            _Has(_VALSARTAN_CORE),
            _Like(_SITAGLIPTIN, logp, sigma=0.2),
            _Like(_SITAGLIPTIN, tpsa, sigma=5),
            _Like(_SITAGLIPTIN, bertz, sigma=30),
        )
    ),
    "zaleplon_mpo": _Task((_Similar(_ZALEPLON, "ECFP4"), _Formula("C19H17N3O2"))),
}
