"""Samplers as Ray actors: what one that dies was drawing is drawn by those that are left."""

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
    from al_loop.gflownet.sampler import Draw, DrawRequest

_DEPTH = 2  # draws that a sampler is given at a time, so that the next one lies ready when one is done
_LOOK_S = 1.0
_HUNG = 20.0  # times as long as draws usually take, and at least
_HUNG_S = 120.0
_FIRST_HUNG_S = 1800.0  # while too few draws are known to tell what is usual


class SamplerActor(RoleActor):
    """A sampler in an actor of its own; it keeps nothing that is not sent again."""

    role = "sampler"

    def __init__(self, config: CampaignConfig, path: list[str]) -> None:
        super().__init__(config, path)
        set_threads(config)
        from al_loop.campaign.sampler_training import make_sampler

        self._sampler = make_sampler(config, device_of(config, config.resources.sampler))
        self._held: dict[str, Any] = {}

    def fill(self, order: DrawRequest, weights: list[Any], reward: list[Any]) -> Draw:
        """The draw of an order. weights, reward: a reference in a list each, to be fetched once and not each time."""
        for name, refs, use in (
            ("weights", weights, self._sampler.set_weights),
            ("reward", reward, self._sampler.set_reward),
        ):
            if refs and self._held.get(name) != refs[0]:
                use(ray.get(refs[0]))
                self._held[name] = refs[0]
        return self._sampler.fill(order).to("cpu")


@dataclass
class _Draw:
    """A draw on its way. look: takes in what is done."""

    order: DrawRequest
    weights: list[Any]
    reward: list[Any]
    look: Callable[[], None]
    drawn: Draw | None = None
    error: Exception | None = None
    n_hung: int = 0

    @property
    def is_over(self) -> bool:
        return self.drawn is not None or self.error is not None

    def result(self) -> Draw:
        while not self.is_over:
            self.look()
        if self.error is not None:
            raise self.error
        assert self.drawn is not None
        return self.drawn


@dataclass
class _Sampler:
    """A sampler actor. running: what it was given, by the reference of the result, with the time."""

    handle: Any
    running: dict[Any, tuple[_Draw, float]] = field(default_factory=dict)


class RaySamplers(SamplerGroup):
    """Sampler actors that draw side by side.

    Draws go to whoever is free. What one that dies was drawing goes to the others; another is made elsewhere, and it is
    given draws once it is there. One that hangs is ended, and treated alike. Draws on their way are bounded by the
    pipeline, and so is what lies in the object store.

    Args:
        config: of the campaign.
        actor: the class of the actors.
    """

    def __init__(self, config: CampaignConfig, actor: type[SamplerActor] = SamplerActor) -> None:
        self._config = config
        self._weights: list[Any] = []
        self._reward: list[Any] = []
        self._ready: list[_Sampler] = []
        self._starting: dict[Any, Any] = {}  # reference of ``ready`` -> actor
        self._waiting: deque[_Draw] = deque()
        self._took_s: deque[float] = deque(maxlen=50)
        self._n_lost = self._deaths_in_a_row = 0
        self._fault = ""
        self._looked = time.monotonic()
        role = config.resources.sampler
        # near the learner, as far as there is room
        near = NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=True, _spill_on_unavailable=True
        )
        self._make = ray.remote(actor).options(scheduling_strategy=near, **options_of(role))
        for _ in range(role.count):
            self._start()

    def _start(self) -> None:
        """Makes an actor, which is given draws once it is there."""
        handle = self._make.remote(self._config, list(sys.path))
        self._starting[handle.ready.remote()] = handle

    def await_one(self) -> None:
        """Returns when there is a sampler."""
        while not self._ready:
            self._step()

    @property
    def n_lost(self) -> int:
        return self._n_lost

    def set_reward(self, log_reward: AnyReward) -> None:
        self._reward = [ray.put(log_reward)]

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = [ray.put({name: tensor.cpu() for name, tensor in weights.items()})]

    def begin(self, order: DrawRequest) -> Pending:
        jobs = tuple(job.to("cpu") for job in order.jobs)
        draw = _Draw(replace(order, jobs=jobs), self._weights, self._reward, self._step)
        self._waiting.append(draw)
        self._dispatch()
        return draw

    def first(self, waiting: Sequence[Sequence[Pending]]) -> int:
        while True:
            for i, draws in enumerate(waiting):
                if all(isinstance(draw, _Draw) and draw.is_over for draw in draws):
                    return i
            self._step()

    def _dispatch(self) -> None:
        """Gives draws to samplers that have few."""
        while self._waiting and self._ready:
            free = min(self._ready, key=lambda s: len(s.running))
            if len(free.running) >= _DEPTH:
                return
            draw = self._waiting.popleft()
            ref = free.handle.fill.remote(draw.order, draw.weights, draw.reward)
            free.running[ref] = (draw, time.monotonic())

    def _step(self) -> None:
        """Takes in what is done, and what became of the actors."""
        if not self._ready and not self._starting:
            raise CampaignError(f"a sampler could not be started: {self._fault}")
        owners = {ref: sampler for sampler in self._ready for ref in sampler.running}
        done, _ = ray.wait([*owners, *self._starting], num_returns=1, timeout=_LOOK_S)
        for ref in done:
            if ref in self._starting:
                self._started(ref)
            elif ref in owners[ref].running:
                self._finished(owners[ref], ref)
        if time.monotonic() - self._looked >= _LOOK_S:
            self._looked = time.monotonic()
            self._end_hung()
        self._dispatch()

    def _started(self, ref: Any) -> None:
        handle = self._starting.pop(ref)
        try:
            ray.get(ref)
        except RayActorError as error:
            if has_failed_to_start(error):  # as where a node lacks a package: those that are left do the work
                self._n_lost += 1
                self._fault = last_line(error)
            else:
                self._replace()
            return
        self._ready.append(_Sampler(handle))

    def _finished(self, sampler: _Sampler, ref: Any) -> None:
        draw, began = sampler.running[ref]
        try:
            draw.drawn = ray.get(ref)
        except RayTaskError as error:  # the reward or the policy raised
            draw.error = error
        except RayError:
            self._lost(sampler)
            return
        del sampler.running[ref]
        self._took_s.append(time.monotonic() - began)
        self._deaths_in_a_row = 0

    def _lost(self, sampler: _Sampler) -> None:
        """A sampler died: its draws go to others, before all that wait."""
        self._ready.remove(sampler)
        self._waiting.extendleft(reversed([draw for draw, _ in sampler.running.values()]))
        self._replace()

    def _replace(self) -> None:
        self._n_lost += 1
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row > MAX_DEATHS * self._config.resources.sampler.count:
            raise CampaignError(
                "samplers die whenever they draw; see the Ray logs of SamplerActor (out of memory? resources.sampler)"
            )
        self._start()

    def _end_hung(self) -> None:
        """Ends samplers that take far longer than draws usually take."""
        longest = max(_HUNG * statistics.median(self._took_s), _HUNG_S) if len(self._took_s) >= 5 else _FIRST_HUNG_S
        for sampler in list(self._ready):
            for draw, began in sampler.running.values():
                if time.monotonic() - began > longest * 2**draw.n_hung:
                    draw.n_hung += 1
                    ray.kill(sampler.handle)
                    break

    def close(self) -> None:
        for handle in [*(s.handle for s in self._ready), *self._starting.values()]:
            kill_actor(handle)
        self._ready, self._starting = [], {}
