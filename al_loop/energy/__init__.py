"""Energies learned from data, together with samplers that draw from them (EB-GFN, Zhang et al. 2022)."""
