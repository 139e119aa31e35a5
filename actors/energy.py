"""Learning of an energy on a Ray cluster: samplers as actors, the energy with the learner."""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any, cast

import ray
from ray.exceptions import RayTaskError

from al_loop.actors.cluster.connect import connect
from al_loop.actors.cluster.placement import options_of
from al_loop.actors.cluster.roles import (
    DEATHS,
    MAX_DEATHS,
    RoleActor,
    device_of,
    kill_actor,
    report_death,
    set_threads,
    unwrap_ray_error,
)
from al_loop.actors.cluster.samplers import RaySamplers, SamplerActor
from al_loop.config.energy_schema import EnergyConfig
from al_loop.errors import ConfigError
from al_loop.system import stopping

if TYPE_CHECKING:
    from al_loop.energy.building import EnergyParts
    from al_loop.energy.learning import Monitor
    from al_loop.energy.model import EnergyModel

#: what the learner tells: its kind ("bar", "advance", "line", "numbers", "model") and the arguments
Event = tuple[str, Any]


class EnergySampler(SamplerActor):
    """A sampler of an energy's training in an actor of its own.

    Args:
        config: The energy's configuration.
        path: The driver's import path.
    """

    def __init__(self, config: Any, path: list[str]) -> None:
        RoleActor.__init__(self, config, path)
        set_threads(config)
        from al_loop.energy.building import parts_from
        from al_loop.energy.trainer import make_sampler
        from al_loop.gflownet.device import find_device

        parts = parts_from(config)
        device = device_of(config, config.resources.sampler)
        policy = parts.policy().to(find_device(device))
        self._sampler = make_sampler(parts.environment, policy, parts.training(device))
        self._loaded: dict[str, Any] = {}


class EnergyLearner(RoleActor):
    """The learner of an energy and its sampler in an actor of its own, which starts the samplers.

    Args:
        config: The energy's configuration.
        path: The driver's import path.
    """

    role = "learner"

    def __init__(self, config: Any, path: list[str]) -> None:
        super().__init__(config, path)
        set_threads(config)

    def learn(self, data: Any, checkpoint: str | None) -> Iterator[Event]:
        """Learn, and yield what happens; the model's file comes last.

        Args:
            data: The objects, or an array of letter indices.
            checkpoint: The file of the training's state, on storage that every learner sees.
        """
        from al_loop.energy.learning import Monitor, learn_from_config

        events: Queue[Event | None] = Queue()
        config = cast(EnergyConfig, self._config)

        def learn() -> None:
            monitor = Monitor(
                bar=_EventBar(events),
                report=lambda line: events.put(("line", line)),
                log=lambda step, numbers: events.put(("numbers", (step, dict(numbers)))),
                checkpoint=None if checkpoint is None else Path(checkpoint),
            )
            try:
                model = learn_from_config(
                    config,
                    data,
                    monitor=monitor,
                    samplers=self._samplers,
                    device=device_of(self._config, self._config.resources.learner),
                )
                with tempfile.TemporaryDirectory() as folder:
                    model.save(Path(folder, "energy.pt"))
                    events.put(("model", Path(folder, "energy.pt").read_bytes()))
            except Exception as error:  # raised in the actor's own thread below
                events.put(("error", error))
            finally:
                events.put(None)

        thread = threading.Thread(target=learn, daemon=True)
        thread.start()
        while (event := events.get()) is not None:
            if event[0] == "error":
                raise event[1]
            yield event

    def _samplers(self, parts: EnergyParts) -> RaySamplers:
        from al_loop.energy.trainer import zero_reward

        samplers = RaySamplers(self._config, EnergySampler)
        samplers.set_reward(zero_reward())
        return samplers


class _EventBar:
    """A progress bar whose changes are events.

    Args:
        events: Receives them.
    """

    def __init__(self, events: Queue[Event | None]) -> None:
        self._events = events

    def __call__(self, name: str, total: int) -> _EventBar:
        self._events.put(("bar", (name, total)))
        return self

    def __enter__(self) -> Any:
        return lambda detail="": self._events.put(("advance", detail))

    def __exit__(self, *_: object) -> None:
        """Do nothing: the next bar replaces this one."""


def learn_on_ray(config: EnergyConfig, data: Any, *, monitor: Monitor, address: str) -> EnergyModel:
    """Learn an energy and its sampler with actors of a Ray cluster.

    Args:
        config: The energy's configuration.
        data: The objects, an array of letter indices, or the path of a file of them.
        monitor: Whom to report to.
        address: ``auto`` joins the running cluster, or starts one; ``HOST:6379`` joins that cluster.

    Returns:
        The model.

    Raises:
        ConfigError: There is no such cluster, or the data or the config cannot be used.
        CampaignError: The learner died too often.
    """
    from al_loop.energy.building import parts_from
    from al_loop.energy.data import read_data

    parts_from(config).check()
    objects = read_data(data) if isinstance(data, str | Path) else data
    has_connected = not ray.is_initialized()
    if has_connected:
        connect(address)
    try:
        reference = ray.put(objects)
        for n_deaths in range(MAX_DEATHS + 1):
            options = options_of(config.resources.learner)
            actor = ray.remote(EnergyLearner).options(**options).remote(config, list(sys.path))
            try:
                content = _follow(actor, reference, monitor)
                break
            except DEATHS as error:
                report_death("learner", error, n_deaths, monitor.report)
            except RayTaskError as error:
                raise unwrap_ray_error(error) from None
            finally:
                kill_actor(actor)
    finally:
        if has_connected:
            ray.shutdown()
    return _loaded(content)


def _loaded(content: bytes) -> EnergyModel:
    from al_loop.energy.model import load

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "energy.pt")
        path.write_bytes(content)
        return load(path)


def _follow(actor: Any, data: Any, monitor: Monitor) -> bytes:
    """Pass on what a learner tells until it returns the model's file."""
    checkpoint = None if monitor.checkpoint is None else str(monitor.checkpoint.absolute())
    stream = actor.learn.options(num_returns="streaming").remote(data, checkpoint)
    bars: list[Any] = []
    advance: Any = None
    try:
        for item in stream:
            stopping.look()
            event: Event = ray.get(item)
            kind, value = event
            if kind == "bar":
                for bar in bars:
                    bar.__exit__(None, None, None)
                bars = [monitor.bar(*value)]
                advance = bars[0].__enter__()
            elif kind == "advance":
                advance(value)
            elif kind == "line":
                monitor.report(value)
            elif kind == "numbers":
                monitor.log(*value)
            else:
                return bytes(value)
    finally:
        for bar in bars:
            bar.__exit__(None, None, None)
    raise ConfigError("the learner ended without a model")
