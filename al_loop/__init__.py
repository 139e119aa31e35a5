"""Active learning for expensive oracles: GFlowNet samplers, BoTorch surrogates, a durable ledger.

The public names below are imported on first use, so that ``import al_loop`` loads neither torch nor ray.
A module may import from its own group and from those above it in this list:

- foundations: ``errors``, ``seeding``, ``smiles``, ``system`` (processes, GPUs)
- the oracle interface: ``oracles.base``
- records and files: ``config``, ``ledger``, ``storage``, ``datafiles``
- configurable parts that describe and measure objects: ``environments``, ``features``, ``properties``, ``oracles``
- the engine, and configurable parts that choose objects: ``gflownet``, ``surrogates``, ``acquisitions``, ``selectors``,
  ``modelling``, ``monitoring``, ``sinks``
- systems, each a training loop over the engine: ``campaign`` (active learning)
- people and results: ``planning``, ``people`` (ask, tell, review), ``analysis``
- processes and clusters: ``actors`` (local processes, Ray, jobs, sweeps)
- interfaces: ``cli`` (the command line), ``client`` (Python and notebooks)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from al_loop.system import moved_modules, shadows

if TYPE_CHECKING:
    from al_loop.analysis import Run as Run
    from al_loop.analysis import open_run as open_run
    from al_loop.campaign import Campaign as Campaign
    from al_loop.client import CampaignClient as CampaignClient
    from al_loop.client import campaign as campaign
    from al_loop.config import CampaignConfig as CampaignConfig
    from al_loop.config import load_config as load_config
    from al_loop.oracles.base import Failure as Failure
    from al_loop.oracles.base import Fidelity as Fidelity
    from al_loop.oracles.base import Objective as Objective
    from al_loop.oracles.base import Oracle as Oracle
    from al_loop.oracles.base import OracleError as OracleError
    from al_loop.oracles.base import Outcome as Outcome
    from al_loop.oracles.base import current_call as current_call
    from al_loop.oracles.wrap import oracle as oracle
    from al_loop.people.retry import retry as retry
    from al_loop.planning import plan as plan

__version__: str  # read when it is asked for

#: public name -> the module that defines it
_HOMES = {
    "Campaign": "al_loop.campaign",
    "CampaignClient": "al_loop.client",
    "CampaignConfig": "al_loop.config",
    "Failure": "al_loop.oracles.base",
    "Fidelity": "al_loop.oracles.base",
    "Objective": "al_loop.oracles.base",
    "Oracle": "al_loop.oracles.base",
    "OracleError": "al_loop.oracles.base",
    "Outcome": "al_loop.oracles.base",
    "Run": "al_loop.analysis",
    "current_call": "al_loop.oracles.base",
    "load_config": "al_loop.config",
    "open_run": "al_loop.analysis",
    "oracle": "al_loop.oracles.wrap",
    "plan": "al_loop.planning",
    "retry": "al_loop.people.retry",
}
__all__ = [*_HOMES, "__version__", "campaign"]

shadows.search_libraries_first()
moved_modules.install()


def __getattr__(name: str) -> object:
    if name == "campaign":  # the package, which can be called
        return importlib.import_module("al_loop.campaign")
    if name == "__version__":
        from al_loop.system.version import version

        return version()
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'al_loop' has no attribute {name!r}")
