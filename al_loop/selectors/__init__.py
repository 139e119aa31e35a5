"""Selectors: which of the drawn objects become the batch."""
