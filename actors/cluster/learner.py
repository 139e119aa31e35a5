"""The learner as a Ray actor, which has its samplers below it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayTaskError

from al_loop.actors.cluster.oracles import OraclePlaces
from al_loop.actors.cluster.placement import options_of
from al_loop.actors.cluster.roles import (
    DEATHS,
    MAX_DEATHS,
    RoleActor,
    device_of,
    kill_actor,
    report_death,
    set_threads,
    with_restarts,
)
from al_loop.actors.cluster.samplers import RaySamplers
from al_loop.actors.training import make_training
from al_loop.campaign.executor import SamplerTraining, TrainingStep
from al_loop.config import CampaignConfig

if TYPE_CHECKING:
    from al_loop.gflownet.reward import LogReward


class LearnerActor(RoleActor):
    """The training of samplers in an actor of its own, from which its samplers are started."""

    role = "learner"

    def __init__(self, config: CampaignConfig, path: list[str]) -> None:
        super().__init__(config, path)
        set_threads(config)
        device = device_of(config, config.resources.learner)
        self._samplers: list[RaySamplers] = []
        self._training = make_training(config, self._make_samplers, device)

    def _make_samplers(self) -> RaySamplers:
        self._samplers.append(RaySamplers(self._config))
        return self._samplers[-1]

    def ready(self) -> None:
        """Returns when it can train: when there is a sampler."""
        for samplers in self._samplers:
            samplers.await_one()

    def train(self, number: int, reward: list[Any], measured: Sequence[str]) -> Iterator[TrainingStep]:
        yield from self._training.train(number, ray.get(reward[0]), measured)

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """What a method of the training returns."""
        return getattr(self._training, method)(*args, **kwargs)


class RayTraining(SamplerTraining):
    """Has a learner actor do everything; one that dies is started again from the state after the round before.

    Since a training depends on nothing else, it comes to the same result as if nothing had happened.
    """

    def __init__(self, config: CampaignConfig, on_note: Callable[[str], None], places: OraclePlaces) -> None:
        self._config, self._on_note, self._places = config, on_note, places
        self._actor: Any = None
        self._state: bytes | None = None
        self._facts: dict[str, Any] = {}
        self._learner()  # it may start while the first batch is measured

    def _learner(self) -> Any:
        """The actor, with the last state that is known."""
        if self._actor is None:
            options = options_of(self._config.resources.learner)
            self._actor = ray.remote(LearnerActor).options(**options).remote(self._config, list(sys.path))
            self._places.open_after(self._actor.ready.remote())
            if self._state is not None:
                self._places.get(self._actor.call.remote("load", self._state))
        return self._actor

    def _ask(self, method: str, *args: Any, **kwargs: Any) -> Any:
        def task() -> Any:
            return self._places.get(self._learner().call.remote(method, *args, **kwargs))

        return with_restarts("learner", task, self.close, self._on_note)

    def state(self) -> bytes:
        if self._state is None:
            self._state = self._ask("state")
        assert self._state is not None
        return self._state

    def load(self, state: bytes) -> None:
        try:
            self._ask("load", state)
        except RayTaskError as error:
            self.close()  # with what may be half loaded
            raise RuntimeError(str(error.cause)) from error
        self._state = state

    def train(self, number: int, log_reward: LogReward, measured: Sequence[str]) -> Iterator[TrainingStep]:
        reward = [ray.put(log_reward)]
        n_told = 0
        for attempt in range(MAX_DEATHS + 1):
            try:
                stream = self._learner().train.options(num_returns="streaming").remote(number, reward, list(measured))
                for step in self._places.all_of(stream):
                    if step.number >= n_told:
                        n_told = step.number + 1
                        yield step
                learner = self._learner()  # the state that everything after goes on from, should this learner die
                self._facts, self._state = self._places.get(
                    [learner.call.remote("facts"), learner.call.remote("state")]
                )
                return
            except DEATHS as error:
                self.close()
                report_death("learner", error, attempt, self._on_note)

    def facts(self) -> dict[str, Any]:
        return self._facts

    def draw(self, n: int, *, seed: int) -> list[str]:
        objects: list[str] = self._ask("draw", n, seed=seed)
        return objects

    def met(self) -> list[str]:
        objects: list[str] = self._ask("met")
        return objects

    def close(self) -> None:
        kill_actor(self._actor)
        self._actor = None
