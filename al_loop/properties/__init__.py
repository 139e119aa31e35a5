"""Cheap properties of objects, computed without calling the oracle, on which a campaign's constraints set bounds.

Modules:
    base: ``Property``, and ``MoleculeProperty`` for properties of RDKit molecules.
    alerts, descriptor, logp, mol_weight, qed, sa_score, similarity, smarts: properties of molecules.
    gc_content, motif: properties of sequences.
"""
