"""The base of an energy: the log-likelihood of a frozen policy, to which a network adds its scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from al_loop.environments.base import Environment
from al_loop.gflownet.evaluation import log_likelihood
from al_loop.gflownet.policies.base import Policy

_CACHE_SIZE = 200_000  # objects whose log-likelihood is kept


class PolicyLikelihood(nn.Module):
    """The log-likelihood of objects that have a single history under a frozen policy.

    Args:
        environment: a space whose objects have a single history.
        policy: the policy, which is frozen.
    """

    def __init__(self, environment: Environment, policy: Policy) -> None:
        super().__init__()
        self.environment, self.policy = environment, policy.eval().requires_grad_(False)
        self._values: dict[bytes, Tensor] = {}

    @torch.no_grad()
    def forward(self, states: Tensor) -> Tensor:
        """Return the log-likelihoods of terminal states, shape n."""
        keys = [row.tobytes() for row in states.cpu().numpy()]
        new = {key: row for row, key in enumerate(keys) if key not in self._values}
        values = {}
        if new:
            generator = torch.Generator(states.device)  # there is nothing to choose
            rows = states[list(new.values())]
            found = log_likelihood(self.environment, self.policy, rows, 1, generator=generator, backward="uniform")
            values = dict(zip(new, found.float().cpu(), strict=True))
        result = torch.stack([values[key] if key in values else self._values[key] for key in keys])
        if len(self._values) + len(values) > _CACHE_SIZE:
            self._values.clear()
        self._values.update(values)
        return result.to(states.device)

    def load_policy(self, policy: Policy) -> None:
        """Take over the weights of another policy.

        Args:
            policy: the policy, which stays as it is.
        """
        self.policy.load_state_dict(policy.state_dict())
        self._values.clear()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_values": {}}  # the cache does not travel to other processes
