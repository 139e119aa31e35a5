"""Relaxing a molecule's geometry on an energy surface, and whether it is still the same molecule afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from al_loop.oracles._chemistry.conformer import hessian
from al_loop.oracles.base import FailureKind, OracleError

HARTREE_KCAL = 627.509474
BOHR_ANGSTROM = 0.529177210903  # CODATA 2018
#: Eh/a0². The force field's softer modes (torsions, and the overall motions, which have none) are taken to be this
#: stiff, so that a first step stays within what the force field knows. 0.01 and 0.03 needed more steps.
SOFTEST = 0.005
#: A line search that stalls in the noise of the energy is begun anew from the force field's second derivatives
STARTS = 3
#: A bond counts as broken where its atoms are further apart than this times the sum of their covalent radii, and as
#: made where two atoms without a bond are nearer than that. Between the two lie strained cages: the bridgeheads of
#: bicyclo[1.1.1]pentane are at 1.22.
BROKEN, MADE = 1.3, 1.15


class GeometryError(OracleError):
    """The optimisation did not end in a geometry of the molecule; ``xyz`` is the one that it ended in."""

    def __init__(self, kind: FailureKind, reason: str, xyz: str) -> None:
        super().__init__(kind, reason)
        self.xyz = xyz


@dataclass(frozen=True)
class Relaxed:
    """Where an optimisation ended.

    molecule: with the conformer; energy: in Eh; gradient_norm: of all 3n components, in Eh/a0; n_gradients: computed.
    """

    molecule: Any
    energy: float
    gradient_norm: float
    n_gradients: int


def relax(
    molecule: Any, surface: Callable[[Any], tuple[float, Any]], max_steps: int, max_gradient_norm: float
) -> Relaxed:
    """The molecule at the minimum of an energy surface that lies downhill from its conformer.

    BFGS (scipy), which starts from the second derivatives of the force field: a quarter of the steps that it takes
    from a unit matrix.

    Args:
        molecule: with hydrogens and one conformer; it stays as it is.
        surface: positions (n x 3, in a0) -> energy (Eh) and gradient (n x 3, Eh/a0).
        max_steps: steps at the most.
        max_gradient_norm: it has converged where the norm of all 3n components is at most this, in Eh/a0.

    Raises:
        GeometryError: ``permanent``, it has not converged in so many steps; ``invalid``, a bond was broken or made.
    """
    import numpy as np
    from rdkit import Chem
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    counted = 0

    def flat(x: Any) -> tuple[float, Any]:
        nonlocal counted
        counted += 1
        energy, gradient = surface(x.reshape(-1, 3))
        return energy, gradient.ravel()

    relaxed, steps_left = Chem.Mol(molecule), max_steps
    # further threads of numpy double the CPU time, and let the last digits depend on the machine
    with threadpool_limits(limits=1, user_api="blas"):
        for _ in range(STARTS):
            x = relaxed.GetConformer().GetPositions().ravel() / BOHR_ANGSTROM
            options: Any = {
                "gtol": max_gradient_norm,
                "norm": 2,
                "maxiter": steps_left,
                "hess_inv0": _inverse_hessian(relaxed),
            }
            found = minimize(flat, x, jac=True, method="BFGS", options=options)
            relaxed.GetConformer().SetPositions(found.x.reshape(-1, 3) * BOHR_ANGSTROM)
            norm, steps_left = float(np.linalg.norm(found.jac)), steps_left - int(found.nit)
            if norm <= max_gradient_norm or steps_left <= 0:
                break
    result = Relaxed(relaxed, float(found.fun), norm, counted)
    if norm > max_gradient_norm:
        reason = (
            f"the geometry has not converged in {max_steps - steps_left} of max_steps = {max_steps} steps: "
            f"gradient norm {norm:.1e} Eh/a0, expected at most {max_gradient_norm:.1e}"
        )
        raise GeometryError("permanent", reason, xyz(relaxed, f"not converged, {result.energy:.6f} Eh"))
    change = bond_change(relaxed)
    if change is not None:
        reason = f"the optimisation led to another molecule: {change}"
        raise GeometryError("invalid", reason, xyz(relaxed, f"{change}, {result.energy:.6f} Eh"))
    return result


def bond_change(molecule: Any) -> str | None:
    """The first bond that the conformer has and the molecule has not, or the other way about; None: they agree."""
    import numpy as np
    from rdkit import Chem

    table = Chem.GetPeriodicTable()
    radii = np.array([table.GetRcovalent(atom.GetAtomicNum()) for atom in molecule.GetAtoms()])
    distances = Chem.Get3DDistanceMatrix(molecule)
    stretch = distances / (radii[:, None] + radii[None, :])
    bonded = Chem.GetAdjacencyMatrix(molecule).astype(bool)
    wrong = np.where(bonded, stretch > BROKEN, stretch < MADE)
    for i, j in np.argwhere(np.triu(wrong, 1)):
        pair = "-".join(f"{molecule.GetAtomWithIdx(int(k)).GetSymbol()}{k + 1}" for k in (i, j))
        return f"the bond {pair} was {'broken' if bonded[i, j] else 'made'} ({distances[i, j]:.2f} Å)"
    return None


def xyz(molecule: Any, comment: str) -> str:
    """The conformer in the XYZ format (Å), the atoms in the order of the molecule."""
    rows = zip(molecule.GetAtoms(), molecule.GetConformer().GetPositions(), strict=True)
    lines = [f"{atom.GetSymbol():<2} {x:14.8f} {y:14.8f} {z:14.8f}" for atom, (x, y, z) in rows]
    return "\n".join([str(len(lines)), comment, *lines, ""])


def _inverse_hessian(molecule: Any) -> Any:
    """3n x 3n, in a0²/Eh, positive definite."""
    import numpy as np

    values, vectors = np.linalg.eigh(hessian(molecule) * BOHR_ANGSTROM**2 / HARTREE_KCAL)
    inverse = (vectors / np.maximum(np.abs(values), SOFTEST)) @ vectors.T
    return (inverse + inverse.T) / 2
