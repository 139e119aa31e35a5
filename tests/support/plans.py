"""A plan whose simulations are known."""

from typing import Any

import numpy as np

from al_loop.planning.record import Plan, SimulatedVariant


def make_plan(
    direction: Any = "maximise", n: int = 40, others: Any = (), objective: str = "score", **settings: Any
) -> Plan:
    """Return a plan in which simulation i reaches i / 10 after 10 calls, and grows by 1 until call 20."""
    sign = 1 if direction == "maximise" else -1
    curves = np.array([[sign * (i / 10 + (k >= 15)) for k in range(20)] for i in range(n)])
    main = SimulatedVariant("as configured", "config", 5, 5, curves)
    variants = [
        SimulatedVariant(name, kind, size, 5, curves + sign * gain * (1 + np.arange(n)[:, None] % 2 / 2))
        for name, kind, size, gain in others
    ]
    fields: dict[str, Any] = {
        "goal": sign * 3.0,
        "goal_text": "score at least 3",
        "goals": (sign * 3.0,) * n,
        **settings,
    }
    return Plan("demo", objective, "eV", direction, calls=(10, 20), variants=(main, *variants), cost_per_call=2.0,
                hours_per_call=3.0, workers=2, **{"assumptions": ("a",), "shortcuts": ("s",), **fields})  # fmt: skip
