"""Sinks: other tools that a campaign's numbers are told to while it runs."""

from al_loop.sinks.base import Sink, Sinks, Status, round_metrics

__all__ = ["Sink", "Sinks", "Status", "round_metrics"]
