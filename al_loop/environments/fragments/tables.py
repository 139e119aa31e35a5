"""Look-up tables of the fragment environment: sites, symmetries and possible bonds, as tensors."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from al_loop.environments.fragments.blocks import Block

SITE_CLASSES = ("ring_carbon", "ring_hetero", "carbon", "hetero", "sulfonyl")
#: classes of atoms that may be bonded: one end in a ring (so that the same rule cuts the bond again), and one end
#: carbon unless it is a sulfonamide (so that no N-O, N-N or N-halogen bond is formed)
_MAY_JOIN = {
    frozenset(pair)
    for pair in (
        ("ring_carbon",),
        ("ring_carbon", "ring_hetero"),
        ("ring_carbon", "carbon"),
        ("ring_carbon", "hetero"),
        ("ring_carbon", "sulfonyl"),
        ("ring_hetero", "carbon"),
        ("ring_hetero", "sulfonyl"),
    )
}
_MIXER = 0x9E3779B97F4A7C15 - (1 << 64)  # the golden-ratio constant of splitmix64, as a signed 64-bit number


def mix(x: Tensor) -> Tensor:
    """Hash 64-bit integers (splitmix64's finaliser with arithmetic shifts)."""
    x = x * _MIXER
    x = (x ^ (x >> 30)) * -4658895280553007687
    x = (x ^ (x >> 27)) * -7723592293110705685
    return x ^ (x >> 31)


@dataclass(frozen=True)
class FragmentTables:
    """Tensors that describe the blocks of a vocabulary, all on one device.

    Block index 0 means "empty" in every table, so that B is the number of blocks plus 1; S is the largest number of
    sites, P the largest number of symmetries of a block, E the number of entries, and C the number of site classes. An
    *entry* is a block together with the site by which it is bonded, one site of each orbit.

    Args:
        site_class: B x S, index into the classes (``SITE_CLASSES`` or those of the vocabulary); -1: no such site.
        entry_of: B x S, the entry that bonds a block by a site, or by the first equivalent one; at site 0, also the
            entry that places the block as the root.
        to_first: B x S x S, a symmetry that maps a site to the first equivalent one: the images of all sites.
        orbit_size: B x S, float, number of sites equivalent to a site.
        required: B, the site that must be bonded; -1: none.
        n_atoms: B, number of heavy atoms.
        n_symmetries: B, float, number of symmetries.
        symmetries: B x P x S, image of each site.
        is_symmetry: B x P, bool, False for padding.
        salts: B x P x S, a hash of each site, permuted by the symmetries.
        may_join: C x C, bool, whether sites of two classes may be bonded.
        entry_block: E, the block of each entry.
        entry_site: E, the site of each entry.
        entry_n_atoms: E, number of heavy atoms of the block.
        joins: C + 2 x E, bool, whether an entry may be bonded to a site of a class; the last rows: no block yet, and
            no site.
        least_atoms: C + 2, heavy atoms of the smallest block that may be bonded there.
    """

    site_class: Tensor
    entry_of: Tensor
    to_first: Tensor
    orbit_size: Tensor
    required: Tensor
    n_atoms: Tensor
    n_symmetries: Tensor
    symmetries: Tensor
    is_symmetry: Tensor
    salts: Tensor
    may_join: Tensor
    entry_block: Tensor
    entry_site: Tensor
    entry_n_atoms: Tensor
    joins: Tensor
    least_atoms: Tensor

    @property
    def n_sites(self) -> int:
        """Largest number of sites of a block."""
        return self.site_class.shape[1]

    @property
    def n_entries(self) -> int:
        """Number of entries."""
        return len(self.entry_block)

    def to(self, device: torch.device) -> FragmentTables:
        """Return the same tables on another device."""
        return FragmentTables(*(getattr(self, field.name).to(device) for field in fields(self)))

    @classmethod
    def of(
        cls,
        blocks: Sequence[Block],
        classes: Sequence[str] = SITE_CLASSES,
        joins: Collection[frozenset[str]] = frozenset(_MAY_JOIN),
    ) -> FragmentTables:
        """Build the tables of a vocabulary on the CPU.

        Args:
            blocks: the blocks.
            classes: classes of their sites.
            joins: pairs of classes that may be bonded; a class of its own with itself is a set of one.
        """
        n_blocks, n_sites = len(blocks), max(len(b.sites) for b in blocks)
        n_symmetries = max(len(b.symmetries) for b in blocks)
        site_class = torch.full((n_blocks + 1, n_sites), -1)
        entry_of = torch.zeros(n_blocks + 1, n_sites, dtype=torch.int64)
        to_first = torch.arange(n_sites).repeat(n_blocks + 1, n_sites, 1)
        orbit_size = torch.ones(n_blocks + 1, n_sites)
        required = torch.full((n_blocks + 1,), -1)
        n_atoms = torch.zeros(n_blocks + 1, dtype=torch.int64)
        symmetry_counts = torch.ones(n_blocks + 1)
        symmetries = torch.arange(n_sites).repeat(n_blocks + 1, n_symmetries, 1)
        is_symmetry = torch.zeros(n_blocks + 1, n_symmetries, dtype=torch.bool)
        is_symmetry[0, 0] = True
        entries: list[tuple[int, int]] = []
        root_entries: list[int] = []
        for i, block in enumerate(blocks, start=1):
            k = len(block.sites)
            site_class[i, :k] = torch.tensor([classes.index(c) for c in block.classes])
            required[i] = -1 if block.required is None else block.required
            n_atoms[i] = block.n_atoms
            symmetry_counts[i] = len(block.symmetries)
            symmetries[i, : len(block.symmetries), :k] = torch.tensor(block.symmetries)
            is_symmetry[i, : len(block.symmetries)] = True
            orbit_size[i, :k] = torch.tensor([float(len({p[s] for p in block.symmetries})) for s in range(k)])
            firsts = [min(p[s] for p in block.symmetries) for s in range(k)]
            for s, first in enumerate(firsts):
                to_first[i, s, :k] = torch.tensor(next(p for p in block.symmetries if p[s] == first))
            # a block is bonded by one site of each orbit: the others would give the same molecules
            bonding_sites = [s for s in range(k) if firsts[s] == s and block.required in (None, s)]
            root_entries += [len(entries)] if block.required is None else []
            for s in range(k):
                entry_of[i, s] = len(entries) + bonding_sites.index(firsts[s]) if firsts[s] in bonding_sites else 0
            entries += [(i, s) for s in bonding_sites]
        entry_block, entry_site = torch.tensor(entries).T.contiguous()
        is_root_entry = torch.zeros(len(entries), dtype=torch.bool)
        is_root_entry[root_entries] = True
        may_join = torch.tensor([[frozenset((a, b)) in joins for b in classes] for a in classes])
        no_entry = torch.zeros(1, len(entries), dtype=torch.bool)
        joins = torch.cat([may_join[:, site_class[entry_block, entry_site]], is_root_entry[None], no_entry])
        entry_n_atoms = n_atoms[entry_block]
        return cls(
            site_class=site_class,
            entry_of=entry_of,
            to_first=to_first,
            orbit_size=orbit_size,
            required=required,
            n_atoms=n_atoms,
            n_symmetries=symmetry_counts,
            symmetries=symmetries,
            is_symmetry=is_symmetry,
            salts=mix(torch.arange(1, n_sites + 1))[symmetries],
            may_join=may_join,
            entry_block=entry_block,
            entry_site=entry_site,
            entry_n_atoms=entry_n_atoms,
            joins=joins,
            least_atoms=torch.where(joins, entry_n_atoms, torch.iinfo(torch.int64).max).amin(1),
        )
