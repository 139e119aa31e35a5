"""People: a lab, a colleague, a service without an interface. They are asked and answer through tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from al_loop.errors import ConfigError
from al_loop.oracles.base import Objective, Oracle, Outcome


class Human(Oracle):
    """People who measure: ``al-loop ask`` gives them a table of objects, ``al-loop tell`` takes their answers in.

    Nothing is called, so that the sections ``evaluation`` and ``resources`` say nothing of it. The campaign goes on by
    itself when answers arrive, or with the next ``al-loop ask``; neither has to run in between.

    Args:
        objectives: what is measured, each a name or ``{name: ..., unit: ..., goal: maximise | minimise}``.
        version: raise it when the same object would be measured in another way than before.
    """

    kind = "human"
    is_external = True

    def __init__(self, objectives: Sequence[Objective | str] = ("value",), version: str = "1") -> None:
        self.objectives = tuple(o if isinstance(o, Objective) else Objective(o) for o in objectives)
        self.version = version
        names = [o.name for o in self.objectives]
        if not names or not all(names) or len(set(names)) < len(names):
            raise ConfigError(f"objectives: {', '.join(names) or 'none'}: give one or more different names")

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Fails for each object: a person is not called by a program."""
        for _ in objects:
            yield Outcome.failed("permanent", "people measure these objects: see al-loop ask and al-loop tell")
