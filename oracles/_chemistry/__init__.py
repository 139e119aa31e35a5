"""Chemistry shared by oracles of molecules. RDKit is imported on first use.

Modules:
    conformer: SMILES to molecules with 3-D conformers, by ETKDGv3 and MMFF94.
    geometry: geometry optimisation, and comparison of a conformer with its molecule's bonds.
    molecules: measurements of RDKit molecules, and their evaluation SMILES by SMILES.
    receptors: rigid receptors and search boxes for docking.
"""
