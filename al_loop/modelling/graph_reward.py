"""The samplers' log-reward, computed from molecular graphs on the samplers' device rather than from SMILES."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.errors import ConfigError
from al_loop.features.base import Features
from al_loop.features.molecules.graphs import MolecularGraphs
from al_loop.gflownet.execution.choice import Execution, ExecutionName, choose_execution
from al_loop.gflownet.reward import AnyReward, StateReward
from al_loop.modelling.reward import AcquisitionReward

Decoding = Literal["auto", "always", "never"]
#: calls with a number of states before it is recorded: measured objects come once a round, draws in every step
_RARE = 2
#: why a reward with energies requires decoding
OF_ENERGIES = "reward.energy scores decoded objects"


class _Rows:
    """Computes the features of states; numbers of states that recur are recorded, if the execution records.

    Args:
        environment: the space.
        features: of graphs.
        execution: the way in which they are computed; None: plain.
    """

    def __init__(self, environment: Environment, features: Features, execution: Execution | None) -> None:
        self._environment, self._features = environment, features
        self._compiled = self._rows if execution is None else execution.compile(self._rows)
        self._recorded = self._compiled if execution is None else execution.record(self._compiled)
        self._sizes: Counter[int] = Counter()

    def __call__(self, states: Tensor) -> Tensor:
        """Return n x d features, float64, since BoTorch casts its models to the type of the rows."""
        if not self._sizes:
            self._environment.graphs(states[:1])  # its tables are made outside of what is compiled
        self._sizes[len(states)] += 1
        (rows,) = (self._recorded if self._sizes[len(states)] > _RARE else self._compiled)(states)
        return rows.double()

    def _rows(self, states: Tensor) -> tuple[Tensor]:
        rows = self._features.of_graphs(_graphs(self._environment, states))
        assert rows is not None, "these features cannot be computed from graphs"
        return (rows,)


@dataclass(frozen=True)
class _Device:
    """What a reward needs on a device."""

    reward: AcquisitionReward
    rows: _Rows


class GraphReward:
    """An ``AcquisitionReward`` as a function of states that are molecular graphs.

    Features, posterior, acquisition and additive properties are computed where the states are, and nothing is decoded
    but for bounds on properties that require RDKit. The values are those of the decoded objects.

    Args:
        reward: of objects.
        environment: the space; it has graphs, of which the features can be computed.
        execution: the way in which features are computed, as in the training.
        steps: number of training steps, see ``choose_execution``.
    """

    def __init__(
        self,
        reward: AcquisitionReward,
        environment: Environment,
        execution: ExecutionName | Execution = "plain",
        steps: int = 0,
    ) -> None:
        self._reward, self._environment = reward, environment
        self._execution, self._steps = execution, steps
        self._on: dict[torch.device, _Device] = {}
        self._slow_constraints = reward.space.constraints.of_objects(_graphs(environment, environment.initial(1)))

    @torch.no_grad()
    def __call__(self, states: Tensor) -> Tensor:
        """Return log-rewards of terminal states: n, or n x objectives; float32."""
        constraints = self._reward.space.constraints
        violation = torch.zeros(len(states), dtype=torch.float64, device=states.device)
        if len(constraints) > len(self._slow_constraints):
            violation = constraints.violation_of_graphs(_graphs(self._environment, states))
        if len(self._slow_constraints):
            objects = self._environment.decode(states)
            violation = violation + self._slow_constraints.violation(objects).to(states.device)
        on = self._at(states.device)
        rows = on.reward.of_rows(on.rows(states), violation)
        return rows[:, 0] if rows.shape[1] == 1 else rows

    @torch.no_grad()
    def uncertainty(self, states: Tensor) -> Tensor:
        """Return the uncertainty about terminal states, see ``Reward.uncertainty``: n, float32."""
        on = self._at(states.device)
        return on.reward.uncertainty_of_rows(on.rows(states))

    def _at(self, device: torch.device) -> _Device:
        if device not in self._on:
            name = "auto" if self._execution == "graphed" and device.type == "cpu" else self._execution
            execution = choose_execution(name, device, self._steps)
            rows = _Rows(self._environment, self._reward.space.features, execution)
            self._on[device] = _Device(self._reward.on(device), rows)
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
    log_reward: AnyReward,
    environment: Environment,
    decode: Decoding,
    device: torch.device,
    execution: ExecutionName | Execution = "plain",
    steps: int = 0,
) -> AnyReward:
    """Return a campaign's reward in the form in which samplers compute it.

    Args:
        log_reward: the reward of objects.
        environment: the space.
        decode: ``never``, ``always``, or ``auto``: never on a GPU, where the reward allows it.
        device: of the samplers.
        execution: the way in which features are computed, as in the training.
        steps: number of training steps.

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
        reward = GraphReward(log_reward, environment, execution, steps)
        return StateReward(reward, uncertainty=reward.uncertainty)
    if decode == "never":
        raise ConfigError(f"reward.decode: never is impossible, since {reason}; set reward.decode to auto")
    return log_reward
