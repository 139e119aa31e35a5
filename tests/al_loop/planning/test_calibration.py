"""On oracles that are drawn from the belief itself, the bands of a plan must hold what they promise."""

import numpy as np

from al_loop.campaign.preparation import prepare
from al_loop.config import parse_config
from al_loop.config.locations import Locations
from al_loop.planning.beliefs import believed_world, draw_pool
from al_loop.planning.settings import PlanSettings
from al_loop.planning.simulation import Simulation, Space, Variant

CONFIG = {
    "name": "planned",
    "environment": {"kind": "sequence", "alphabet": "ACGT", "length": 5},
    "oracle": {"target": "builtins:len"},
    "acquisition": {"kind": "ucb"},
}


def test_half_of_the_simulations_tell_where_the_other_half_ends():
    parts = prepare(parse_config(CONFIG, Locations()))
    settings = PlanSettings("5%", calls=(12,), simulations=40)
    pool = draw_pool(parts, 60)
    world, space = believed_world(parts, settings, pool, ()), Space(parts, pool)
    best = np.array([Simulation(parts, space, t, Variant(4, 4), k).run(12)[-1] for k, t in enumerate(world.truths)])
    low, high = np.quantile(best[:20], [0.1, 0.9])
    assert 0.55 <= np.mean((best[20:] >= low) & (best[20:] <= high)) <= 1.0
