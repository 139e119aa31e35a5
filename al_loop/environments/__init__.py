"""Environments: how objects are built step by step. They need torch and numpy alone."""
