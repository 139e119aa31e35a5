"""Molecules as a reader sees them: drawings, structural alerts and fingerprints. RDKit is loaded on first use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LONGEST = 2000  # characters of a text that is tried as a molecule
_BITS = 1024
_SAMPLE = 200  # molecules whose notation is looked at
#: what a page does not need of a drawing: the XML declaration, comments, names of atoms, and what is the default anyway
_UNNEEDED = re.compile(
    r"<\?xml.*?\?>\s*|<!--.*?-->\s*| class='[^']*'|(?:fill-rule:evenodd|stroke-linecap:butt|stroke-linejoin:miter|"
    r"stroke-opacity:1|stroke-miterlimit:10);?| xmlns:\w+='[^']*'| xml:space='[^']*'",
    re.DOTALL,
)


def parse(smiles: Sequence[str]) -> list[Any | None]:
    """Return RDKit molecules, None for text that is none."""
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        return [Chem.MolFromSmiles(text) if text and len(text) <= _LONGEST else None for text in smiles]


def are_canonical(smiles: Sequence[str]) -> bool:
    """Return whether molecules are in RDKit's own notation, by a sample; then they can be read without checks."""
    from rdkit import Chem

    sample = list(smiles[:: max(1, len(smiles) // _SAMPLE)])[:_SAMPLE]
    return all(m is None or Chem.MolToSmiles(m) == text for m, text in zip(parse(sample), sample, strict=True))


def draw(smiles: str, width: int = 220, height: int = 160) -> str | None:
    """Return the structure as an SVG element for a page, or None for text that is no molecule.

    It has no background; the drawing contains elements made by RDKit alone, and nothing of the text.

    Args:
        smiles: the molecule.
        width: in pixels.
        height: in pixels.
    """
    from rdkit.Chem.Draw import rdMolDraw2D

    molecule = parse([smiles])[0]
    if molecule is None or not molecule.GetNumAtoms():
        return None
    drawer = rdMolDraw2D.MolDraw2DSVG(width, height)
    options: Any = drawer.drawOptions()
    options.clearBackground, options.padding = False, 0.06
    try:
        rdMolDraw2D.PrepareAndDrawMolecule(drawer, molecule)
    except (RuntimeError, ValueError):  # no kekulised form, no coordinates
        return None
    drawer.FinishDrawing()
    return _UNNEEDED.sub("", re.sub(r"\s*\n\s*", " ", drawer.GetDrawingText())).strip()


def fingerprints(molecules: Sequence[Any]) -> NDArray[np.float32]:
    """Return Morgan fingerprints of radius 2 as rows of 0 and 1, n x 1,024; a row of zeros where there is no molecule.

    Args:
        molecules: RDKit molecules, or None.
    """
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    generator = GetMorganGenerator(radius=2, fpSize=_BITS)
    rows = np.zeros((len(molecules), _BITS), dtype=np.float32)
    for row, molecule in zip(rows, molecules, strict=True):
        if molecule is not None:
            row[:] = generator.GetFingerprintAsNumPy(molecule)
    return rows


@lru_cache(maxsize=1)
def _catalogue() -> Any:
    from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams

    parameters = FilterCatalogParams()
    for name in ("PAINS", "BRENK", "NIH"):
        parameters.AddCatalog(getattr(FilterCatalogParams.FilterCatalogs, name))
    return FilterCatalog(parameters)


def alerts(molecules: Sequence[Any]) -> list[list[str]]:
    """Return the structural alerts of each molecule, such as "PAINS: azo_A(324)"; none where there is no molecule.

    The catalogues are PAINS (Baell and Holloway 2010), BRENK (Brenk et al. 2008) and NIH (Jadhav et al. 2010).

    Args:
        molecules: RDKit molecules, or None.
    """
    catalogue = _catalogue()
    found: list[list[str]] = []
    for molecule in molecules:
        entries = [] if molecule is None else catalogue.GetMatches(molecule)
        names = [f"{entry.GetProp('FilterSet').split('_')[0]}: {entry.GetDescription()}" for entry in entries]
        found.append(sorted(dict.fromkeys(names)))
    return found


def scaffold_of(smiles: str) -> str:
    """Return the Bemis-Murcko scaffold of a molecule as SMILES; empty if it has none."""
    from al_loop.monitoring.metrics import scaffold

    return (scaffold(smiles) or "") if parse([smiles])[0] is not None else ""
