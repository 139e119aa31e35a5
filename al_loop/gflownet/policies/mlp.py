"""A multi-layer perceptron policy on flat features of the state."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, linear

from al_loop.environments.base import Environment
from al_loop.gflownet.policies import _fused_mlp
from al_loop.gflownet.policies.base import Context, Heads, Logits, Policy, condition_values


class _Weights(NamedTuple):
    """The weights of the trunk for a roll-out, in the type that products have.

    Args:
        first: those of the first layer by feature, shape n_features x hidden.
        others: those of the other layers.
        is_fused: whether one kernel computes all layers.
    """

    first: Tensor
    others: list[Tensor]
    is_fused: bool


class MLPPolicy(Policy):
    """One trunk with heads for the forward policy, the backward policy and the flow, as in Malkin et al. 2022.

    Args:
        environment: the space; its ``features`` are the input.
        hidden: width of each layer.
        layers: number of hidden layers.
        n_conditions: number of conditions of the reward, which are inputs, too.
        heads: members of the ensemble of forward heads.
    """

    kind = "mlp"
    shares_trunk: ClassVar[bool] = True

    def __init__(
        self, environment: Environment, hidden: int = 128, layers: int = 2, n_conditions: int = 0, heads: int = 1
    ) -> None:
        super().__init__()
        self._environment = environment
        self._n_conditions, self.heads = n_conditions, heads
        self._n_backward = environment.n_backward_actions
        sizes = [environment.n_features + n_conditions, *[hidden] * layers]
        self.trunk = nn.ModuleList([nn.Linear(size_in, size_out) for size_in, size_out in pairwise(sizes)])
        self.forward_head = Heads(sizes[-1], environment.n_actions, heads)
        self.backward_head = nn.Linear(sizes[-1], environment.n_backward_actions + 1)  # the last one: the flow

    def _embed(self, states: Tensor, context: Context | None) -> Tensor:
        x = self._environment.features(states)
        if self._n_conditions:
            x = torch.cat([x, condition_values(context)], 1)
        return self.embed(x)

    def embed(self, x: Tensor) -> Tensor:
        """Apply the layers of the trunk, shape n x hidden.

        Args:
            x: inputs, shape n x (features and conditions).
        """
        for layer in self.trunk:  # functions, since calling a module costs as much as a small product
            x = leaky_relu(linear(x, layer.weight, layer.bias), inplace=True)  # type: ignore[arg-type]
        return x

    def forward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        logits: Tensor = self.forward_head(self._embed(states, context), context.head if context else None)
        return logits

    def start(self, n: int, device: torch.device) -> _Weights:
        is_cast = torch.is_autocast_enabled(device.type)
        dtype = torch.get_autocast_dtype(device.type) if is_cast else torch.float32
        weights = [layer.weight for layer in self.trunk if isinstance(layer, nn.Linear)]
        by_feature = weights[0].t().to(dtype).contiguous()
        return _Weights(by_feature, [weight.to(dtype) for weight in weights[1:]], self._is_fused(device, dtype))

    def _is_fused(self, device: torch.device, dtype: torch.dtype) -> bool:
        """Return whether one kernel computes the logits of a roll-out's step; not where float32 is to be exact."""
        offsets = self._environment.feature_offsets(device)
        if offsets is None or len(self.trunk) != 2 or self.heads > 1 or self._n_conditions:
            return False
        if device.type != "cuda" or torch.get_float32_matmul_precision() == "highest":
            return False
        head = self.forward_head.linear
        n_features = self._environment.n_features
        return _fused_mlp.works(device, dtype, len(offsets), n_features, head.in_features, head.out_features)

    def next_logits(self, states: Tensor, context: Context | None, memory: Any, rows: Tensor | None) -> Tensor:
        """Return ``forward_logits``, by looking up the few non-zero features instead of multiplying all."""
        first, others, is_fused = memory
        if is_fused:
            return self._fused_logits(states, memory)
        index = None if self._n_conditions else self._environment.feature_index(states)
        if index is None:
            return self.forward_logits(states, context)
        bias = self.trunk[0].bias
        if torch.compiler.is_compiling() or first.dtype != torch.float32:  # compiled, this is one kernel
            x = first[index].float().sum(1) + bias
        else:
            m, k = index.shape
            starts = torch.arange(0, m * k, k, device=index.device)
            # torch's own function: the one in nn.functional spends more time on checking arguments than on the sum
            x = torch.embedding_bag(first, index.flatten(), starts)[0].add_(bias)  # type: ignore[arg-type]
        x = leaky_relu(x, inplace=True)
        for layer, weight in zip(self.trunk[1:], others, strict=True):
            x = leaky_relu(linear(x, weight, layer.bias), inplace=True)  # type: ignore[arg-type]
        logits: Tensor = self.forward_head(x, context.head if context else None)
        return logits

    def _fused_logits(self, states: Tensor, weights: _Weights) -> Tensor:
        """Return ``next_logits`` from one kernel."""
        first_bias, second_bias = (layer.bias for layer in self.trunk)
        head = self.forward_head.linear
        logits: Tensor = _fused_mlp.fused_mlp(
            states,
            self._environment.feature_offsets(states.device),
            weights.first,
            first_bias,
            weights.others[0],
            second_bias,
            head.weight,
            head.bias,
        )
        return logits

    def backward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        return self.all_logits(states, context).backward

    def log_flow(self, states: Tensor, context: Context | None = None) -> Tensor:
        return self.backward_head(self._embed(states, context))[:, -1]  # type: ignore[no-any-return]

    def all_logits(self, states: Tensor, context: Context | None = None) -> Logits:
        """Return all outputs from one pass through the trunk."""
        h = self._embed(states, context)
        rest = self.backward_head(h)
        return Logits(self.forward_head(h, context.head if context else None), rest[:, : self._n_backward], rest[:, -1])
