"""Features: vectors that describe objects, with the kernel and the similarity that suit them.

Modules:
    base: ``Features``.
    morgan, circular, atom_pairs, descriptors, graph: of molecules.
    molecules: molecules as tensors, for features and properties of thousands at once.
    one_hot, kmers: of sequences.
    joined: several kinds side by side.
    row_layout: the structure of rows in which encoders see more than a vector.
"""
