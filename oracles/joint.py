"""Several oracles asked for the same object: their values side by side."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Self

from al_loop.config import Part, build
from al_loop.errors import ConfigError
from al_loop.oracles.base import Fidelity, Oracle, Outcome, current_call, evaluate_each


class Joint(Oracle):
    """Several oracles asked for the same object, for several objectives: docking and drug-likeness, gap and price.

    They are asked in the order given, and no further one where one has failed: put cheap ones that fail often first.
    Costs add up; what a member does not state costs nothing beside what others do. Noise that a member does not state
    counts as none beside what others state. One member at the most may have fidelities; they are those of the whole.

    Args:
        oracles: at least two, e.g. ``[{kind: xtb, outcome: homo_lumo_gap}, {kind: guacamol, task: zaleplon_mpo}]``;
            no two may measure a value of the same name.
    """

    kind = "joint"

    def __init__(self, oracles: Sequence[Part]) -> None:
        self.members = tuple(build("oracle", part) for part in oracles)
        if len(self.members) < 2:
            raise ConfigError(f"oracle.oracles: a joint oracle has at least two members, not {len(self.members)}")
        self.objectives = tuple(objective for member in self.members for objective in member.objectives)
        names = [objective.name for objective in self.objectives]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"oracle.oracles: {', '.join(twice)} is measured by more than one of them")
        kinds = {member.object_type for member in self.members} - {None}
        if len(kinds) > 1:
            raise ConfigError(f"oracle.oracles: one works on {'s, another on '.join(sorted(map(str, kinds)))}s")
        if any(member.is_external for member in self.members):
            raise ConfigError("oracle.oracles: a member that people answer for cannot be asked together with others")
        with_fidelities = [member for member in self.members if member.fidelities]
        if len(with_fidelities) > 1:
            raise ConfigError("oracle.oracles: more than one of them has fidelities")
        self.object_type = next(iter(kinds), None)
        self.version = "+".join(member.version for member in self.members)
        self.libraries = tuple(dict.fromkeys(name for member in self.members for name in member.libraries))
        self.call_size = min(member.call_size for member in self.members)
        self.fidelities: tuple[Fidelity, ...] = with_fidelities[0].fidelities if with_fidelities else ()
        self.fidelity = with_fidelities[0].fidelity if with_fidelities else ""

    def at(self, fidelity: str) -> Self:
        """The same at one of the fidelities of the member that has them."""
        other = copy.copy(super().at(fidelity))
        other.members = tuple(m.at(fidelity) if m.fidelities else m for m in self.members)
        return other

    def check(self) -> None:
        """Raises ConfigError where something that a member needs is missing."""
        for member in self.members:
            member.check()

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Yields the values of all members for each object."""
        for name in objects:
            yield self._ask(name)

    def _ask(self, name: str) -> Outcome:
        call = current_call()
        answers: list[tuple[Oracle, Outcome]] = []
        for member in self.members:
            # a member that has no fidelities must not be asked for one
            own = call if member.fidelities else type(call)(call.keys)
            (outcome,) = evaluate_each(member, [name], own)
            answers.append((member, outcome))
            if outcome.failure is not None:
                break
        costs = [o.cost for _, o in answers if o.cost is not None]
        said = {
            "cost": sum(costs) if costs else None,
            "info": {key: value for _, o in answers for key, value in o.info.items()},
            "artifacts": {file: content for _, o in answers for file, content in o.artifacts.items()},
        }
        if (failure := answers[-1][1].failure) is not None:
            return Outcome(failure=failure, **said)  # type: ignore[arg-type]
        values = tuple(value for _, o in answers for value in o.values or ())
        noise = None
        if any(o.noise for _, o in answers):
            noise = tuple(s for m, o in answers for s in (o.noise or (0.0,) * len(m.objectives)))
        return Outcome(values, noise=noise, **said)  # type: ignore[arg-type]
