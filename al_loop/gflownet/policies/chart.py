"""A policy that parses a sequence with a learned weighted grammar, and a network that corrects it."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from al_loop.environments.base import Environment
from al_loop.environments.forest import Forests
from al_loop.gflownet.conditioned import Conditioned
from al_loop.gflownet.policies._observed import ObservedPolicy
from al_loop.gflownet.policies.base import Context, Logits

_NEVER = -1e4
_GAIN = 5.0  # of the learned log-weights, which are far apart
_MOST_CLASSES = 64  # of words


class ChartPolicy(ObservedPolicy):
    """Weights of the rules of a context-free grammar, summed over all trees, as a first guess of each split.

    Rules and classes of words have log-weights that are learned with the network. Sums over the trees of each part of
    a sequence come from the inside algorithm (Baker 1979), in cubic time in the length, once for each sequence; from
    the root down, they give the distribution of each split. The network sees the words around the split, the parent
    and the left sister, and adds its logits for what depends on more than the rules.

    Args:
        environment: forests from the root down, under conditions that have as many numbers for each word.
        hidden: width of the network.
        layers: number of layers of the recurrent network that reads the words.
        n_conditions: not supported, must be 0.
        heads: not supported, must be 1.

    Raises:
        ValueError: the environment is another one.
    """

    kind = "chart"
    is_markov = False
    #: whether the weight of a rule also depends on the left sister
    sees_sisters: ClassVar[bool] = False

    def __init__(
        self, environment: Environment, hidden: int = 64, layers: int = 1, n_conditions: int = 0, heads: int = 1
    ) -> None:
        space = environment.environment if isinstance(environment, Conditioned) else None
        if not isinstance(environment, Conditioned) or not isinstance(space, Forests) or space.order != "top_down":
            raise ValueError("policy: chart requires forests under conditions, with order: top_down")
        super().__init__(environment, space.length, "words", n_conditions, heads)
        self._space, self._k = space, space.n_labels
        self._n_classes = min(self._width, 2 * self._k, _MOST_CLASSES)
        self._n_symbols = self._k + self._n_classes
        #: contexts of a label: none, or none (the root and left children), each label of the left sister, and a word
        self._n_contexts = self._k + 2 if self.sees_sisters else 1
        self.root = nn.Parameter(torch.zeros(self._k))
        self.rule = nn.Parameter(0.1 * torch.randn(self._k, self._n_symbols, self._n_symbols))
        if self.sees_sisters:
            self.by_sister = nn.Parameter(torch.zeros(self._n_contexts, *self.rule.shape))
        self.word = nn.Linear(self._width, self._n_classes)
        self.reader = nn.GRU(self._width, hidden, layers, batch_first=True, bidirectional=True)
        self.part = nn.Linear(4 * hidden, hidden)
        self.halves = nn.Linear(4 * hidden, hidden)
        self.above = nn.ModuleList([nn.Embedding(size, hidden) for size in (self._k + 1, self._k + 2)])
        self.label = nn.Linear(hidden, self._k)
        self.flow = nn.Linear(hidden, 1)
        for layer in (self.label, self.flow):  # begin without corrections
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    # -- once for each sequence ----------------------------------------------------------------------------------------

    def _read(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what is computed once for each of the m sequences that n states have.

        Returns:
            The words as the network reads them, shape m x length x 2 hidden; the log-weights of the symbols of each
            part, by its width less 1 and its first word, shape m x length x length x contexts x symbols; those of its
            splits, shape m x length x length x n_gaps x contexts x labels; and the sequence of each state, shape n.
        """
        words, row = self._observed_once(states)
        read, _ = self.reader(words)
        return read, *self._chart(_GAIN * self.word(words)), row

    @property
    def _rules(self) -> Tensor:
        """The log-weights of the rules, shape contexts x labels x symbols x symbols."""
        return _GAIN * (self.rule + self.by_sister if self.sees_sisters else self.rule[None])

    def _context_of(self, sister: Tensor) -> Tensor:
        """Return the context that a left sister is, as ``_above`` returns it."""
        if not self.sees_sisters:
            return torch.zeros_like(sister)
        return torch.where(sister > self._k, 0, sister + 1)

    def _chart(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log-weights of the parts and of the splits of n sequences, as in ``_read``.

        Args:
            words: log-weights of the classes of each word, shape n x length x classes.
        """
        n, length, _ = words.shape
        k, n_contexts = self._k, self._n_contexts
        rules = self._rules.exp().permute(2, 3, 0, 1).flatten(2)  # left x right symbols x contexts and labels
        leaf = pad(words, (k, 0), value=_NEVER)[:, :, None].expand(-1, -1, n_contexts, -1)
        # by width: all parts of that width, shape n x length + 1 - width x contexts x symbols
        by_width: list[Tensor] = [leaf]
        splits = []
        for width in range(2, length + 1):
            n_parts = length + 1 - width
            left = torch.stack([by_width[w - 1][:, :n_parts, 0] for w in range(1, width)], 2)
            right = torch.stack([by_width[width - w - 1][:, w : w + n_parts] for w in range(1, width)], 2)
            largest = left.detach().amax(3, keepdim=True), right.detach().amax((3, 4), keepdim=True)
            pair = self._with_right((right - largest[1]).exp(), rules)
            weight = (pair * (left - largest[0]).exp()[..., None]).sum(3)
            split = weight.clamp(min=1e-30).log() + largest[0] + largest[1][..., 0]
            splits.append(split.unflatten(3, (n_contexts, k)))
            by_width.append(pad(splits[-1].logsumexp(2), (0, self._n_classes), value=_NEVER))
        parts = torch.stack([pad(row, (0, 0, 0, 0, 0, length - row.shape[1])) for row in by_width], 1)
        blank = words.new_full((n, length, length - 1, n_contexts, k), _NEVER)
        missing = [(length - 1 - row.shape[2], length - row.shape[1]) for row in splits]
        padded = [pad(row, (0, 0, 0, 0, 0, s, 0, p)) for row, (s, p) in zip(splits, missing, strict=True)]
        return parts, torch.stack([blank, *padded], 1)

    def _with_right(self, right: Tensor, rules: Tensor) -> Tensor:
        """Return the weights of the rules with each left symbol, summed over the right one.

        Args:
            right: weights of the right parts, shape ... x contexts x symbols.
            rules: weights of the rules, shape symbols x symbols x contexts and labels.

        Returns:
            The weights, shape ... x symbols x contexts and labels.
        """
        if not self.sees_sisters:
            of_all: Tensor = right[..., 0, :] @ rules.permute(1, 0, 2).flatten(1)
            return of_all.view(*of_all.shape[:-1], self._n_symbols, -1)
        nodes = torch.einsum("...bc,bcx->...bx", right[..., 1 : self._k + 1, :], rules[: self._k])
        words = right[..., self._k + 1, :] @ rules[self._k :].permute(1, 0, 2).flatten(1)
        return torch.cat([nodes, words.unflatten(-1, (self._n_classes, -1))], -2)

    # -- in each state -------------------------------------------------------------------------------------------------

    def _outputs(self, memory: tuple[Tensor, Tensor, Tensor, Tensor], states: Tensor) -> Tensor:
        """Return the logits of the actions and the log-flow, shape n x T x n_actions + 1.

        Args:
            memory: what ``_read`` returns for the first of them.
            states: n times T states, shape n x T x state_size.
        """
        read, parts, splits, sequence = memory
        n, steps, _ = states.shape
        space, trees = self._space, states.flatten(0, 1)[:, 1:]
        row = sequence.repeat_interleave(steps)
        first, last = space.part(trees)
        width = last - first
        above = self._above(trees, first, last)
        parent, sister, _, _ = above
        # the guess: by the parent and the sister, and by what is inside
        guess = self._by_parent(parts, row, trees, first, last, above)
        context = self._context_of(sister)
        gap = torch.arange(space.n_gaps, device=states.device)
        split = (gap - first[:, None]).clamp(min=0)
        known = guess[:, None] + splits[row[:, None], width[:, None], first[:, None], split, context[:, None]]
        # the network's correction
        last_word = self._length - 1
        at_part = torch.cat([read[row, first], read[row, last]], 1)
        around = torch.cat([read[:, :-1], read[:, 1:]], 2)
        hidden = self.part(at_part) + self.above[0](parent) + self.above[1](sister)
        learned = self.label(gelu(hidden[:, None] + self.halves(around)[row]))
        logits = (known + learned).flatten(1)
        is_start = (first == 0) & (last == (trees[:, 0] - 1).clamp(max=last_word)) & (parent == self._k)
        total = (guess + parts[row, width, first, 0, : self._k]).logsumexp(1)
        flow = self.flow(gelu(hidden))[:, 0] + torch.where(is_start, total, 0.0)
        return torch.cat([logits, flow[:, None]], 1).view(n, steps, -1)

    def _above(self, trees: Tensor, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the parent and the left sister of the part that is split next, shape n each.

        Args:
            trees: states of the forests.
            first: first words of the parts.
            last: last words.

        Returns:
            The label of the parent (``n_labels``: there is none); the label of the left sister (``n_labels`` if it is a
            word, ``n_labels + 1`` if there is none); and the first and the last word of the sister, left or right.
        """
        label, left, right = self._space.nodes(trees)
        gap = torch.arange(label.shape[1], device=label.device)
        is_node = label < self._k
        of_left = is_node & (left == first[:, None]) & (gap == last[:, None])
        of_right = is_node & (gap + 1 == first[:, None]) & (right == last[:, None])
        is_parent = of_left | of_right
        parent = torch.where(is_parent, label, self._k).amin(1)
        begin = torch.where(of_left, gap + 1, torch.where(of_right, left, -1)).amax(1).clamp(min=0)
        end = torch.where(of_left, right, torch.where(of_right, gap, -1)).amax(1).clamp(min=0)
        is_sister = is_node & (left == begin[:, None]) & (right == end[:, None])
        sister = torch.where(is_sister, label, self._k).amin(1)
        return parent, torch.where(of_right.any(1), sister, self._k + 1), begin, end

    def _by_parent(
        self, parts: Tensor, row: Tensor, trees: Tensor, first: Tensor, last: Tensor, above: tuple[Tensor, ...]
    ) -> Tensor:
        """Return the log-weights of the labels of parts by their parents and sisters, shape m x labels.

        Args:
            parts: log-weights of the symbols of all parts.
            row: the sequence of each part.
            trees: states of the forests.
            first: first words of the parts.
            last: last words.
            above: what ``_above`` returns for them.
        """
        k, (parent, sister, begin, end) = self._k, above
        rules = self._rules
        if self.sees_sisters:
            _, aunt, _, _ = self._above(trees, first.minimum(begin), last.maximum(end))
            rule = rules[self._context_of(aunt), parent.clamp(max=k - 1)]
        else:
            rule = rules[0, parent.clamp(max=k - 1)]
        weight = parts[row, end - begin, begin]  # of the symbols of the sister, by context
        symbol = torch.arange(self._n_symbols, device=row.device)
        of_label = weight[:, self._context_of(symbol[:k])]  # if it is to the right of each label
        as_left = (rule[:, :k] + of_label).logsumexp(2)
        known = torch.where(symbol == sister[:, None], 0.0, _NEVER)
        left = torch.where((sister < k)[:, None], known, weight[:, 0])
        as_right = (rule[:, :, :k] + left[..., None]).logsumexp(1)
        of_parent = torch.where((sister == k + 1)[:, None], as_left, as_right)
        return torch.where((parent == k)[:, None], _GAIN * self.root, of_parent)

    def forward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        return self._outputs(self._read(states), states[:, None])[:, 0, :-1]

    def backward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        return torch.zeros(len(states), self._space.n_backward_actions, device=states.device)

    def log_flow(self, states: Tensor, context: Context | None = None) -> Tensor:
        return self._outputs(self._read(states), states[:, None])[:, 0, -1]

    def along(self, states: Tensor, context: Context | None = None) -> Logits:
        """Return all outputs along whole trajectories, for which each sequence is read once."""
        steps, n, _ = states.shape
        outputs = self._outputs(self._read(states[0]), states.transpose(0, 1)).transpose(0, 1)
        backward = torch.zeros(steps, n, self._space.n_backward_actions, device=states.device)
        return Logits(outputs[..., :-1], backward, outputs[..., -1])

    def start_from(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what is computed once for each sequence of the roll-outs."""
        return self._read(states)

    def next_logits(self, states: Tensor, context: Context | None, memory: Any, rows: Tensor | None) -> Tensor:
        read, parts, splits, sequence = memory
        sequence = sequence if rows is None else sequence.index_select(0, rows)
        return self._outputs((read, parts, splits, sequence), states[:, None])[:, 0, :-1]
