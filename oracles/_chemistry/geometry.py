"""Geometry optimisation on an energy surface, with a test whether the result is still the same molecule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from al_loop.oracles._chemistry.conformer import hessian
from al_loop.oracles.base import FailureKind, OracleError

HARTREE_KCAL = 627.509474
BOHR_ANGSTROM = 0.529177210903  # CODATA 2018
#: Eh/a0². Lower bound on the stiffness of the force field's modes (torsions, and translations and rotations, whose
#: stiffness is 0), so that the first step stays where the force field is valid. 0.01 and 0.03 needed more steps.
MIN_STIFFNESS = 0.005
#: number of starts: a line search that stalls in the noise of the energy restarts from the force field's Hessian
MAX_STARTS = 3
#: Ratios of a distance to the sum of two covalent radii: above the first a bond counts as broken, below the second two
#: atoms without a bond count as bonded. Strained cages lie between: the bridgeheads of bicyclo[1.1.1]pentane are at
#: 1.22.
BROKEN_ABOVE, BONDED_BELOW = 1.3, 1.15


class GeometryError(OracleError):
    """A geometry optimisation that did not end in a geometry of the molecule.

    Args:
        kind: the kind of failure.
        reason: one sentence for the user.
        xyz: the last geometry, in the XYZ format.
    """

    def __init__(self, kind: FailureKind, reason: str, xyz: str) -> None:
        super().__init__(kind, reason)
        self.xyz = xyz


@dataclass(frozen=True)
class Relaxed:
    """The result of a geometry optimisation.

    Args:
        molecule: the molecule with the relaxed conformer.
        energy: its energy in Eh.
        gradient_norm: norm of all 3n components of the gradient, in Eh/a0.
        n_gradients: number of gradients that were computed.
    """

    molecule: Any
    energy: float
    gradient_norm: float
    n_gradients: int


def relax(
    molecule: Any, surface: Callable[[Any], tuple[float, Any]], max_steps: int, max_gradient_norm: float
) -> Relaxed:
    """Relax a molecule from its conformer to a local minimum of an energy surface.

    The method is BFGS (scipy), started from the Hessian of the force field, which takes a quarter of the steps that a
    unit matrix takes.

    Args:
        molecule: a molecule with hydrogens and one conformer; it is not modified.
        surface: positions (n x 3, in a0) -> energy (Eh) and gradient (n x 3, Eh/a0).
        max_steps: maximum number of steps.
        max_gradient_norm: convergence criterion, the norm of all 3n components of the gradient, in Eh/a0.

    Raises:
        GeometryError: ``permanent``, not converged within ``max_steps``; ``invalid``, a bond was broken or formed.
    """
    import numpy as np
    from rdkit import Chem
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits

    n_gradients = 0

    def flat(x: Any) -> tuple[float, Any]:
        nonlocal n_gradients
        n_gradients += 1
        energy, gradient = surface(x.reshape(-1, 3))
        return energy, gradient.ravel()

    relaxed, steps_left = Chem.Mol(molecule), max_steps
    # more threads in numpy double the CPU time and make the last digits depend on the machine
    with threadpool_limits(limits=1, user_api="blas"):
        for _ in range(MAX_STARTS):
            x = relaxed.GetConformer().GetPositions().ravel() / BOHR_ANGSTROM
            options: Any = {
                "gtol": max_gradient_norm,
                "norm": 2,
                "maxiter": steps_left,
                "hess_inv0": _inverse_hessian(relaxed),
            }
            minimum = minimize(flat, x, jac=True, method="BFGS", options=options)
            relaxed.GetConformer().SetPositions(minimum.x.reshape(-1, 3) * BOHR_ANGSTROM)
            norm, steps_left = float(np.linalg.norm(minimum.jac)), steps_left - int(minimum.nit)
            if norm <= max_gradient_norm or steps_left <= 0:
                break
    result = Relaxed(relaxed, float(minimum.fun), norm, n_gradients)
    if norm > max_gradient_norm:
        reason = (
            f"the geometry has not converged after {max_steps - steps_left} of max_steps = {max_steps} steps: "
            f"the gradient norm is {norm:.1e} Eh/a0, expected at most {max_gradient_norm:.1e}"
        )
        raise GeometryError("permanent", reason, xyz(relaxed, f"not converged, {result.energy:.6f} Eh"))
    change = bond_change(relaxed)
    if change is not None:
        reason = f"the geometry optimisation led to another molecule: {change}"
        raise GeometryError("invalid", reason, xyz(relaxed, f"{change}, {result.energy:.6f} Eh"))
    return result


def bond_change(molecule: Any) -> str | None:
    """Describe the first difference between the bonds of the conformer and of the molecule; None if they agree."""
    import numpy as np
    from rdkit import Chem

    table = Chem.GetPeriodicTable()
    radii = np.array([table.GetRcovalent(atom.GetAtomicNum()) for atom in molecule.GetAtoms()])
    distances = Chem.Get3DDistanceMatrix(molecule)
    stretch = distances / (radii[:, None] + radii[None, :])
    bonded = Chem.GetAdjacencyMatrix(molecule).astype(bool)
    differs = np.where(bonded, stretch > BROKEN_ABOVE, stretch < BONDED_BELOW)
    for i, j in np.argwhere(np.triu(differs, 1)):
        pair = "-".join(f"{molecule.GetAtomWithIdx(int(k)).GetSymbol()}{k + 1}" for k in (i, j))
        return f"the bond {pair} was {'broken' if bonded[i, j] else 'formed'} ({distances[i, j]:.2f} Å)"
    return None


def xyz(molecule: Any, comment: str) -> str:
    """Write the conformer in the XYZ format (Å), with the atoms in the order of the molecule.

    Args:
        molecule: a molecule with one conformer.
        comment: the second line of the file.
    """
    rows = zip(molecule.GetAtoms(), molecule.GetConformer().GetPositions(), strict=True)
    lines = [f"{atom.GetSymbol():<2} {x:14.8f} {y:14.8f} {z:14.8f}" for atom, (x, y, z) in rows]
    return "\n".join([str(len(lines)), comment, *lines, ""])


def _inverse_hessian(molecule: Any) -> Any:
    """Return the inverse of the force field's Hessian, made positive definite: 3n x 3n, in a0²/Eh."""
    import numpy as np

    values, vectors = np.linalg.eigh(hessian(molecule) * BOHR_ANGSTROM**2 / HARTREE_KCAL)
    inverse = (vectors / np.maximum(np.abs(values), MIN_STIFFNESS)) @ vectors.T
    return (inverse + inverse.T) / 2
