"""Active learning for expensive oracles: GFlowNet samplers, BoTorch surrogates, a durable ledger.

The public names are loaded when they are first used, so that importing ``al_loop`` loads neither torch nor ray.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from al_loop.analysis import Run as Run
    from al_loop.analysis import open_run as open_run
    from al_loop.campaign import Campaign as Campaign
    from al_loop.config import CampaignConfig as CampaignConfig
    from al_loop.config import load_config as load_config
    from oracles.base import Failure as Failure
    from oracles.base import Fidelity as Fidelity
    from oracles.base import Objective as Objective
    from oracles.base import Oracle as Oracle
    from oracles.base import OracleError as OracleError
    from oracles.base import Outcome as Outcome
    from oracles.base import current_call as current_call
    from oracles.callable import oracle as oracle

__version__ = "0.1.0"

_HOMES = {
    "Campaign": "al_loop.campaign",
    "CampaignConfig": "al_loop.config",
    "Failure": "oracles.base",
    "Fidelity": "oracles.base",
    "Objective": "oracles.base",
    "Oracle": "oracles.base",
    "OracleError": "oracles.base",
    "Outcome": "oracles.base",
    "Run": "al_loop.analysis",
    "current_call": "oracles.base",
    "load_config": "al_loop.config",
    "open_run": "al_loop.analysis",
    "oracle": "oracles.callable",
}
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'al_loop' has no attribute {name!r}")
