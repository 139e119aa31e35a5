"""Surrogates: what the campaign believes of the oracle, as BoTorch models."""
