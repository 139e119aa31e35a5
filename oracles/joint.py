"""Several oracles that measure the same object, as one oracle with all their objectives."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Self

from al_loop.config import Part, build
from al_loop.errors import ConfigError
from al_loop.oracles.base import Fidelity, Oracle, Outcome, current_call, evaluate_each


class Joint(Oracle):
    """Several oracles that measure the same object, for several objectives: docking and drug-likeness, gap and price.

    Members are called in the order given, until one fails: put cheap ones that fail often first. Costs add up; a member
    that reports no cost adds 0 to those that others report, and one that reports no noise counts as noise-free if
    others report theirs. At most one member may have fidelities, which become those of the joint oracle.

    Args:
        oracles: at least two, e.g. ``[{kind: xtb, outcome: homo_lumo_gap}, {kind: guacamol, task: zaleplon_mpo}]``;
            no two may have an objective of the same name.
    """

    kind = "joint"

    def __init__(self, oracles: Sequence[Part]) -> None:
        self.members = tuple(build("oracle", part) for part in oracles)
        if len(self.members) < 2:
            raise ConfigError(f"oracle.oracles: {len(self.members)} given, expected at least two")
        self.objectives = tuple(objective for member in self.members for objective in member.objectives)
        names = [objective.name for objective in self.objectives]
        if duplicates := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"oracle.oracles: {', '.join(duplicates)} is measured by more than one member")
        kinds = {member.object_type for member in self.members} - {None}
        if len(kinds) > 1:
            raise ConfigError(f"oracle.oracles: one member measures {'s, another '.join(sorted(map(str, kinds)))}s")
        if any(member.is_external for member in self.members):
            raise ConfigError("oracle.oracles: a member whose answers come from people cannot be combined with others")
        with_fidelities = [member for member in self.members if member.fidelities]
        if len(with_fidelities) > 1:
            raise ConfigError("oracle.oracles: more than one member has fidelities, expected at most one")
        self.object_type = next(iter(kinds), None)
        self.version = "+".join(member.version for member in self.members)
        self.libraries = tuple(dict.fromkeys(name for member in self.members for name in member.libraries))
        self.call_size = min(member.call_size for member in self.members)
        self.fidelities: tuple[Fidelity, ...] = with_fidelities[0].fidelities if with_fidelities else ()
        self.fidelity = with_fidelities[0].fidelity if with_fidelities else ""

    def at(self, fidelity: str) -> Self:
        """Return this oracle at one of the fidelities of the member that has them.

        Raises:
            ValueError: there is no such fidelity.
        """
        other = copy.copy(super().at(fidelity))
        other.members = tuple(m.at(fidelity) if m.fidelities else m for m in self.members)
        return other

    def check(self) -> None:
        """Check every member.

        Raises:
            ConfigError: something that a member needs is missing.
        """
        for member in self.members:
            member.check()

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Yield the values of all members for each object."""
        for name in objects:
            yield self._evaluate_one(name)

    def _evaluate_one(self, name: str) -> Outcome:
        call = current_call()
        answers: list[tuple[Oracle, Outcome]] = []
        for member in self.members:
            # a member without fidelities must not be called at one
            member_call = call if member.fidelities else type(call)(call.keys)
            (outcome,) = evaluate_each(member, [name], member_call)
            answers.append((member, outcome))
            if outcome.failure is not None:
                break
        costs = [o.cost for _, o in answers if o.cost is not None]
        common = {
            "cost": sum(costs) if costs else None,
            "info": {key: value for _, o in answers for key, value in o.info.items()},
            "artifacts": {file: content for _, o in answers for file, content in o.artifacts.items()},
        }
        if (failure := answers[-1][1].failure) is not None:
            return Outcome(failure=failure, **common)  # type: ignore[arg-type]
        values = tuple(value for _, o in answers for value in o.values or ())
        noise = None
        if any(o.noise for _, o in answers):
            noise = tuple(s for m, o in answers for s in (o.noise or (0.0,) * len(m.objectives)))
        sides = tuple(side for m, o in answers for side in (o.censored or (None,) * len(m.objectives)))
        return Outcome(values, noise=noise, censored=sides if any(sides) else None, **common)  # type: ignore[arg-type]
