"""A policy that pairs the positions of an observed sequence from left to right."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from al_loop.environments.base import Environment
from al_loop.environments.pairing import Pairings
from al_loop.gflownet.conditioned import Conditioned
from al_loop.gflownet.policies._observed import ObservedPolicy
from al_loop.gflownet.policies.base import Context, Logits

_LARGEST = 6  # of counts that are told apart


class PairingPolicy(ObservedPolicy):
    """A recurrent network reads the sequence, and the next position points at its partner.

    The choice sees the position, the end of its region, the loop that is being built (what came before, its branches
    and its unpaired positions), and of each partner the unpaired positions that it would leave in an interior loop.

    Args:
        environment: pairings under conditions that have as many numbers for each position.
        hidden: width of the network.
        layers: number of layers of the recurrent network.
        n_conditions: not supported, must be 0.
        heads: not supported, must be 1.

    Raises:
        ValueError: the environment is another one.
    """

    kind = "pairing"
    is_markov = False

    def __init__(
        self, environment: Environment, hidden: int = 64, layers: int = 1, n_conditions: int = 0, heads: int = 1
    ) -> None:
        if not isinstance(environment, Conditioned) or not isinstance(environment.environment, Pairings):
            raise ValueError("policy: pairing requires pairings under conditions")
        space = environment.environment
        super().__init__(environment, space.length, "positions", n_conditions, heads)
        self._space = space
        self.reader = nn.GRU(self._width, hidden, layers, batch_first=True, bidirectional=True)
        self.end = nn.Parameter(torch.zeros(2 * hidden))
        self.merge = nn.Linear(2 * hidden, hidden)
        self.loop = nn.ModuleList([nn.Embedding(size, hidden) for size in (4, 3, _LARGEST + 1, self._length + 2)])
        self.query = nn.Linear(3 * hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.partner = nn.Linear(hidden, hidden)
        self.gap = nn.Embedding(4 * (_LARGEST + 1) ** 2, 1)
        self.stack = nn.Linear(2 * self._width**2, 1)
        self.out = nn.Linear(hidden, 2)

    @property
    def _share(self) -> Tensor | float:
        """The factor of the network's logits."""
        return 1.0

    def _encode(self, states: Tensor) -> Tensor:
        """Return the positions and the end as the network reads them, shape n x length + 1 x hidden."""
        letters = self._observed(states)
        read, _ = self.reader(letters)
        return self.merge(torch.cat([read, self.end.expand(len(states), 1, -1)], 1))  # type: ignore[no-any-return]

    def _outputs(self, encoded: Tensor, pairs: Tensor, states: Tensor) -> Tensor:
        """Return the logits of the partners and the log-flow, shape n x T x length + 1.

        Args:
            encoded: the encodings of n sequences.
            pairs: scores of the letters of their pairs, shape n x length x length.
            states: states of each, shape n x T x state_size.
        """
        n, steps, _ = states.shape
        length, flat = self._length, states.flatten(0, 1)[:, 1:]
        partners = flat[:, 1:]
        first, end = self._space.current(flat)
        before, n_branches, n_alone = self._loop_so_far(partners, first, end)
        counts = (before, n_branches.clamp(max=2), n_alone.clamp(max=_LARGEST), (end - first).clamp(min=0))
        context = sum(layer(count) for layer, count in zip(self.loop, counts, strict=True)).view(n, steps, -1)
        here, there = (_rows(encoded, place.view(n, steps)) for place in (first, end))
        q = leaky_relu(self.query(torch.cat([here, there, context], 2)))
        position = torch.arange(length, device=states.device)
        right = (end[:, None] - position - 1).clamp(min=0, max=_LARGEST)
        loop = (before[:, None] * (_LARGEST + 1) + n_alone.clamp(max=_LARGEST)[:, None]) * (_LARGEST + 1) + right
        keys = self.key(encoded[:, :length]).transpose(1, 2)
        scores = q @ keys + self.partner(here) @ encoded[:, :length].transpose(1, 2)
        scores = scores / encoded.shape[2] ** 0.5 + self.gap(loop)[..., 0].view(n, steps, length)
        alone, flow = self.out(q).unbind(2)
        logits = torch.where((position == first[:, None]).view(n, steps, length), alone[..., None], scores)
        known, known_flow = self._known(pairs, partners, first, end)
        logits = self._share * logits + known.view(n, steps, length)
        return torch.cat([logits, (flow + known_flow.view(n, steps))[..., None]], 2)

    def _known(self, pairs: Tensor, partners: Tensor, first: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
        """Return what to add to the logits of n sequences in T states each, n T x length, and to the log-flow, n T.

        Args:
            pairs: what ``_pairs`` returns for each sequence.
            partners: partners of each state, shape n T x length.
            first: the position of each state, shape n T.
            end: the end of its region.
        """
        n, length = len(pairs), self._length
        rows = _rows(pairs, first.clamp(max=length - 1).view(n, -1)).flatten(0, 1)
        position = torch.arange(length, device=first.device)
        return torch.where(position == first[:, None], 0.0, rows), torch.zeros(len(first), device=first.device)

    def _pairs(self, letters: Tensor) -> Tensor:
        """Return the scores of the letters of each pair, and of the next pair inside, shape n x length x length."""
        pair = torch.einsum("niw,njv->nijwv", letters, letters).flatten(3)
        inside = torch.nn.functional.pad(pair[:, 1:, :-1], (0, 0, 1, 0, 0, 1))
        return self.stack(torch.cat([pair, inside], 3))[..., 0]  # type: ignore[no-any-return]

    def _pairs_of(self, states: Tensor) -> Tensor:
        """Return ``_pairs`` of the observations of states, computed once for each of them."""
        letters, row = self._observed_once(states)
        return self._pairs(letters)[row]

    def _loop_so_far(self, partners: Tensor, first: Tensor, end: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what came before the position, and the branches and lone positions of its loop so far, shape n each.

        What came before is nothing (0), a lone position (1), an opening (2) or a closing (3).
        """
        length = self._length
        position = torch.arange(length, device=partners.device)
        previous = partners.gather(1, (first - 1).clamp(min=0)[:, None])[:, 0]
        at = first - 1
        before = torch.where(previous == at, 1, torch.where(previous > at, 2, 3))
        before = torch.where(first == 0, 0, before)
        # the loop begins after the position whose partner is the end of the region, or at the start of the sequence
        opener = partners.gather(1, end.clamp(max=length - 1)[:, None])[:, 0]
        begin = torch.where((end < length) & (opener < first), opener, -1)[:, None]
        is_left = (position > begin) & (position < first[:, None])
        # positions under a branch of the loop do not belong to it
        cover = torch.where(is_left & (partners > position) & (partners < length), partners, -1).cummax(1).values
        is_under = torch.nn.functional.pad(cover, (1, 0), value=-1)[:, :-1] >= position
        in_loop = is_left & ~is_under
        return (
            before,
            (in_loop & (partners > position)).sum(1),
            (in_loop & (partners == position)).sum(1),
        )

    def _at(self, states: Tensor) -> Tensor:
        return self._outputs(self._encode(states), self._pairs_of(states), states[:, None])[:, 0]

    def forward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        return self._at(states)[:, :-1]

    def backward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        return torch.zeros(len(states), 1, device=states.device)

    def log_flow(self, states: Tensor, context: Context | None = None) -> Tensor:
        return self._at(states)[:, -1]

    def along(self, states: Tensor, context: Context | None = None) -> Logits:
        """Return all outputs along whole trajectories, for which each sequence is read once."""
        steps, n, _ = states.shape
        encoded, pairs = self._encode(states[0]), self._pairs_of(states[0])
        outputs = self._outputs(encoded, pairs, states.transpose(0, 1)).transpose(0, 1)
        return Logits(outputs[..., :-1], torch.zeros(steps, n, 1, device=states.device), outputs[..., -1])

    def start_from(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return the encoded sequences of the roll-outs, and the scores of their pairs."""
        return self._encode(states), self._pairs_of(states)

    def next_logits(self, states: Tensor, context: Context | None, memory: Any, rows: Tensor | None) -> Tensor:
        encoded, pairs = memory if rows is None else (part.index_select(0, rows) for part in memory)
        return self._outputs(encoded, pairs, states[:, None])[:, 0, :-1]


def _rows(table: Tensor, index: Tensor) -> Tensor:
    """Return rows of each table, shape n x T x width.

    Args:
        table: n tables, shape n x m x width.
        index: rows of each, shape n x T.
    """
    return table.gather(1, index[..., None].expand(-1, -1, table.shape[2]))
