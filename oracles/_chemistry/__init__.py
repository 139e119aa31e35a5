"""Conformers, geometries, receptors and molecules, shared by oracles."""
