"""Run many campaigns over a grid of settings."""
