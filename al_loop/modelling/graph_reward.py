"""The samplers' log-reward, computed from molecular graphs on the samplers' device rather than from SMILES."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.errors import ConfigError
from al_loop.features.base import Features
from al_loop.features.molecules.graphs import MolecularGraphs
from al_loop.gflownet.reward import AnyReward, StateReward
from al_loop.modelling.reward import AcquisitionReward

Decoding = Literal["auto", "always", "never"]
#: why a reward with energies requires decoding
OF_ENERGIES = "reward.energy scores decoded objects"


class GraphReward:
    """An ``AcquisitionReward`` as a function of states that are molecular graphs.

    Features, posterior, acquisition and additive properties are computed where the states are, and nothing is decoded
    but for bounds on properties that require RDKit. The values are those of the decoded objects.

    Args:
        reward: of objects.
        environment: the space; it has graphs, of which the features can be computed.
    """

    def __init__(self, reward: AcquisitionReward, environment: Environment) -> None:
        self._reward, self._environment = reward, environment
        self._on: dict[torch.device, AcquisitionReward] = {}
        self._slow_constraints = reward.space.constraints.of_objects(_graphs(environment, environment.initial(1)))

    @torch.no_grad()
    def __call__(self, states: Tensor) -> Tensor:
        """Return log-rewards of terminal states: n, or n x objectives; float32."""
        graphs = _graphs(self._environment, states)
        violation = self._reward.space.constraints.violation_of_graphs(graphs)
        if len(self._slow_constraints):
            objects = self._environment.decode(states)
            violation = violation + self._slow_constraints.violation(objects).to(states.device)
        rows = self._moved(states.device).of_rows(self._rows(graphs), violation)
        return rows[:, 0] if rows.shape[1] == 1 else rows

    @torch.no_grad()
    def uncertainty(self, states: Tensor) -> Tensor:
        """Return the uncertainty about terminal states, see ``Reward.uncertainty``: n, float32."""
        return self._moved(states.device).uncertainty_of_rows(self._rows(_graphs(self._environment, states)))

    def _rows(self, graphs: MolecularGraphs) -> Tensor:
        rows = self._reward.space.features.of_graphs(graphs)
        assert rows is not None, "these features cannot be computed from graphs"
        return rows.double()  # BoTorch casts its models to the type of the rows

    def _moved(self, device: torch.device) -> AcquisitionReward:
        if device not in self._on:
            self._on[device] = self._reward.on(device)
        return self._on[device]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_on": {}}


def _graphs(environment: Environment, states: Tensor) -> MolecularGraphs:
    graphs = environment.graphs(states)
    assert graphs is not None, "the states of this environment are no graphs"
    return graphs


def requires_decoding(environment: Environment, features: Features) -> str | None:
    """Return why the reward cannot be computed from the environment's states; None if it can.

    Args:
        environment: the space.
        features: of the campaign.
    """
    graphs = environment.graphs(environment.initial(1))
    if graphs is None:
        return f"the states of the environment {environment.name} are no molecular graphs; those of fragments are"
    try:
        rows = features.of_graphs(graphs)
    except ValueError as error:
        return str(error)
    name = getattr(features, "kind", type(features).__name__)
    return None if rows is not None else f"the features {name} cannot be computed from molecular graphs; use morgan"


def without_decoding(
    log_reward: AnyReward, environment: Environment, decode: Decoding, device: torch.device
) -> AnyReward:
    """Return a campaign's reward in the form in which samplers compute it.

    Args:
        log_reward: the reward of objects.
        environment: the space.
        decode: ``never``, ``always``, or ``auto``: never on a GPU, where the reward allows it.
        device: of the samplers.

    Raises:
        ConfigError: ``never`` is impossible.
    """
    if decode == "always" or (decode == "auto" and device.type == "cpu"):
        return log_reward
    if not isinstance(log_reward, AcquisitionReward):
        return log_reward
    reason = requires_decoding(environment, log_reward.space.features)
    if log_reward.space.energies is not None:
        reason = OF_ENERGIES
    if reason is None:
        reward = GraphReward(log_reward, environment)
        return StateReward(reward, uncertainty=reward.uncertainty)
    if decode == "never":
        raise ConfigError(f"reward.decode: never is impossible, since {reason}; set reward.decode to auto")
    return log_reward
