"""A policy that folds RNA with a learned dynamic programme, and a network that corrects it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from al_loop.environments.base import Environment
from al_loop.gflownet.policies.pairing import PairingPolicy

_CAN_PAIR = torch.tensor([[0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]], dtype=torch.bool)  # of ACGU
_LEAST = 4  # distance of two positions that are paired
_REACH = 6  # most unpaired positions on a side of an interior loop
_NEVER = -1e4
_GAIN = 5.0  # of the learned log-weights, which are far apart


class FoldingPolicy(PairingPolicy):
    """Log-weights of the loops of an RNA, summed over all nested structures, as a first guess of each decision.

    Hairpins, stacks and interior loops have log-weights that depend on their letters and lengths, and are learned with
    the network. Sums over the structures of each region (after McCaskill 1990) take cubic time in the length; branched
    loops are only approximated. The network of ``PairingPolicy`` adds its logits, for what this misses.

    Args:
        environment: pairings of words of the letters ACGU, one-hot in this order.
        hidden: width of the network.
        layers: number of layers of the recurrent network.
        n_conditions: not supported, must be 0.
        heads: not supported, must be 1.

    Raises:
        ValueError: the environment is another one.
    """

    kind = "folding"

    def __init__(
        self, environment: Environment, hidden: int = 64, layers: int = 1, n_conditions: int = 0, heads: int = 1
    ) -> None:
        super().__init__(environment, hidden, layers, n_conditions, heads)
        if self._width < len(_CAN_PAIR):
            raise ValueError(f"policy: folding requires four letters, got {self._width} numbers for each position")
        del self.stack
        self.hairpin = nn.Parameter(torch.full((self._length + 1,), -8.0 / _GAIN))  # by its length
        self.mismatch = nn.Parameter(torch.zeros(16, 16))  # the pair that closes a hairpin, and the letters inside
        self.stacked = nn.Parameter(torch.full((16, 16), 3.0 / _GAIN))  # a pair, and the one inside
        self.interior = nn.Parameter(torch.full((_REACH + 1, _REACH + 1), -4.0 / _GAIN))  # unpaired left and right
        self.outer, self.inner, self.exterior = (nn.Parameter(torch.zeros(16)) for _ in range(3))  # by the pair
        self.branch = nn.Parameter(torch.tensor(-4.0 / _GAIN))
        self.network = nn.Parameter(torch.tensor(0.1))  # its share in the logits
        offsets = torch.cartesian_prod(torch.arange(_REACH + 1), torch.arange(_REACH + 1))
        self._left: Tensor
        self._right: Tensor
        self.register_buffer("_left", offsets[:, 0], persistent=False)
        self.register_buffer("_right", offsets[:, 1], persistent=False)

    @property
    def _share(self) -> Tensor:
        return self.network

    def _pairs(self, letters: Tensor) -> Tensor:
        """Return four tables for each sequence, shape n x 4 x length + 1 x length + 1.

        They have the log-weight of the hairpin that each pair closes, the log-sums over all structures inside each
        pair, and over all structures of a region (by its first position and its end), and the number of each pair.
        """
        n_letters, length = len(_CAN_PAIR), self._length
        position = torch.arange(length, device=letters.device)
        is_letter = letters[..., :n_letters].sum(2) > 0
        letter = letters[..., :n_letters].argmax(2)
        pair = n_letters * letter[:, :, None] + letter[:, None]
        apart = position - position[:, None]
        can_pair = _CAN_PAIR.to(letters.device).flatten()[pair] & is_letter[:, :, None] & is_letter[:, None]
        can_pair = can_pair & (apart >= _LEAST)
        hairpin = _GAIN * (self.hairpin[(apart - 1).clamp(min=0)] + self.mismatch[pair, pad(pair, (1, -1, -1, 1))])
        hairpin = torch.where(can_pair, hairpin, _NEVER)
        closed = self._closed(hairpin, can_pair, pair)
        region = self._regions(closed + _GAIN * self.exterior[pair])
        more = (0, 1, 0, 1)
        tables = [pad(hairpin, more, value=_NEVER), pad(closed, more, value=_NEVER), region, pad(pair, more).float()]
        return torch.stack(tables, 1)

    def _loop(self, outer: Tensor, inner: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """Return the log-weights of the loops between two pairs.

        Args:
            outer: number of the outer pair.
            inner: number of the inner pair.
            left: unpaired positions on the left, at most ``_REACH``.
            right: on the right.
        """
        interior = self.interior[left, right] + self.outer[outer] + self.inner[inner]
        return _GAIN * torch.where(left + right == 0, self.stacked[outer, inner], interior)

    def _closed(self, hairpin: Tensor, can_pair: Tensor, pair: Tensor) -> Tensor:
        """Return the log-sum over all structures inside each pair, shape n x length x length."""
        n, length, _ = hairpin.shape
        closed = torch.full((n, length * length), _NEVER, device=hairpin.device)
        for apart in range(_LEAST, length):
            i = torch.arange(length - apart, device=hairpin.device)
            j = i + apart
            k, m = i[:, None] + 1 + self._left, j[:, None] - 1 - self._right
            is_inner = m - k >= _LEAST
            k, m = k.where(is_inner, 0), m.where(is_inner, 0)
            inner = closed.gather(1, (k * length + m).flatten().expand(n, -1)).view(n, *k.shape)
            loop = self._loop(pair[:, i, j][..., None], pair[:, k, m], self._left, self._right)
            inner = torch.where(is_inner, inner + loop, _NEVER)
            total = torch.cat([hairpin[:, i, j][..., None], inner], 2).logsumexp(2)
            total = torch.where(can_pair[:, i, j], total, _NEVER)
            closed = closed.scatter(1, (i * length + j).expand(n, -1), total)
        return closed.view(n, length, length)

    def _regions(self, closed: Tensor) -> Tensor:
        """Return the log-sum over all structures of each region, shape n x length + 1 x length + 1."""
        n, length, _ = closed.shape
        end = torch.arange(length + 1, device=closed.device)
        rows = [torch.where(end == length, 0.0, _NEVER).expand(n, -1)]  # from the last
        for i in range(length - 1, -1, -1):
            total = rows[0]  # the position is alone
            if i + _LEAST < length:
                after = torch.stack(rows[_LEAST : length - i], 1)  # of the pair with each later position
                paired = (closed[:, i, i + _LEAST :, None] + after).logsumexp(1)
                total = torch.logaddexp(total, paired)
            rows.insert(0, torch.where(end == i, 0.0, torch.where(end < i, _NEVER, total)))
        return torch.stack(rows, 1)

    def _known(self, pairs: Tensor, partners: Tensor, first: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
        length, device = self._length, first.device
        row = torch.arange(len(pairs), device=device).repeat_interleave(len(first) // len(pairs))
        hairpin, closed, region, number = pairs.unbind(1)
        number = number.long()
        _, n_branches, _ = self._loop_so_far(partners, first, end)
        opener = partners.gather(1, end.clamp(max=length - 1)[:, None])[:, 0]
        in_loop = (end < length) & (opener < first)
        here, position = first.clamp(max=length - 1), torch.arange(length, device=device)
        opener = opener.where(in_loop, 0)
        at_end = end[:, None]
        # the position is paired
        inside = closed[row, here][:, :length]
        pair = number[row, here][:, :length]
        after = region[row[:, None], position + 1, at_end]
        branched = _GAIN * self.branch + inside + after
        left, right = (first - opener - 1)[:, None], at_end - 1 - position
        is_near = (left <= _REACH) & (right >= 0) & (right <= _REACH) & (n_branches == 0)[:, None]
        near = self._loop(
            number[row, opener, end.clamp(max=length)][:, None], pair, left.clamp(0, _REACH), right.clamp(0, _REACH)
        )
        looped = torch.logaddexp(branched, torch.where(is_near, inside + near, _NEVER))
        paired = torch.where(in_loop[:, None], looped, inside + _GAIN * self.exterior[pair] + after)
        # it is alone
        rest = region[row, here + 1, end]
        k, m = opener[:, None] + 1 + self._left, at_end - 1 - self._right
        is_inner = (k > first[:, None]) & (m - k >= _LEAST)
        k, m = k.clamp(max=length - 1).where(is_inner, 0), m.where(is_inner, 0)
        loop = self._loop(number[row, opener, end][:, None], number[row[:, None], k, m], self._left, self._right)
        later = torch.where(is_inner, closed[row[:, None], k, m] + loop, _NEVER).logsumexp(1)
        none = torch.where(n_branches == 0, hairpin[row, opener, end], 0.0)
        in_first = torch.where(n_branches == 0, torch.logaddexp(none, later), none)
        alone = torch.where(in_loop, torch.logaddexp(in_first, _GAIN * self.branch + rest), rest)
        known = torch.where(position == first[:, None], alone[:, None], paired)
        return known, region[row, here, end]
