"""Molecules as tensors: graphs of many molecules at once, and what follows from them without RDKit.

Modules:
    graphs: ``MolecularGraphs``, atoms and bonds of n molecules.
    reading: graphs of RDKit molecules. Requires RDKit.
    circular: circular substructures, with RDKit's own identifiers (Morgan, ECFP).
    descriptors: weight, hydrogen bonds, polar surface, rotatable bonds and other exact numbers.
"""
