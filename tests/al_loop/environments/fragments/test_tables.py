"""The look-up tables of the fragment environment, against the blocks that they describe."""

from dataclasses import fields

import pytest
import torch

from al_loop.environments.fragments.blocks import SHIPPED_VOCABULARY, read_blocks
from al_loop.environments.fragments.tables import SITE_CLASSES, FragmentTables


@pytest.fixture(scope="module")
def shipped():
    blocks = read_blocks(SHIPPED_VOCABULARY)
    return blocks, FragmentTables.of(blocks)


def test_sites_are_those_of_the_blocks(shipped):
    blocks, tables = shipped
    for i, block in enumerate(blocks, start=1):
        n = len(block.sites)
        assert [SITE_CLASSES[c] for c in tables.site_class[i, :n]] == block.classes
        assert (tables.site_class[i, n:] == -1).all()
        assert (int(tables.n_atoms[i]), int(tables.n_symmetries[i])) == (block.n_atoms, len(block.symmetries))
        assert int(tables.required[i]) == (-1 if block.required is None else block.required)


def test_entries_bond_one_site_of_each_orbit(shipped):
    blocks, tables = shipped
    for i, block in enumerate(blocks, start=1):
        for site in range(len(block.sites)):
            if block.required in (None, site):
                entry = tables.entry_of[i, site]
                assert int(tables.entry_block[entry]) == i
                assert int(tables.entry_site[entry]) == int(tables.to_first[i, site, site])
    pairs = list(zip(tables.entry_block.tolist(), tables.entry_site.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs) == tables.n_entries


def test_bonds_are_symmetric_and_touch_a_ring(shipped):
    _, tables = shipped
    assert torch.equal(tables.may_join, tables.may_join.T)
    ring = torch.tensor([c.startswith("ring") for c in SITE_CLASSES])
    assert not tables.may_join[~ring][:, ~ring].any()


def test_a_device_gets_every_table(shipped):
    _, tables = shipped
    moved = tables.to(torch.device("meta"))
    assert {getattr(moved, field.name).device.type for field in fields(moved)} == {"meta"}


def test_excluded_blocks_are_left_out_and_unknown_ones_are_named():
    blocks = read_blocks(SHIPPED_VOCABULARY, ["c1ccccc1"])
    assert "c1ccccc1" not in {block.smiles for block in blocks}
    with pytest.raises(ValueError, match=r"exclude: \['nope'\] are not blocks"):
        read_blocks(SHIPPED_VOCABULARY, ["nope"])
