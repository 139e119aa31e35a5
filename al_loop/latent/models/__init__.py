"""Latent-variable models, one module for each, named by its kind."""
