"""Active learning: the round loop and what it consists of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from al_loop.campaign.campaign import Campaign as Campaign

__all__ = ["Campaign"]


def __getattr__(name: str) -> object:
    if name == "Campaign":  # loaded when first used: the interfaces in this package are light
        from al_loop.campaign.campaign import Campaign

        return Campaign
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
