"""Molecules assembled from fragments."""

from al_loop.environments.fragments.fragments import SHIPPED_VOCABULARY, Fragments

__all__ = ["SHIPPED_VOCABULARY", "Fragments"]
