"""Energies: models of the log-probability of objects up to a constant, one module for each, named by its kind."""
