"""A multi-layer perceptron on flat features of the state."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from al_loop.environments.base import Environment
from al_loop.gflownet.policies.base import Policy


class MLPPolicy(Policy):
    """One trunk, two heads (forward and backward), as in Malkin et al. 2022."""

    def __init__(self, environment: Environment, hidden: int = 128, layers: int = 2) -> None:
        super().__init__()
        self._environment = environment
        sizes = [environment.n_features, *[hidden] * layers]
        steps: list[nn.Module] = []
        for size_in, size_out in pairwise(sizes):
            steps += [nn.Linear(size_in, size_out), nn.LeakyReLU()]
        self.trunk = nn.Sequential(*steps)
        self.forward_head = nn.Linear(sizes[-1], environment.n_actions)
        self.backward_head = nn.Linear(sizes[-1], environment.n_backward_actions)

    def forward_logits(self, states: Tensor) -> Tensor:
        """N x n_actions."""
        logits: Tensor = self.forward_head(self.trunk(self._environment.features(states)))
        return logits

    def backward_logits(self, states: Tensor) -> Tensor:
        """N x n_backward_actions."""
        logits: Tensor = self.backward_head(self.trunk(self._environment.features(states)))
        return logits
