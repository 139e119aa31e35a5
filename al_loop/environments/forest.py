"""Labelled binary trees over a sequence, built by merging the trees of a forest, or by splitting from the root down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import one_hot

from al_loop.environments.base import Environment
from al_loop.system.checks import whole_number

#: in which the nodes of a tree arise
Order = Literal["any", "left_to_right", "top_down"]


class Forests(Environment):
    """Binary trees whose inner nodes have labels, over the words of a sequence.

    A node is identified with the gap between two words at which its two children meet. A state has the number of words
    in the first column, then for each gap the label of its node (``len(labels)`` if there is none yet), the first word
    under it, and the last (-1 without a node). The action ``gap * len(labels) + label`` merges the two trees that meet
    at a gap, so that nodes arise before their parents; from the root down, it splits the first part that has no node
    yet, so that they arise after them. ``start`` gives the initial states for other numbers of words than ``length``.

    Objects are written with the numbers of their words: ``(S 0 (NP 1 2))``.

    Args:
        labels: names of the labels, without blanks and parentheses.
        length: largest number of words, at least 2.
        order: ``any``; ``left_to_right``: no node ends before the one that arose before it, so that each tree has one
            history, that of a shift-reduce parser; ``top_down``: a node arises after its parent and its left sister,
            which is one history, too.

    Raises:
        ValueError: the labels are not distinct names, the length is below 2, or the order is unknown.
    """

    kind = "forest"
    has_stop = False
    length: int

    def __init__(
        self,
        labels: Annotated[Sequence[str], Field(min_length=1)],
        length: Annotated[int, Field(ge=2)],
        order: Order = "any",
    ) -> None:
        self.labels = list(labels)
        if not self.labels or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels: expected at least one name, none of them twice, got {self.labels!r}")
        if any(not label or set(label) & set(" ()") or label.isdigit() for label in self.labels):
            raise ValueError(f"labels: expected names without blanks and parentheses, got {self.labels!r}")
        whole_number("length", length, 2)
        if order not in get_args(Order):
            raise ValueError(f"order: {order!r} is not one of {', '.join(get_args(Order))}")
        self.order, self._is_any, self._is_top_down = order, order == "any", order == "top_down"
        self.length, self.n_labels, self.n_gaps = length, len(self.labels), length - 1
        self.n_actions, self.n_backward_actions = self.n_gaps * self.n_labels, self.n_gaps
        self.state_size, self.max_steps = 1 + 3 * self.n_gaps, self.n_gaps
        self.n_features = self.n_gaps * (self.n_labels + 3) + 1

    def initial(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        return self.start(torch.full((n,), self.length, dtype=torch.int64, device=device))

    def start(self, n_words: Tensor) -> Tensor:
        """Return the initial states of sequences, shape n x state_size.

        Args:
            n_words: number of words of each, from 2 to ``length``, shape n.
        """
        none = torch.full((len(n_words), self.n_gaps), self.n_labels, dtype=torch.int64, device=n_words.device)
        extent = torch.full((len(n_words), 2 * self.n_gaps), -1, dtype=torch.int64, device=n_words.device)
        return torch.cat([n_words[:, None], none, extent], 1)

    def nodes(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the label, the first and the last word of the node at each gap, shape n x n_gaps each."""
        return (
            states[:, 1 : 1 + self.n_gaps],
            states[:, 1 + self.n_gaps : 1 + 2 * self.n_gaps],
            states[:, 1 + 2 * self.n_gaps :],
        )

    def open_gaps(self, states: Tensor) -> Tensor:
        """Return a mask of the gaps at which two trees meet, shape n x n_gaps."""
        gap = torch.arange(self.n_gaps, device=states.device)
        return (states[:, 1 : 1 + self.n_gaps] == self.n_labels) & (gap < states[:, :1] - 1)

    def blocks(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first and the last word of the tree that contains each word, shape n x length each."""
        gap = torch.arange(self.n_gaps, device=states.device)
        is_open = self.open_gaps(states)
        starts = torch.nn.functional.pad(torch.where(is_open, gap + 1, 0), (1, 0))
        ends = torch.where(is_open, gap, states[:, :1] - 1)
        ends = torch.cat([ends, states[:, :1] - 1], 1)
        return starts.cummax(1).values, ends.flip(1).cummin(1).values.flip(1)

    def part(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first and the last word of the part that is split next from the root down, shape n each.

        Those of a finished tree are its last word.
        """
        gap = torch.arange(self.n_gaps, device=states.device)
        is_open = self.open_gaps(states)
        end = states[:, 0] - 1
        first = torch.where(is_open, gap, self.n_gaps).amin(1).minimum(end)
        is_end = ~is_open & (gap >= first[:, None])
        return first, torch.where(is_end, gap, self.n_gaps).amin(1).minimum(end)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        gap = (actions // self.n_labels)[:, None]
        if self._is_top_down:
            first, last = (place[:, None] for place in self.part(states))
        else:
            starts, ends = self.blocks(states)
            first, last = starts.gather(1, gap), ends.gather(1, gap + 1)
        after = states.scatter(1, 1 + gap, (actions % self.n_labels)[:, None])
        after = after.scatter(1, 1 + self.n_gaps + gap, first)
        return after.scatter(1, 1 + 2 * self.n_gaps + gap, last)

    def backward_step(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        gap = backward_actions[:, None]
        before = states.scatter(1, 1 + gap, self.n_labels)
        return before.scatter(1, 1 + self.n_gaps + gap, -1).scatter(1, 1 + 2 * self.n_gaps + gap, -1)

    def backward_action(self, states: Tensor, actions: Tensor) -> Tensor:
        return actions // self.n_labels

    def forward_action(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        label = states.gather(1, 1 + backward_actions[:, None])[:, 0]
        return backward_actions * self.n_labels + label.clamp(max=self.n_labels - 1)

    def forward_mask(self, states: Tensor) -> Tensor:
        """Return every label for each gap at which two trees meet, or the next part is split."""
        gaps = self.open_gaps(states)
        if self._is_top_down:
            gap = torch.arange(self.n_gaps, device=states.device)
            gaps = gaps & (gap < self.part(states)[1][:, None])
        elif not self._is_any:  # the second tree does not end before the last node
            _, last = self.blocks(states)
            gaps = gaps & (last[:, 1:] >= self._last_end(states))
        return gaps[:, :, None].expand(-1, -1, self.n_labels).flatten(1)

    def _last_end(self, states: Tensor) -> Tensor:
        """Return the last word of the node that ends last, shape n x 1; -1 without a node."""
        return self.nodes(states)[2].amax(1, keepdim=True)

    def backward_mask(self, states: Tensor) -> Tensor:
        """Return the gaps of the nodes that may have arisen last: roots, or from the root down, the last in order."""
        label, left, right = self.nodes(states)
        if self._is_top_down:  # a node comes after those that begin before it, and after its ancestors
            rank = torch.where(label < self.n_labels, left * self.length - right, -self.length)
            return (label < self.n_labels) & (rank == rank.amax(1, keepdim=True))
        first, last = self.blocks(states)
        is_root = (label < self.n_labels) & (left == first[:, :-1]) & (right == last[:, :-1])
        return is_root if self._is_any else is_root & (right == self._last_end(states))

    def is_terminal(self, states: Tensor) -> Tensor:
        return ~self.open_gaps(states).any(1)

    def features(self, states: Tensor) -> Tensor:
        """Return the one-hot label and the scaled extent of each node, and the scaled number of words."""
        label, left, right = self.nodes(states)
        hot = one_hot(label, self.n_labels + 1).flatten(1) if states.device.type != "meta" else _meta(label, self)
        numbers = torch.cat([left, right, states[:, :1]], 1) / self.length
        return torch.cat([hot.float(), numbers.float()], 1)

    def log_paths(self, states: Tensor) -> Tensor:
        """Return log(m! / product of the sizes of all subtrees) for a forest of m nodes (the hook length formula).

        In the other orders, there is one path.
        """
        label, left, right = self.nodes(states)
        if not self._is_any:
            return torch.zeros(len(states), dtype=torch.float64, device=states.device)
        is_node = label < self.n_labels
        size = torch.where(is_node, right - left, 1).double()
        return torch.lgamma(is_node.sum(1).double() + 1) - size.log().sum(1)

    def decode(self, states: Tensor) -> list[str]:
        parts = (*(part.tolist() for part in self.nodes(states)), states[:, 0].tolist())
        trees = []
        for labels, left, right, n_words in zip(*parts, strict=True):
            nodes = dict(zip(zip(left, right, strict=True), enumerate(labels), strict=True))
            trees.append(self._text(nodes, 0, n_words - 1))
        return trees

    def _text(self, nodes: dict[tuple[int, int], tuple[int, int]], first: int, last: int) -> str:
        """Return the tree over some words, given the gap and the label of each node by its extent."""
        if first == last:
            return str(first)
        gap, label = nodes[first, last]
        return f"({self.labels[label]} {self._text(nodes, first, gap)} {self._text(nodes, gap + 1, last)})"

    def encode(self, objects: Sequence[str]) -> Tensor:
        return torch.tensor([self._state_of(text) for text in objects], dtype=torch.int64).reshape(-1, self.state_size)

    def _state_of(self, text: str) -> list[int]:
        """Return the state of a tree in brackets."""
        tokens = text.replace("(", " ( ").replace(")", " ) ").split()
        nodes: list[tuple[int, int, int, int]] = []
        index = {label: i for i, label in enumerate(self.labels)}

        def read(position: int, first: int) -> tuple[int, int]:
            """Read a tree that starts with a word, and return the position after it and its last word."""
            token = tokens[position] if position < len(tokens) else ""
            if token.isdigit():
                if int(token) != first:
                    raise ValueError(f"{text!r}: expected the word {first}, got {token}")
                return position + 1, first
            if token != "(" or position + 1 >= len(tokens) or tokens[position + 1] not in index:
                raise ValueError(f"{text!r} is not a tree such as ({self.labels[0]} 0 1), with labels {self.labels}")
            after, gap = read(position + 2, first)
            after, last = read(after, gap + 1)
            if after >= len(tokens) or tokens[after] != ")":
                raise ValueError(f"{text!r}: a node has two children, and ends with a parenthesis")
            nodes.append((gap, index[tokens[position + 1]], first, last))
            return after + 1, last

        end, last = read(0, 0)
        if end != len(tokens) or not 2 <= last + 1 <= self.length:
            raise ValueError(f"{text!r}: expected one tree over 2 to {self.length} words")
        state = self.start(torch.tensor([last + 1]))[0].tolist()
        for gap, label, left, right in nodes:
            state[1 + gap], state[1 + self.n_gaps + gap], state[1 + 2 * self.n_gaps + gap] = label, left, right
        return state

    def vocabulary(self) -> list[Any]:
        return [*self.labels, *([] if self._is_any else [self.order]), self.length]


def _meta(label: Tensor, environment: Forests) -> Tensor:
    """Return the shape of one-hot labels, which torch cannot compute without values."""
    return label.new_empty(len(label), environment.n_gaps * (environment.n_labels + 1))
