"""The executor of a campaign, by the address at which it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from al_loop.campaign.executor import Executor
from al_loop.config import CampaignConfig


@contextmanager
def executor_at(config: CampaignConfig, address: str, on_note: Callable[[str], None]) -> Iterator[Executor | None]:
    """Yield the executor on a cluster, which is closed in the end; None on this machine, where a campaign has its own.

    Args:
        config: The campaign's configuration.
        address: ``local``, ``auto``, or the address of a Ray cluster.
        on_note: Receives messages for the user.
    """
    if address == "local":
        yield None
        return
    from al_loop.actors.cluster.executor import RayExecutor

    with closing(RayExecutor(config, address, on_note)) as executor:
        yield executor
