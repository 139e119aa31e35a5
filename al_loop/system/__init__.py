"""Processes and devices of this machine."""
