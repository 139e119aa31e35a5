"""Samplers as Ray actors; the draws of one that dies are made by the others."""

from __future__ import annotations

import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from al_loop.actors.cluster.decoders import RayWorkers, cores_for_decoders
from al_loop.actors.cluster.placement import options_of
from al_loop.actors.cluster.roles import (
    MAX_DEATHS,
    RoleActor,
    device_of,
    has_failed_to_start,
    kill_actor,
    last_line,
    set_threads,
)
from al_loop.config import CampaignConfig
from al_loop.errors import CampaignError
from al_loop.gflownet.pipeline import Pending, SamplerGroup

if TYPE_CHECKING:
    from torch import Tensor

    from al_loop.gflownet.reward import AnyReward
    from al_loop.gflownet.sampler import Draw, DrawRequest, Sampler

_MAX_DRAWS_EACH = 2  # so that a sampler's next draw is there when it has made one
_POLL_S = 1.0
#: a draw hangs when it takes this many times as long as the median draw, and at least so many seconds
_HANG_FACTOR, _MIN_HANG_S = 20.0, 120.0
_MIN_DURATIONS = 5  # fewer draws do not show how long a draw takes
_FIRST_HANG_S = 1800.0  # the limit until then


class SamplerActor(RoleActor):
    """A sampler in an actor of its own; its state is sent again to every new actor.

    Args:
        config: The campaign's configuration.
        path: The driver's import path.
    """

    role = "sampler"

    def __init__(self, config: CampaignConfig, path: list[str]) -> None:
        super().__init__(config, path)
        set_threads(config)
        self._sampler = self.make(config)
        self._loaded: dict[str, Any] = {}

    def make(self, config: CampaignConfig) -> Sampler:
        """Make the sampler of a config."""
        from al_loop.campaign.sampler_training import make_sampler

        role = config.resources.sampler
        n_cores = cores_for_decoders(role.count) if config.resources.decoders == "auto" else None
        return make_sampler(config, device_of(config, role), RayWorkers, n_cores)

    def fill(self, request: DrawRequest, weights: list[Any], reward: list[Any]) -> Draw:
        """Make a draw.

        Args:
            request: The draw that is requested.
            weights: A reference to the policy's weights, in a list, so that it is fetched only when it has changed.
            reward: A reference to the reward, in a list.
        """
        for name, references, load in (
            ("weights", weights, self._sampler.set_weights),
            ("reward", reward, self._sampler.set_reward),
        ):
            if references and self._loaded.get(name) != references[0]:
                load(ray.get(references[0]))
                self._loaded[name] = references[0]
        return self._sampler.fill(request).to("cpu")


@dataclass
class _Draw:
    """A draw that has begun.

    Attributes:
        request: The draw that is requested.
        weights: A reference to the policy's weights, in a list.
        reward: A reference to the reward, in a list.
        poll: Collects the draws that are complete.
        draw: The draw, once it is complete.
        error: The error of the reward or the policy.
        n_hangs: How often a sampler has hung with it.
    """

    request: DrawRequest
    weights: list[Any]
    reward: list[Any]
    poll: Callable[[], None]
    draw: Draw | None = None
    error: Exception | None = None
    n_hangs: int = 0

    @property
    def is_complete(self) -> bool:
        return self.draw is not None or self.error is not None

    def result(self) -> Draw:
        while not self.is_complete:
            self.poll()
        if self.error is not None:
            raise self.error
        assert self.draw is not None
        return self.draw


@dataclass
class _Sampler:
    """A sampler actor.

    Attributes:
        handle: Ray's handle of the actor.
        running: The draws it is to make, with the time when it got them, by the references to their results.
    """

    handle: Any
    running: dict[Any, tuple[_Draw, float]] = field(default_factory=dict)


class RaySamplers(SamplerGroup):
    """Sampler actors that draw in parallel.

    A draw is made by whoever is free. The draws of an actor that dies are made by the others, and a new actor, maybe on
    another node, gets draws once it has started. An actor that hangs is killed and treated alike. The pipeline limits
    the number of draws that have begun, and so the size of what lies in the object store.

    Args:
        config: The campaign's configuration.
        actor: The class of the actors.
    """

    def __init__(self, config: CampaignConfig, actor: type[SamplerActor] = SamplerActor) -> None:
        self._config = config
        self._weights: list[Any] = []
        self._reward: list[Any] = []
        self._ready: list[_Sampler] = []
        self._starting: dict[Any, Any] = {}  # actors by the reference to the result of their ready()
        self._waiting: deque[_Draw] = deque()
        self._durations_s: deque[float] = deque(maxlen=50)
        self._n_lost = self._n_deaths_in_a_row = 0
        self._start_error = ""
        self._last_check = time.monotonic()
        role = config.resources.sampler
        near_learner = NodeAffinitySchedulingStrategy(  # as far as there is room
            ray.get_runtime_context().get_node_id(), soft=True, _spill_on_unavailable=True
        )
        self._actor_class = ray.remote(actor).options(scheduling_strategy=near_learner, **options_of(role))
        for _ in range(role.count):
            self._start()

    def _start(self) -> None:
        """Start an actor, which gets draws once it is ready."""
        handle = self._actor_class.remote(self._config, list(sys.path))
        self._starting[handle.ready.remote()] = handle

    def await_one(self) -> None:
        """Wait until there is a sampler.

        Raises:
            CampaignError: None can be started.
        """
        while not self._ready:
            self._poll()

    @property
    def n_lost(self) -> int:
        return self._n_lost

    def set_reward(self, log_reward: AnyReward) -> None:
        self._reward = [ray.put(log_reward)]

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = [ray.put({name: tensor.cpu() for name, tensor in weights.items()})]

    def begin(self, request: DrawRequest) -> Pending:
        jobs = tuple(job.to("cpu") for job in request.jobs)
        draw = _Draw(replace(request, jobs=jobs), self._weights, self._reward, self._poll)
        self._waiting.append(draw)
        self._dispatch()
        return draw

    def first(self, groups: Sequence[Sequence[Pending]]) -> int:
        while True:
            for i, draws in enumerate(groups):
                if all(isinstance(draw, _Draw) and draw.is_complete for draw in draws):
                    return i
            self._poll()

    def _dispatch(self) -> None:
        """Give draws to the samplers that have the fewest."""
        while self._waiting and self._ready:
            sampler = min(self._ready, key=lambda s: len(s.running))
            if len(sampler.running) >= _MAX_DRAWS_EACH:
                return
            draw = self._waiting.popleft()
            reference = sampler.handle.fill.remote(draw.request, draw.weights, draw.reward)
            sampler.running[reference] = (draw, time.monotonic())

    def _poll(self) -> None:
        """Collect complete draws and the actors that have started or died."""
        if not self._ready and not self._starting:
            raise CampaignError(f"a sampler could not be started: {self._start_error}")
        owners = {reference: sampler for sampler in self._ready for reference in sampler.running}
        references, _ = ray.wait([*owners, *self._starting], num_returns=1, timeout=_POLL_S)
        for reference in references:
            if reference in self._starting:
                self._on_started(reference)
            elif reference in owners[reference].running:
                self._on_drawn(owners[reference], reference)
        if time.monotonic() - self._last_check >= _POLL_S:
            self._last_check = time.monotonic()
            self._kill_hanging()
        self._dispatch()

    def _on_started(self, reference: Any) -> None:
        handle = self._starting.pop(reference)
        try:
            ray.get(reference)
        except RayActorError as error:
            if has_failed_to_start(error):  # as where a node lacks a package: the others do the work
                self._n_lost += 1
                self._start_error = last_line(error)
            else:
                self._replace()
            return
        self._ready.append(_Sampler(handle))

    def _on_drawn(self, sampler: _Sampler, reference: Any) -> None:
        draw, start = sampler.running[reference]
        try:
            draw.draw = ray.get(reference)
        except RayTaskError as error:  # an error of the reward or the policy
            draw.error = error
        except RayError:
            self._on_death(sampler)
            return
        del sampler.running[reference]
        self._durations_s.append(time.monotonic() - start)
        self._n_deaths_in_a_row = 0

    def _on_death(self, sampler: _Sampler) -> None:
        """Put a sampler's draws before all that wait, and replace it."""
        self._ready.remove(sampler)
        self._waiting.extendleft(reversed([draw for draw, _ in sampler.running.values()]))
        self._replace()

    def _replace(self) -> None:
        self._n_lost += 1
        self._n_deaths_in_a_row += 1
        if self._n_deaths_in_a_row > MAX_DEATHS * self._config.resources.sampler.count:
            raise CampaignError(
                "samplers die whenever they draw; see the Ray logs of SamplerActor (out of memory? resources.sampler)"
            )
        self._start()

    def _kill_hanging(self) -> None:
        """Kill samplers that take far longer than draws usually take."""
        limit_s = self._hang_limit_s()
        for sampler in list(self._ready):
            for draw, start in sampler.running.values():
                if time.monotonic() - start > limit_s * 2**draw.n_hangs:
                    draw.n_hangs += 1
                    ray.kill(sampler.handle)
                    break

    def _hang_limit_s(self) -> float:
        """Return the time after which a draw counts as hanging."""
        if len(self._durations_s) < _MIN_DURATIONS:
            return _FIRST_HANG_S
        return max(_HANG_FACTOR * statistics.median(self._durations_s), _MIN_HANG_S)

    def close(self) -> None:
        for handle in [*(s.handle for s in self._ready), *self._starting.values()]:
            kill_actor(handle)
        self._ready, self._starting = [], {}
