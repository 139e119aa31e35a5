"""Active learning: rounds of fitting models, training a sampler, selecting a batch and measuring it.

The loop:

- ``campaign``: open, run, advance and close a campaign; ``context``: what its phases share.
- ``round_loop``: start a round, wait for its answers, close it; ``closing``: when a round may close.
- ``proposer``: fit, train, select, forecast; ``candidates``: the objects among which a batch is selected.
- ``round_state``: the ledger at one moment; ``round_report``, ``round_times``: the report of a round.

Measuring:

- ``evaluation``: the pool of oracle workers, with its ``task_queue``, ``budget``, ``failures`` and ``group_commit``.

Building and interfaces:

- ``preparation``: the parts that a config names, built once; ``building``: functions that build each of them.
- ``executor``: where samplers, surrogate and oracle workers run; ``reporter``: who is shown the progress.
- ``sampler_training``, ``prior_training``: training of the sampler in a round, and before a campaign.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from al_loop.campaign.campaign import Campaign as Campaign

__all__ = ["Campaign"]


def __getattr__(name: str) -> object:
    if name == "Campaign":  # loaded when first used: the interfaces in this package are light
        from al_loop.campaign.campaign import Campaign

        return Campaign
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _CallablePackage(ModuleType):
    """This package under its other name: ``al_loop.campaign(...)`` opens a campaign from Python."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from al_loop.config.plugins import load_target

        # found by its name, because this package must not import what is built on it
        return load_target("al_loop.client:campaign")(*args, **kwargs)


sys.modules[__name__].__class__ = _CallablePackage
