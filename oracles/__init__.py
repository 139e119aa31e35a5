"""Oracles: what a campaign pays for."""
