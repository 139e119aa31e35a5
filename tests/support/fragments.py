"""Small vocabularies for the fragment environment."""

import json

from al_loop.environments.fragments.vocabulary import describe_block

# benzene and methane have many symmetries, pyrimidine has two, and sulfonamide has a bond that must be made
BLOCKS = [
    ("c1ccccc1", [0, 1, 2, 3, 4, 5]),
    ("C", [0, 0, 0]),
    ("F", [0]),
    ("c1cncnc1", [0, 1, 3, 5]),
    ("N[SH](=O)=O", [0, 1]),
]


def vocabulary(folder, blocks=BLOCKS):
    """Write a vocabulary of (SMILES, sites) pairs to a folder; return the path of the file."""
    path = folder / "vocabulary.json"
    path.write_text(json.dumps([describe_block(smiles, sites) for smiles, sites in blocks]), encoding="utf-8")
    return str(path)
