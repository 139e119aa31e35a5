"""A policy that names the places of an observed sequence from left to right, such as the states of a Markov chain."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from al_loop.environments.base import Environment
from al_loop.gflownet.conditioned import Conditioned
from al_loop.gflownet.policies._observed import ObservedPolicy
from al_loop.gflownet.policies.base import Context, Logits


class TaggingPolicy(ObservedPolicy):
    """A recurrent network reads the observation from both ends, and each name depends on it and on the one before.

    Args:
        environment: a conditioned environment of words of a fixed length, written from left to right, whose conditions
            have as many numbers for each place.
        hidden: width of each direction of the network.
        layers: number of its layers.
        n_conditions: not supported, must be 0.
        heads: not supported, must be 1.

    Raises:
        ValueError: the environment is another one.
    """

    kind = "tagging"
    is_markov = False

    def __init__(
        self, environment: Environment, hidden: int = 128, layers: int = 1, n_conditions: int = 0, heads: int = 1
    ) -> None:
        if not isinstance(environment, Conditioned) or environment.order != "left_to_right":
            raise ValueError("policy: tagging requires conditions, and words of one length from left to right")
        super().__init__(environment, environment.state_size - 1, "places", n_conditions, heads)
        self._n_letters = n_letters = environment.n_actions
        self.reader = nn.GRU(self._width, hidden, layers, batch_first=True, bidirectional=True)
        self.after = nn.Parameter(torch.zeros(2 * hidden))
        self.before = nn.Embedding(n_letters + 1, hidden)
        self.merge = nn.Linear(2 * hidden, hidden)
        self.out = nn.Linear(hidden, n_letters + 1)

    def _encode(self, states: Tensor) -> Tensor:
        """Return what the network knows at each place, and after the last, shape n x length + 1 x hidden."""
        read, _ = self.reader(self._observed(states))
        return self.merge(torch.cat([read, self.after.expand(len(states), 1, -1)], 1))  # type: ignore[no-any-return]

    def _outputs(self, encoded: Tensor, states: Tensor) -> Tensor:
        """Return logits and log-flows, the last column.

        Args:
            encoded: the encodings of n observations, shape n x length + 1 x hidden.
            states: states of each, shape n x T x state_size.

        Returns:
            Logits, shape n x T x n_letters + 1.
        """
        letters = states[..., 1:]
        place = (letters < self._n_letters).sum(-1, keepdim=True)
        previous = nn.functional.pad(letters, (1, 0), value=self._n_letters).gather(-1, place)[..., 0]
        here = encoded.gather(1, place.expand(-1, -1, encoded.shape[2]))
        return self.out(leaky_relu(here + self.before(previous)))  # type: ignore[no-any-return]

    def _at(self, states: Tensor) -> Tensor:
        """Return the outputs in states, shape n x n_letters + 1."""
        return self._outputs(self._encode(states), states[:, None])[:, 0]

    def forward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        return self._at(states)[:, :-1]

    def backward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        return torch.zeros(len(states), 1, device=states.device)

    def log_flow(self, states: Tensor, context: Context | None = None) -> Tensor:
        return self._at(states)[:, -1]

    def along(self, states: Tensor, context: Context | None = None) -> Logits:
        """Return all outputs along whole trajectories, for which each observation is read once."""
        steps, n, _ = states.shape
        outputs = self._outputs(self._encode(states[0]), states.transpose(0, 1)).transpose(0, 1)
        return Logits(outputs[..., :-1], torch.zeros(steps, n, 1, device=states.device), outputs[..., -1])

    def start_from(self, states: Tensor) -> Tensor:
        """Return the encoded observations of the roll-outs, shape n x length + 1 x hidden."""
        return self._encode(states)

    def next_logits(self, states: Tensor, context: Context | None, memory: Any, rows: Tensor | None) -> Tensor:
        encoded = memory if rows is None else memory.index_select(0, rows)
        return self._outputs(encoded, states[:, None])[:, 0, :-1]
