"""Acquisitions: how much each object is worth measuring, as BoTorch acquisition functions."""
