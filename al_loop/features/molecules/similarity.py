"""Similarity of molecules by all of their substructures, whose identifiers are too many for the columns of a matrix.

A row lists the distinct identifiers of a molecule and how often each occurs. Compared with n reference molecules, a
molecule takes the sum of a few dozen rows of a table, one for each of its identifiers, instead of a product of two wide
matrices.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Counts(NamedTuple):
    """Distinct identifiers of molecules and their counts.

    Args:
        ids: ... x m, int64; distinct where the count is above 0.
        counts: ... x m, int64; 0 where there is no identifier.
    """

    ids: Tensor
    counts: Tensor

    def trimmed(self) -> Counts:
        """Return the same counts with as few columns as there may be, if all zeros are behind the others."""
        n_used = int((self.counts > 0).sum(-1).max()) if self.counts.numel() else 0
        return Counts(self.ids[..., :n_used], self.counts[..., :n_used])


class SharedCounts:
    """A table of n reference molecules that counts what other molecules share with them.

    Args:
        reference: n molecules.
        is_minimum: whether to sum the minima of counts over identifiers, rather than their products.
    """

    def __init__(self, reference: Counts, is_minimum: bool) -> None:
        ids, counts = reference
        is_there = counts > 0
        self._ids, column = torch.unique(ids[is_there], return_inverse=True)
        row = torch.arange(len(ids), device=ids.device)[:, None].expand_as(ids)[is_there]
        table = torch.zeros(len(self._ids) + 1, len(ids), dtype=torch.float32, device=ids.device)
        table[column, row] = counts[is_there].float()
        self._is_minimum = is_minimum
        if is_minimum:  # a row of the table for each count from 1 to the largest that occurs: min(count, level)
            self._highest = table.amax(1).long()[:-1]
            self._begins = self._highest.cumsum(0) - self._highest
            which = torch.repeat_interleave(torch.arange(len(self._ids), device=ids.device), self._highest)
            level = torch.arange(len(which), device=ids.device) - self._begins[which] + 1
            table = torch.minimum(table[which], level[:, None])
        self._table = table

    def __call__(self, molecules: Counts) -> Tensor:
        """Return what molecules share with each reference molecule: k x n, float32 (exact below 2^24)."""
        ids, counts = molecules
        if not len(self._ids) or not ids.numel():
            return torch.zeros(len(ids), self._table.shape[1], device=ids.device)
        column = torch.searchsorted(self._ids, ids.contiguous()).clamp(max=len(self._ids) - 1)
        is_shared = (self._ids[column] == ids) & (counts > 0)
        column, own = column[is_shared], counts[is_shared]
        offsets = is_shared.sum(1).cumsum(0)
        offsets = offsets - is_shared.sum(1)
        bag = torch.nn.functional.embedding_bag
        if self._is_minimum:
            rows = self._begins[column] + torch.minimum(own, self._highest[column]) - 1
            return bag(rows, self._table, offsets, mode="sum")
        return bag(column, self._table, offsets, mode="sum", per_sample_weights=own.float())


def shared_in_groups(a: Counts, b: Counts, is_minimum: bool) -> Tensor:
    """Return what molecules of small groups share: groups x p x m and groups x q x m -> groups x p x q, float32.

    Args:
        a: the first molecules of each group.
        b: the second molecules of each group.
        is_minimum: whether to sum the minima of counts over identifiers, rather than their products.
    """
    a, b = a.trimmed(), b.trimmed()
    ids = torch.cat([a.ids.flatten(-2), b.ids.flatten(-2)], -1)
    order = ids.sort(-1)
    is_first = torch.ones_like(ids, dtype=torch.bool)
    is_first[..., 1:] = order.values[..., 1:] != order.values[..., :-1]
    column = torch.zeros_like(ids).scatter_(-1, order.indices, is_first.long().cumsum(-1) - 1)
    n_a = a.ids.shape[-2] * a.ids.shape[-1]

    def dense(columns: Tensor, counts: Tensor) -> Tensor:
        empty = torch.zeros(*counts.shape[:-1], ids.shape[-1], device=ids.device)
        return empty.scatter_add_(-1, columns.reshape(counts.shape), counts.float())

    A, B = dense(column[..., :n_a], a.counts), dense(column[..., n_a:], b.counts)
    if not is_minimum:
        return A @ B.transpose(-1, -2)
    return torch.stack([torch.minimum(A, other.unsqueeze(-2)).sum(-1) for other in B.unbind(-2)], -1)


def tanimoto(shared: Tensor, total_a: Tensor, total_b: Tensor) -> Tensor:
    """Return shared / (total_a + total_b - shared), 1 for two empty molecules: ... x p x q, float64.

    Args:
        shared: ... x p x q, sums of minima, or dot products.
        total_a: ... x p, sums of counts, or squared norms.
        total_b: ... x q, sums of counts, or squared norms.
    """
    shared = shared.double()
    union = total_a.double().unsqueeze(-1) + total_b.double().unsqueeze(-2) - shared
    return torch.where(union == 0, 1.0, shared / union)
