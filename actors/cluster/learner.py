"""The learner as a Ray actor, which has its samplers below it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import ray
from ray.exceptions import RayTaskError

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
from al_loop.actors.cluster.slots import OracleSlots
from al_loop.actors.training import make_training
from al_loop.campaign.executor import SamplerTraining, TrainingStep
from al_loop.config import CampaignConfig

if TYPE_CHECKING:
    from al_loop.gflownet.reward import LogReward

T = TypeVar("T")


class LearnerActor(RoleActor):
    """The training of samplers in an actor of its own, which starts its samplers.

    Its methods are those of ``SamplerTraining``.

    Args:
        config: The campaign's configuration.
        path: The driver's import path.
    """

    role = "learner"

    def __init__(self, config: CampaignConfig, path: list[str]) -> None:
        super().__init__(config, path)
        set_threads(config)
        from al_loop.actors.cluster.replicas import RayReplicas  # which loads torch

        device = device_of(config, config.resources.learner)
        self._samplers: list[RaySamplers] = []
        self._training = make_training(config, self._make_samplers, partial(RayReplicas, config), device)

    def _make_samplers(self) -> RaySamplers:
        self._samplers.append(RaySamplers(self._config))
        return self._samplers[-1]

    def ready(self) -> None:
        """Return when it can train, that is when there is a sampler."""
        for samplers in self._samplers:
            samplers.await_one()

    def state(self) -> bytes:
        return self._training.state()

    def load(self, state: bytes) -> None:
        self._training.load(state)

    def train(
        self, number: int, reward: list[Any], measured: Sequence[str], seeds: Sequence[str] = ()
    ) -> Iterator[TrainingStep]:
        """Train in one round.

        Args:
            number: The round's number.
            reward: A reference to the reward, in a list, so that Ray does not fetch it for a repeated call.
            measured: The objects with a value.
            seeds: Objects from which searches start.
        """
        yield from self._training.train(number, ray.get(reward[0]), measured, seeds)

    def info(self) -> dict[str, Any]:
        return self._training.info()

    def draw(self, n: int, seed: int) -> list[str]:
        return self._training.draw(n, seed=seed)

    def best_seen(self) -> list[str]:
        return self._training.best_seen()


class RayTraining(SamplerTraining):
    """A training in a learner actor; one that dies is restarted from the state after the round before.

    Since a training depends on nothing else, its result is the same as if nothing had happened.

    Args:
        config: The campaign's configuration.
        on_note: Called with messages for the user.
        slots: The oracle actors, which make room for the learner.
    """

    def __init__(self, config: CampaignConfig, on_note: Callable[[str], None], slots: OracleSlots) -> None:
        self._config, self._on_note, self._slots = config, on_note, slots
        self._actor: Any = None
        self._state: bytes | None = None
        self._info: dict[str, Any] = {}
        self._learner()  # starts while the first batch is measured

    def _learner(self) -> Any:
        """Return the actor, which is started with the last known state if there is none."""
        if self._actor is None:
            options = options_of(self._config.resources.learner)
            self._actor = ray.remote(LearnerActor).options(**options).remote(self._config, list(sys.path))
            self._slots.open_after(self._actor.ready.remote())
            if self._state is not None:
                self._slots.get(self._actor.load.remote(self._state))
        return self._actor

    def _get(self, call: Callable[[Any], T]) -> T:
        """Return the result of a call of the learner, repeating it with a new learner if that dies.

        Args:
            call: Calls a method of the learner, and returns the reference to its result.
        """

        def task() -> T:
            result: T = self._slots.get(call(self._learner()))
            return result

        return with_restarts("learner", task, self.close, self._on_note)

    def state(self) -> bytes:
        if self._state is None:
            self._state = self._get(lambda learner: learner.state.remote())
        return self._state

    def load(self, state: bytes) -> None:
        try:
            self._get(lambda learner: learner.load.remote(state))
        except RayTaskError as error:
            self.close()  # the state may be half loaded
            raise RuntimeError(str(error.cause)) from error
        self._state = state

    def train(
        self, number: int, log_reward: LogReward, measured: Sequence[str], seeds: Sequence[str] = ()
    ) -> Iterator[TrainingStep]:
        reward = [ray.put(log_reward)]
        n_yielded = 0
        for n_deaths in range(MAX_DEATHS + 1):
            try:
                train = self._learner().train.options(num_returns="streaming")
                stream = train.remote(number, reward, list(measured), list(seeds))
                for step in self._slots.iterate(stream):
                    if step.number >= n_yielded:
                        n_yielded = step.number + 1
                        yield step
                learner = self._learner()
                # the state from which a later learner resumes, should this one die
                self._info, self._state = self._slots.get([learner.info.remote(), learner.state.remote()])
                return
            except DEATHS as error:
                self.close()  # its replicas end with it
                report_death("learner", error, n_deaths, self._on_note)

    def info(self) -> dict[str, Any]:
        return self._info

    def draw(self, n: int, *, seed: int) -> list[str]:
        objects: list[str] = self._get(lambda learner: learner.draw.remote(n, seed))
        return objects

    def best_seen(self) -> list[str]:
        objects: list[str] = self._get(lambda learner: learner.best_seen.remote())
        return objects

    def close(self) -> None:
        kill_actor(self._actor)
        self._actor = None
