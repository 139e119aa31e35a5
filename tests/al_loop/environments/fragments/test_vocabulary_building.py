import pytest

from al_loop.environments.fragments.vocabulary_building import VocabularyBuilder, survey


def blocks_of(molecules):
    return {block.smiles for block in VocabularyBuilder(survey(molecules), {}).build(100).blocks}


@pytest.mark.parametrize("mapped", ["[CH3:1]c1ccccc1F", "[CH3:1][c:2]1[cH:3][cH:4][cH:5][cH:6][c:7]1[F:8]"])
def test_map_numbers_of_atoms_are_no_part_of_a_block(mapped):
    assert blocks_of([mapped]) == blocks_of(["Cc1ccccc1F"])


@pytest.mark.parametrize(
    ("molecule", "reason"),
    [
        ("C[C@H]1[C@H](C)[C@H](O)[C@H](F)[C@H](Cl)[C@H](N)[C@H]1Br", "more than 5 attachment points"),
        ("C[C@H]1CC[C@H]2[C@@H]3CC[C@H]4CCCC[C@]4(C)[C@H]3CC[C@]12C", "more than 6 stereocentres"),
        (f"CC1{'C' * 30}1", "more than 30 heavy atoms"),
        ("c1ccccc1", "no attachment point"),
    ],
)
def test_what_cannot_be_a_block_is_kept_with_the_reason(molecule, reason):
    builder = VocabularyBuilder(survey(["Cc1ccccc1F", molecule]), {})
    builder.build(100)
    assert list(builder.refused) == [reason]
