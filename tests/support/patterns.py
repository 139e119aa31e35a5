"""Small vocabularies of patterns for the fragment environment."""

from al_loop.environments.fragments.vocabulary_building import VocabularyBuilder, survey

#: with symmetric blocks, several blocks of the root's kind, stereocentres, double bonds and charges
MOLECULES = [
    "C[C@H](F)c1ccccc1",
    "C[C@@H](F)c1ccccc1",
    "CC(F)c1ccccc1",
    "Cc1ccc(C)cc1",
    "Fc1ccc(F)cc1",
    "C/C=C/c1ccc(F)cc1",
    "Cc1ccc(-c2ccccc2)cc1",
    "c1ccccc1/C=C/c1ccccc1",
    "c1ccccc1/C=C\\c1ccccc1",
    "C[NH+](C)Cc1ccccc1",
    "C[C@H](N)c1ccc(F)cc1",
    "CO[C@@H](C)c1ccccc1",
]


def write_vocabulary(folder, molecules=MOLECULES, size=100):
    """Write the vocabulary of molecules to a folder; return the path of the file."""
    path = folder / "patterns.json"
    path.write_bytes(VocabularyBuilder(survey(molecules), {"file": "test"}).build(size).to_bytes())
    return str(path)
