"""People as an oracle: a lab, a colleague, a service without an API, who exchange tables with the campaign."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from al_loop.errors import ConfigError
from al_loop.oracles.base import Objective, Oracle, Outcome


class Human(Oracle):
    """People who measure: ``al-loop ask`` exports a table of objects, ``al-loop tell`` imports their results.

    Nothing is called, so the config sections ``evaluation`` and ``resources`` do not apply. The campaign continues when
    results arrive, or with the next ``al-loop ask``; no process needs to run in between.

    Args:
        objectives: the measured values, each a name or ``{name: ..., unit: ..., goal: maximise | minimise}``.
        version: change it when the same object would be measured in a different way than before.
    """

    kind = "human"
    is_external = True

    def __init__(self, objectives: Sequence[Objective | str] = ("value",), version: str = "1") -> None:
        self.objectives = tuple(o if isinstance(o, Objective) else Objective(o) for o in objectives)
        self.version = version
        names = [o.name for o in self.objectives]
        if not names or not all(names) or len(set(names)) < len(names):
            raise ConfigError(f"objectives: {', '.join(names) or 'none'}; expected one or more distinct names")

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Yield a failure for each object, since people cannot be called by a program."""
        for _ in objects:
            yield Outcome.failed("permanent", "people measure these objects; use al-loop ask and al-loop tell")
