"""Children of two closed trees: a half of one, bonded to a half of the other."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from al_loop.environments.fragments.closing import Closing
from al_loop.environments.fragments.pattern_trees import Bonds, TreeWriter
from al_loop.environments.fragments.states import SizeLimits

_N_ATTEMPTS = 20


def cross(
    a: Tensor, b: Tensor, generator: torch.Generator, closing: Closing, limits: SizeLimits
) -> tuple[Tensor, Tensor]:
    """Return a child of each pair of molecules; see ``Fragments.crossover``.

    Args:
        a: terminal states, shape n x state_size.
        b: terminal states, shape n x state_size.
        generator: source of all randomness.
        closing: of the vocabulary, on the CPU.
        limits: sizes of the children.

    Returns:
        Terminal states, shape n x state_size, and a bool mask of those that are children, shape n.
    """
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    choice, writer = random.Random(seed), TreeWriter(closing, limits)
    parents = a.tolist()
    children = [_child(writer, choice, x, y) for x, y in zip(parents, b.tolist(), strict=True)]
    rows = [parent if child is None else child for parent, child in zip(parents, children, strict=True)]
    states = torch.tensor(rows, dtype=torch.int64, device=a.device).reshape(-1, limits.state_size)
    return states, torch.tensor([child is not None for child in children], dtype=torch.bool, device=a.device)


def _child(writer: TreeWriter, choice: random.Random, a: list[int], b: list[int]) -> list[int] | None:
    trees = writer.read(a), writer.read(b)
    for _ in range(_N_ATTEMPTS):
        (first, i, site_i), (second, j, site_j) = (_half(choice, *tree) for tree in trees)
        if not writer.may_join(first[0][i], site_i, second[0][j], site_j):
            continue
        shift = len(first[0])
        moved: Bonds = [{s: (to + shift, t) for s, (to, t) in own.items()} for own in second[1]]
        bonds = [*map(dict, first[1]), *moved]
        bonds[i][site_i] = j + shift, site_j
        bonds[j + shift][site_j] = i, site_i
        row = writer.write([*first[0], *second[0]], bonds)
        if not isinstance(row, str):
            return row
    return None


def _half(choice: random.Random, blocks: list[int], bonds: Bonds) -> tuple[tuple[list[int], Bonds], int, int]:
    """Return one side of a random bond, with the block and the site that had the bond."""
    begin = choice.randrange(len(blocks))
    site = choice.choice(sorted(bonds[begin]))
    beyond = bonds[begin][site][0]
    members = [begin]
    for member in members:
        members += [to for to, _ in bonds[member].values() if to not in members and (member, to) != (begin, beyond)]
    number = {old: new for new, old in enumerate(members)}
    kept = [{s: (number[to], t) for s, (to, t) in bonds[old].items() if to in number} for old in members]
    return ([blocks[old] for old in members], kept), 0, site
