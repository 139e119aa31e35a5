"""The share of a user's objects that an environment can make, and why it cannot make the others."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from al_loop.campaign.charge_states import charge_states
from al_loop.environments.base import Environment
from al_loop.environments.fragments.reasons import NotInSpaceError
from al_loop.errors import counted
from al_loop.smiles import canonical_smiles, without_messages
from al_loop.system import stopping

#: most objects that are tried
MOST = 5_000
_N_REASONS, _N_DETAILS = 6, 3


@dataclass(frozen=True)
class Coverage:
    """The number of objects that an environment can make, and the reasons why it cannot make the others.

    Args:
        n: number of objects that were tried.
        n_in_file: number of objects in the file.
        n_covered: number of objects that the environment can make.
        n_salts: number of molecules without their salt or solvent.
        n_recharged: number of the others that it can make in another charge state, as which they count as seeds.
        reasons: reasons for the others with their numbers, the most frequent first, and what was missing.
    """

    n: int
    n_in_file: int
    n_covered: int
    n_salts: int
    n_recharged: int
    reasons: list[tuple[str, int, list[tuple[str, int]]]]

    @property
    def share(self) -> float:
        """Share of the objects that the environment can make."""
        return self.n_covered / max(self.n, 1)

    def lines(self) -> list[str]:
        """Return the result as text, one line for each reason."""
        sample = f" (a random sample of the {self.n_in_file} in the file)" if self.n < self.n_in_file else ""
        lines = [f"{self.share:.1%} of {counted(self.n, 'object')}{sample} can be made"]
        if self.n_salts:
            verb = "has" if self.n_salts == 1 else "have"
            lines.append(f"{self.n_salts} {verb} a salt or a solvent, and {verb} been tried without it")
        if self.n_recharged:
            share = f"{self.n_recharged / max(self.n, 1):.1%}"
            lines.append(
                f"{share} cannot as written, but in another charge state, as which they count if they are seeds"
            )
        for reason, n, details in self.reasons[:_N_REASONS]:
            most = ", ".join(f"{detail} ({k})" for detail, k in details[:_N_DETAILS])
            lines.append(f"{n / max(self.n, 1):.1%} cannot: {reason}{f'; most often {most}' if most else ''}")
        if len(self.reasons) > _N_REASONS:
            lines.append(f"{sum(n for _, n, _ in self.reasons[_N_REASONS:]) / self.n:.1%} for other reasons")
        return lines


def coverage(
    environment: Environment, objects: Sequence[str], seed: int = 0, on_object: Callable[[], None] = lambda: None
) -> Coverage:
    """Try to encode objects, a random sample of ``MOST`` if there are more.

    Args:
        environment: the space.
        objects: the objects.
        seed: of the sample.
        on_object: called after each object that is tried.
    """
    tried = list(objects) if len(objects) <= MOST else random.Random(seed).sample(list(objects), MOST)
    n_covered = n_salts = n_recharged = 0
    reasons: Counter[str] = Counter()
    details: dict[str, Counter[str]] = {}
    for name in tried:
        stopping.look()
        is_salt = environment.object_type == "molecule" and "." in name
        n_salts += is_salt
        kept = _without_salt(name) if is_salt else name
        try:
            with without_messages() if environment.object_type == "molecule" else nullcontext():
                environment.encode([kept])
            n_covered += 1
        except ValueError as error:
            reason, detail = _reason(error, name)
            reasons[reason] += 1
            details.setdefault(reason, Counter())[detail] += 1
            n_recharged += environment.object_type == "molecule" and _has_another_charge_state(environment, kept)
        on_object()
    found = []
    for reason, n in reasons.most_common():
        found.append((reason, n, [(detail, k) for detail, k in details[reason].most_common() if detail]))
    return Coverage(len(tried), len(objects), n_covered, n_salts, n_recharged, found)


def _reason(error: ValueError, name: str) -> tuple[str, str]:
    """Return the reason of an error without the object's name, and what was missing."""
    if isinstance(error, NotInSpaceError):
        return error.reason, error.detail
    return str(error).replace(repr(name), "it"), ""


def _has_another_charge_state(environment: Environment, smiles: str) -> bool:
    """Return whether the environment can make a molecule in another charge state."""
    for state, _ in charge_states(canonical_smiles(smiles) or ""):
        try:
            environment.encode([state])
        except ValueError:
            continue
        return True
    return False


def _without_salt(smiles: str) -> str:
    from rdkit import Chem

    from al_loop.environments.fragments.patterns import read_parent

    mol = read_parent(smiles)
    return smiles if mol is None else str(Chem.MolToSmiles(mol))
