import pytest

from al_loop.environments.fragments.vocabulary_building import VocabularyBuilder, survey


def blocks_of(molecules):
    return {block.smiles for block in VocabularyBuilder(survey(molecules), {}).build(100).blocks}


@pytest.mark.parametrize("mapped", ["[CH3:1]c1ccccc1F", "[CH3:1][c:2]1[cH:3][cH:4][cH:5][cH:6][c:7]1[F:8]"])
def test_map_numbers_of_atoms_are_no_part_of_a_block(mapped):
    assert blocks_of([mapped]) == blocks_of(["Cc1ccccc1F"])
