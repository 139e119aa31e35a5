"""Probabilistic grammars of binary trees, context-free ones and others."""

from __future__ import annotations

import bisect
import itertools
import math
import random
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import one_hot

from al_loop.environments.forest import Forests, Order
from al_loop.latent.multinomial import MultinomialModel
from al_loop.latent.words import OfWords, Words, lengths_of
from al_loop.system.checks import one_of, whole_number

#: trials for each sentence before it counts as too unlikely to be of an accepted length
_TRIALS = 1000


class Grammar(OfWords, MultinomialModel):
    """A grammar whose rules turn a nonterminal into two symbols, nonterminals or preterminals, which emit a word.

    The latent of a sentence is its tree with the nonterminals; the preterminals are summed over, since given the tree
    they are independent of each other but for sisters. With ``context: sibling`` the rule of a right child also depends
    on the symbol of its left sister, so that the grammar is not context-free in its nonterminals: the inside algorithm
    of such nonterminals is wrong, and a sampler of trees is not. (The exact likelihood then comes from a larger
    context-free grammar, whose symbols are pairs of a nonterminal and a context.)

    Args:
        words: the words, as a text if each is one character, otherwise as a list.
        length: number of words of the longest sentence, at least 2.
        nonterminals: number of nonterminals.
        preterminals: number of preterminals.
        context: what the rule of a node depends on beside its nonterminal.
        smoothing: pseudo-count of each probability in the M-step.
        order: the order in which the sampler builds the nodes of a tree: ``any``; or one in which each tree has one
            history, so that the sampler has less to learn (and needs no backward policy: ``em.backward: uniform``):
            ``left_to_right``, or ``top_down``, where a learned grammar guesses (policies ``chart``, ``sister_chart``).
    """

    kind = "grammar"
    policy: ClassVar[str] = "forest"
    is_partial: ClassVar[bool] = True
    shortest: ClassVar[int] = 2

    def __init__(
        self,
        words: str | list[str],
        length: Annotated[int, Field(ge=2)] = 10,
        nonterminals: Annotated[int, Field(ge=1)] = 5,
        preterminals: Annotated[int, Field(ge=1)] = 5,
        context: Literal["none", "sibling"] = "none",
        smoothing: Annotated[float, Field(ge=0, le=1e9)] = 0.01,
        order: Order = "any",
    ) -> None:
        arguments: dict[str, Any] = {"nonterminals": nonterminals, "preterminals": preterminals, "context": context}
        if order != "any":
            arguments["order"] = order
        super().__init__(smoothing, words=words, length=length, **arguments)
        for name, value, least in (
            ("nonterminals", nonterminals, 1),
            ("preterminals", preterminals, 1),
            ("length", length, 2),
        ):
            whole_number(name, value, least)
        one_of("context", context, ("none", "sibling"))
        self.words = Words(words, length)
        self._order = order
        if order == "top_down":  # partial trees lack the ends of rules
            self.policy = "sister_chart" if context == "sibling" else "chart"  # type: ignore[misc]
            self.is_partial = False  # type: ignore[misc]
        self._k, self._n_symbols = nonterminals, nonterminals + preterminals
        #: contexts of a node: none (the root and left children), each left sister, and a word as the left sister
        self._n_contexts = nonterminals + 2 if context == "sibling" else 1
        n_words, n_pairs = len(self.words.letters), self._n_symbols**2
        self.root = _uniform(nonterminals)
        self.rule = _uniform(nonterminals, self._n_contexts, n_pairs)
        self.emission = _uniform(preterminals, n_words)

    def tables(self) -> list[nn.Parameter]:
        return [self.root, self.rule, self.emission]

    def latents(self) -> Forests:
        return Forests([f"N{i}" for i in range(self._k)], self.words.length, self._order)

    def starts(self, x: Tensor) -> Tensor:
        return self.latents().start(lengths_of(x))

    def explain(self, x: Tensor, z: Tensor) -> list[str]:
        """Return trees in brackets, with the words."""
        rows = self.words.texts(x)
        separator = " " if any(len(word) > 1 for word in self.words.letters) else None
        texts = []
        for tree, row in zip(self.latents().decode(z), rows, strict=True):
            names = row.split(separator) if separator else list(row)
            tokens = tree.replace("(", "( ").replace(")", " )").split()
            text = " ".join(names[int(token)] if token.isdigit() else token for token in tokens)
            texts.append(text.replace("( ", "(").replace(" )", ")"))
        return texts

    def randomise(self, generator: torch.Generator, concentration: float = 1.0, branching: float = 0.3) -> None:
        """Set the tables to random distributions.

        Args:
            generator: source of all randomness.
            concentration: how similar the entries of a distribution are, above 0.
            branching: mean share of nonterminals among the symbols of a rule; sentences are finite below 0.5.
        """
        super().randomise(generator, concentration)
        with torch.no_grad():
            is_node = (torch.arange(self._n_symbols) < self._k).double()
            share = branching * is_node + (1 - branching) * (1 - is_node)
            pair = (share[:, None] * share).flatten().log()
            self.rule.copy_((self.rule + pair).log_softmax(-1))

    def initialise(self, x: Tensor, generator: torch.Generator) -> None:
        """Set the tables to random distributions near the uniform one."""
        self.randomise(generator, 2.0)

    # -- trees ---------------------------------------------------------------------------------------------------------

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        label, left, right = self.latents().nodes(z)
        is_root = (left == 0) & (right == z[:, :1] - 1) & (label < self._k)
        root = torch.where(is_root, self.root[label.clamp(max=self._k - 1)], 0.0).sum(1)
        return self._log_nodes(x, z) + root

    def log_partial(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the log-probabilities of the nodes so far; a complete tree has that of its root, too."""
        return self.log_joint(x, z)

    def _log_nodes(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the sum of the log-probabilities of all nodes' rules and of the words that they emit, shape n."""
        label, left, right = self.latents().nodes(z)
        gap = torch.arange(label.shape[1], device=label.device)
        is_node = label < self._k
        emitted = self.emission.exp()[:, x.clamp(min=0)].permute(1, 2, 0)  # n x length x preterminals
        leaf = torch.nn.functional.pad(emitted, (self._k, 0))
        first = self._child(label, left, right, left, gap.expand_as(label))
        second = self._child(label, left, right, gap.expand_as(label) + 1, right)
        symbols = []
        for child, word in ((first, left), (second, right)):
            hot = one_hot(child, self._k + 1)[..., : self._k].to(leaf.dtype)
            node = torch.nn.functional.pad(hot, (0, self._n_symbols - self._k))
            places = word.clamp(min=0, max=leaf.shape[1] - 1)[..., None].expand(-1, -1, leaf.shape[2])
            symbols.append(torch.where((child < self._k)[..., None], node, leaf.gather(1, places)))
        context = self._contexts(label, left, right, first)
        rule = self.rule.exp()[label.clamp(max=self._k - 1), context]
        rule = rule.unflatten(-1, (self._n_symbols, self._n_symbols))
        total = torch.einsum("ngbc,ngb,ngc->ng", rule, *symbols)
        return torch.where(is_node, torch.where(is_node, total, 1.0).clamp(min=1e-300).log(), 0.0).sum(1)

    def _child(self, label: Tensor, left: Tensor, right: Tensor, first: Tensor, last: Tensor) -> Tensor:
        """Return the label of the node over given words, shape n x n_gaps; the number of labels for a single word."""
        is_child = (left[:, None] == first[:, :, None]) & (right[:, None] == last[:, :, None])
        is_child = is_child & (label[:, None] < self._k)
        return torch.where(is_child, label[:, None], self._k).amin(2)

    def _contexts(self, label: Tensor, left: Tensor, right: Tensor, first: Tensor) -> Tensor:
        """Return the context of each node, shape n x n_gaps, given the label of its left child."""
        if self._n_contexts == 1:
            return torch.zeros_like(label)
        gap = torch.arange(label.shape[1], device=label.device)
        is_parent = (gap + 1 == left[:, :, None]) & (right[:, None] == right[:, :, None]) & (label[:, None] < self._k)
        sister = torch.where(is_parent, 1 + first[:, None], 0).amax(2)
        return sister  # 0 without a parent to the left; the number of nonterminals stands for a word

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw sentences of 2 to ``length`` words with their trees."""
        choose = random.Random(int(torch.randint(2**62, (1,), generator=generator)))
        with torch.no_grad():
            tables = [_cumulative(table) for table in (self.root, self.rule.flatten(0, 1), self.emission)]
        space, rows, states = self.latents(), [], []
        for _ in range(n):
            for _ in range(_TRIALS):
                words: list[int] = []
                nodes: list[tuple[int, int, int, int]] = []
                if self._expand(_pick(tables[0][0], choose), 0, 0, words, nodes, tables, choose):
                    break
            else:
                raise ValueError(f"hardly any sentence of the grammar has 2 to {self.words.length} words")
            state = [len(words), *[self._k] * space.n_gaps, *[-1] * (2 * space.n_gaps)]
            for gap, label, left, right in nodes:
                state[1 + gap], state[1 + space.n_gaps + gap], state[1 + 2 * space.n_gaps + gap] = label, left, right
            rows.append(words + [-1] * (self.words.length - len(words)))
            states.append(state)
        return torch.tensor(rows), torch.tensor(states)

    def _expand(
        self,
        label: int,
        context: int,
        n_owed: int,
        words: list[int],
        nodes: list[tuple[int, int, int, int]],
        tables: list[list[list[float]]],
        choose: random.Random,
    ) -> bool:
        """Add the words and nodes under a node, and return whether they are few enough.

        Args:
            label: the nonterminal of the node.
            context: its context.
            n_owed: number of words to its right that are certain to follow.
            words: the words so far.
            nodes: the nodes so far: gap, label, first and last word.
            tables: cumulative probabilities of the roots, the rules and the words.
            choose: source of all randomness.
        """
        left = len(words)
        if left + 2 + n_owed > self.words.length:
            return False
        pair = _pick(tables[1][label * self._n_contexts + context], choose)
        gap = left
        for place, symbol in enumerate(divmod(pair, self._n_symbols)):
            if symbol >= self._k:
                words.append(_pick(tables[2][symbol - self._k], choose))
            else:
                sister = 1 + min(pair // self._n_symbols, self._k) if place and self._n_contexts > 1 else 0
                if not self._expand(symbol, sister, n_owed + (place == 0), words, nodes, tables, choose):
                    return False
            if place == 0:
                gap = len(words) - 1
        nodes.append((gap, label, left, len(words) - 1))
        return True

    # -- exact inference -----------------------------------------------------------------------------------------------

    def spans(self, z: Tensor) -> Tensor:
        """Return an indicator of the spans of trees, by first and last word, shape n x length x length.

        Args:
            z: trees, shape n x k.
        """
        label, left, right = self.latents().nodes(z)
        rows, gap = (label < self._k).nonzero(as_tuple=True)
        indicator = torch.zeros(len(z), self.words.length, self.words.length, dtype=torch.float64, device=z.device)
        indicator[rows, left[rows, gap], right[rows, gap]] = 1
        return indicator

    def summaries(self, x: Tensor, z: Tensor) -> Tensor:
        """Return which spans of words are nodes of trees, shape n x (length * (length - 1) / 2)."""
        return _above_diagonal(self.spans(z))

    def exact_summaries(self, x: Tensor) -> Tensor:
        return _above_diagonal(self.span_probabilities(x))

    @property
    def is_exact(self) -> bool:
        return True

    def log_evidence(self, x: Tensor) -> Tensor:
        """Return log p(x), shape n, by the inside algorithm."""
        return self.inside(x)

    def inside(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return log p(x), shape n, with the trees weighted by their spans.

        Args:
            x: sentences, shape n x length.
            weight: factor of every span of at least two words, shape n x length x length (by first and last word); its
                gradient at 1 is the probability of each span. None: 1.
        """
        n, length = x.shape
        emitted = torch.nn.functional.pad(self.emission.exp()[:, x.clamp(min=0)].permute(1, 2, 0), (self._k, 0))
        rule = self.rule.exp().unflatten(-1, (self._n_symbols, self._n_symbols))
        # of each span: the probability by symbol and context, as a share of the largest, whose logarithm is kept apart
        # so that long sentences do not underflow; that of a word does not depend on the context
        chart, log_scale = {}, {}
        for i in range(length):
            chart[i, i], log_scale[i, i] = _scaled(emitted[:, i, :, None].expand(-1, -1, self._n_contexts))
        context_of = [min(symbol, self._k) + 1 if self._n_contexts > 1 else 0 for symbol in range(self._n_symbols)]
        padding = (0, 0, 0, self._n_symbols - self._k)
        for width in range(2, length + 1):
            for i in range(length - width + 1):
                j = i + width - 1
                splits = range(i, j)
                logs = torch.stack([log_scale[i, k] + log_scale[k + 1, j] for k in splits])
                largest = logs.amax(0)
                left = torch.stack([chart[i, k][:, :, 0] for k in splits]) * (logs - largest).exp()[..., None]
                right = torch.stack([chart[k + 1, j] for k in splits])[..., context_of]
                pairs = torch.einsum("knb,kncb->nbc", left, right)
                total = torch.einsum("acbd,nbd->nac", rule, pairs)
                if weight is not None:
                    total = total * weight[:, i, j, None, None]
                total, log_total = _scaled(total)
                chart[i, j], log_scale[i, j] = torch.nn.functional.pad(total, padding), largest + log_total
        n_words, row = lengths_of(x), torch.arange(n, device=x.device)
        whole = torch.stack([chart[0, j][:, : self._k, 0] for j in range(length)], 1)[row, n_words - 1]
        log_whole = torch.stack([log_scale[0, j] for j in range(length)], 1)[row, n_words - 1]
        return (whole @ self.root.exp()).clamp(min=1e-300).log() + log_whole

    def span_probabilities(self, x: Tensor) -> Tensor:
        """Return the exact posterior probability of each span of words, shape n x length x length.

        Args:
            x: sentences, shape n x length.
        """
        with torch.enable_grad():
            weight = torch.ones(len(x), x.shape[1], x.shape[1], dtype=torch.float64, requires_grad=True)
            (gradient,) = torch.autograd.grad(self.inside(x, weight).sum(), [weight])
        return gradient


def _above_diagonal(table: Tensor) -> Tensor:
    """Return the entries above the diagonals of n tables, shape n x (length * (length - 1) / 2)."""
    rows, columns = torch.triu_indices(table.shape[1], table.shape[2], 1, device=table.device)
    return table[:, rows, columns]


def _scaled(probability: Tensor) -> tuple[Tensor, Tensor]:
    """Return probabilities as shares of the largest of each row, and its logarithm, shape n, a constant."""
    largest = probability.detach().flatten(1).amax(1).clamp(min=1e-300)
    return probability / largest.view(-1, *[1] * (probability.ndim - 1)), largest.log()


def _uniform(*shape: int) -> nn.Parameter:
    """Return a table of log-probabilities that are all the same over the last dimension."""
    return nn.Parameter(torch.full(shape, -math.log(shape[-1]), dtype=torch.float64))


def _cumulative(table: Tensor) -> list[list[float]]:
    """Return the cumulative probabilities of the rows of a table of log-probabilities."""
    rows = table.detach().reshape(-1, table.shape[-1]).exp()
    return [list(itertools.accumulate(row)) for row in rows.tolist()]


def _pick(cumulative: list[float], choose: random.Random) -> int:
    """Return a random index."""
    return min(bisect.bisect(cumulative, choose.random() * cumulative[-1]), len(cumulative) - 1)
