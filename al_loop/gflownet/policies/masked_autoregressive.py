"""A masked autoregressive network for words of a fixed length that are written from left to right."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, linear, one_hot

from al_loop.environments.assignment import Assignments
from al_loop.environments.base import Environment
from al_loop.gflownet.policies.base import Context, Logits, Policy, condition_values


class _Masked(nn.Module):
    """A linear layer without the weights that a mask excludes.

    Args:
        mask: the weights to keep, shape n_out x n_in.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.linear = nn.Linear(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.float(), persistent=False)

    def parts(self) -> tuple[Tensor, Tensor]:
        """Return the weights that count, shape n_out x n_in, and the biases."""
        return self.linear.weight * self.mask, self.linear.bias


class _Weights(NamedTuple):
    """The weights for a roll-out.

    Args:
        trunk: weights and biases of the trunk's layers.
        head: those of the head for each place, shape length x letters x n_in.
        bias: the head's biases, shape length x letters.
    """

    trunk: list[tuple[Tensor, Tensor]]
    head: Tensor
    bias: Tensor


class MaskedAutoregressivePolicy(Policy):
    """One pass over a word returns the logits of all its prefixes (MADE, Germain et al. 2015).

    Each hidden unit sees the letters of the first d places, with d spread over the units, and the logits of a place see
    the letters and units of the places before it. The letters reach the logits directly, too, so that couplings of
    pairs need no units. A training step costs one pass for each word, where the multi-layer perceptron has one for each
    letter, but the units are shared by all places: words of many letters need wider layers.

    Args:
        environment: the space, ``Assignments`` from left to right.
        hidden: width of each layer.
        layers: number of hidden layers.
        n_conditions: number of conditions of the reward, which all places see.
        heads: not supported, must be 1.

    Raises:
        ValueError: the environment is another one, or there are several heads.
    """

    kind = "masked_autoregressive"
    shares_trunk: ClassVar[bool] = True

    def __init__(
        self, environment: Environment, hidden: int = 256, layers: int = 2, n_conditions: int = 0, heads: int = 1
    ) -> None:
        super().__init__()
        if not isinstance(environment, Assignments) or environment.order != "left_to_right":
            raise ValueError(
                f"policy: masked_autoregressive requires words of a fixed length written from left to right, not "
                f"{environment.name!r}; use an assignment with order: left_to_right, or policy: {{kind: mlp}}"
            )
        if heads != 1:
            raise ValueError(f"policy: masked_autoregressive has no ensemble of heads; set heads to 1, not {heads}")
        self._environment = environment
        self._length, self._n_letters, self._n_conditions = environment.length, environment.n_actions, n_conditions
        n_outputs = self._n_letters + 1  # of each place, and of the whole word: its letters and its flow
        # the number of first places that an input, a unit and an output know; a condition is known from the start
        known = torch.cat(
            [torch.zeros(n_conditions), 1 + torch.arange(self._length).repeat_interleave(self._n_letters)]
        )
        first = 0 if n_conditions else 1
        units = torch.linspace(first, max(first, self._length - 1), hidden).round()
        outputs = torch.arange(self._length + 1).repeat_interleave(n_outputs)
        sizes = pairwise([known, *[units] * layers])
        self.trunk = nn.ModuleList(_Masked(above[:, None] >= below) for below, above in sizes)
        self.head = _Masked(outputs[:, None] >= torch.cat([units, known] if layers else [known]))

    def _outputs(self, words: Tensor, context: Context | None) -> Tensor:
        """Return logits and flow of all prefixes, shape n x length + 1 x letters + 1."""
        embedded = self._embed(words, context, self._weights())
        outputs = linear(embedded, *self.head.parts())
        return outputs.view(-1, self._length + 1, self._n_letters + 1)

    def _weights(self) -> list[tuple[Tensor, Tensor]]:
        """Return weights and biases of the trunk's layers."""
        return [layer.parts() for layer in self.trunk if isinstance(layer, _Masked)]

    def _embed(self, words: Tensor, context: Context | None, weights: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Return the inputs of the head: the last units, and the letters themselves."""
        h = x = self._inputs(words, context)
        for weight, bias in weights:
            h = leaky_relu(linear(h, weight, bias))
        return torch.cat([h, x], 1) if weights else x

    def _inputs(self, words: Tensor, context: Context | None) -> Tensor:
        """Return conditions and one-hot letters, of which an empty place has none, shape n x n_in."""
        x = one_hot(words, self._n_letters + 1)[..., :-1].flatten(1).to(self.head.mask.dtype)
        return torch.cat([condition_values(context), x], 1) if self._n_conditions else x

    def start(self, n: int, device: torch.device) -> _Weights:
        """Return the masked weights, of the head by place."""
        shape = (self._length + 1, self._n_letters + 1)
        head, bias = (part.unflatten(0, shape)[:-1, :-1] for part in self.head.parts())
        return _Weights(self._weights(), head.contiguous(), bias)

    def next_logits(self, states: Tensor, context: Context | None, memory: _Weights, rows: Tensor | None) -> Tensor:
        """Return ``forward_logits`` of unfinished words, from the outputs of their next places only."""
        embedded = self._embed(states, context, memory.trunk)
        place = self._n_filled(states).clamp(max=self._length - 1)
        can_look = place.device.type == "cpu" and not torch.compiler.is_compiling()
        if can_look and len(place) and bool((place == place[0]).all()):  # as in most roll-outs
            return linear(embedded, memory.head[place[0]], memory.bias[place[0]])
        return torch.baddbmm(memory.bias[place].unsqueeze(2), memory.head[place], embedded.unsqueeze(2))[..., 0]

    def _n_filled(self, states: Tensor) -> Tensor:
        return (states < self._n_letters).sum(-1)

    def _all(self, outputs: Tensor) -> Logits:
        return Logits(outputs[..., :-1], outputs.new_zeros(*outputs.shape[:-1], 1), outputs[..., -1])

    def _last(self, states: Tensor, context: Context | None) -> Tensor:
        """Return the outputs of the words as they are, shape n x letters + 1."""
        index = torch.arange(len(states), device=states.device)
        return self._outputs(states, context)[index, self._n_filled(states)]

    def forward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        return self._last(states, context)[:, :-1]

    def backward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        """Return zeros, shape n x 1, since each word has a single parent."""
        return torch.zeros(len(states), 1, device=states.device)

    def log_flow(self, states: Tensor, context: Context | None = None) -> Tensor:
        return self._last(states, context)[:, -1]

    def all_logits(self, states: Tensor, context: Context | None = None) -> Logits:
        """Return all outputs from one pass."""
        return self._all(self._last(states, context))

    def along(self, states: Tensor, context: Context | None = None) -> Logits:
        """Return all outputs along trajectories, from one pass over their final words."""
        outputs = self._outputs(states[-1], context)
        return self._all(outputs[torch.arange(states.shape[1], device=states.device), self._n_filled(states)])
