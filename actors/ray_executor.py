"""The roles of a campaign as Ray actors. The only file that talks to Ray's core while a campaign runs.

Actors whose node or process died are made again here, and not by Ray (``max_restarts``): what they were doing goes to
those that are left (``RaySamplers``), deaths are counted and told, and the search finds a place before the oracle does
(``OraclePlaces``).
"""

from __future__ import annotations

import signal
import statistics
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import ray
from ray.exceptions import ObjectLostError, RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.local import LocalWorker, make_training
from actors.placement import await_places, options_of, oracle_places
from actors.ray_metrics import RayMetrics
from al_loop.config import CampaignConfig, Role
from al_loop.errors import AlLoopError, CampaignError, ConfigError, first_line
from al_loop.execution import (
    CallTimeout,
    Executor,
    MemoryExceeded,
    OracleWorker,
    SamplerTraining,
    TrainingStep,
    WorkerLost,
)
from al_loop.gflownet.pipeline import Pending, SamplerGroup
from oracles.base import Call, Outcome

if TYPE_CHECKING:
    from torch import Tensor

    from al_loop.belief import Asked, Belief, Believer
    from al_loop.gflownet.sampler import AnyReward, Draw, LogReward, Order
    from al_loop.sinks import Sink

#: beyond the oracle's own time: the start of its process (at most 120 s where that is more), and the network
_GRACE_S = 150.0
_DEPTH = 2  # draws that a sampler is given at a time, so that the next one lies ready when one is done
_LOOK_S = 1.0
_MOST_DEATHS = 3  # of samplers in a row, without a draw in between, before something else must be wrong
_HUNG = 20.0  # times as long as draws usually take, and at least
_HUNG_S = 120.0
_FIRST_HUNG_S = 1800.0  # while too few draws are known to tell what is usual
_STARVED_S = 20.0  # that the search, or a call of an oracle, gets nowhere, before oracle actors without work make room
_LOST = (RayActorError, ObjectLostError)  # what is said where an actor died, or what it had returned died with its node


class _Actor:
    """What the actors of all roles have in common. Ray puts the campaign and the role before each line they print."""

    role: ClassVar[str]
    _label = ""  # Ray prints it also of one that could not be made

    def __init__(self, config: CampaignConfig, path: list[str]) -> None:
        self._config = config
        self._label = f"{config.name} {self.role}"
        # what the driver can import, the actor can, too (a folder that is not on its machine does no harm)
        sys.path += [folder for folder in path if folder not in sys.path]

    def __repr__(self) -> str:
        return self._label

    def ready(self) -> None:
        """Returns when it is there."""


def _set_threads(config: CampaignConfig) -> None:
    import torch

    torch.set_num_threads(config.resources.threads)


def _device(config: CampaignConfig, role: Role) -> str:
    """Where a role computes: on the CPU, or on its GPU if it has one. Ray hides no GPU from a role that has none."""
    import torch

    if not role.num_gpus:
        return "cpu"
    if config.sampler.device != "cpu":
        return config.sampler.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _told(error: RayTaskError) -> Exception:
    """What was raised in an actor: al-loop's own errors as they are, others with Ray's traceback of them."""
    cause: Any = error
    while isinstance(cause, RayTaskError):
        cause = cause.cause
    return cause if isinstance(cause, AlLoopError) else error


def _is_faulty(error: Exception) -> bool:
    """Whether an actor could not be made since its code raised, which it would again."""
    return "creation task" in str(error)


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def _after_death(role: str, error: Exception, attempt: int, on_note: Callable[[str], None]) -> None:
    """Tells that a role is tried again, or raises CampaignError where that was done often enough."""
    if attempt == _MOST_DEATHS or _is_faulty(error):
        raise CampaignError(
            f"the {role} died {attempt + 1} times: {_reason(error)}; see the Ray logs of {role.capitalize()}Actor (out "
            f"of memory? resources.{role})"
        )
    on_note(f"the {role} died; it starts again from where the round began, and nothing measured is lost")


# ---- samplers ----------------------------------------------------------------------------------------------------


class SamplerActor(_Actor):
    """A sampler in an actor of its own; it keeps nothing that is not sent again."""

    role = "sampler"

    def __init__(self, config: CampaignConfig, path: list[str]) -> None:
        super().__init__(config, path)
        _set_threads(config)
        from al_loop.training import make_sampler

        self._sampler = make_sampler(config, _device(config, config.resources.sampler))
        self._held: dict[str, Any] = {}

    def fill(self, order: Order, weights: list[Any], reward: list[Any]) -> Draw:
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

    order: Order
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

    def begin(self, order: Order) -> Pending:
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
            if _is_faulty(error):  # as where a node lacks a package: those that are left do the work
                self._n_lost += 1
                self._fault = _reason(error)
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
        if self._deaths_in_a_row > _MOST_DEATHS * self._config.resources.sampler.count:
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
            with suppress(Exception):  # Ray may be gone already
                ray.kill(handle)
        self._ready, self._starting = [], {}


# ---- the learner -------------------------------------------------------------------------------------------------


class LearnerActor(_Actor):
    """The training of samplers in an actor of its own, from which its samplers are started."""

    role = "learner"

    def __init__(self, config: CampaignConfig, path: list[str]) -> None:
        super().__init__(config, path)
        _set_threads(config)
        device = _device(config, config.resources.learner)
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

    def _again(self, task: Callable[[], Any]) -> Any:
        """The task's result; once more where the learner died."""
        for attempt in range(_MOST_DEATHS + 1):
            try:
                return task()
            except _LOST as error:
                self.close()
                _after_death("learner", error, attempt, self._on_note)
        raise AssertionError("the last attempt returns or raises")

    def _ask(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._again(lambda: self._places.get(self._learner().call.remote(method, *args, **kwargs)))

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
        for attempt in range(_MOST_DEATHS + 1):
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
            except _LOST as error:
                self.close()
                _after_death("learner", error, attempt, self._on_note)

    def facts(self) -> dict[str, Any]:
        return self._facts

    def draw(self, n: int, *, seed: int) -> list[str]:
        objects: list[str] = self._ask("draw", n, seed=seed)
        return objects

    def met(self) -> list[str]:
        objects: list[str] = self._ask("met")
        return objects

    def close(self) -> None:
        if self._actor is not None:
            with suppress(Exception):
                ray.kill(self._actor)
            self._actor = None


# ---- the surrogate -----------------------------------------------------------------------------------------------


class SurrogateActor(_Actor):
    """Fits the surrogate."""

    role = "surrogate"

    def __init__(self, config: CampaignConfig, path: list[str]) -> None:
        super().__init__(config, path)
        _set_threads(config)

    def believe(
        self, believer: Believer, asked: Sequence[Asked], pending: Sequence[Asked], factors: Sequence[float]
    ) -> Belief:
        """See ``Believer.believe``."""
        device = _device(self._config, self._config.resources.surrogate)
        return believer.on(device).believe(asked, pending, factors)


# ---- oracles -----------------------------------------------------------------------------------------------------


class OracleActor(_Actor):
    """Holds an oracle's place in the cluster; the oracle runs in a process below it.

    So its limits hold, and its whole process tree ends, as on one machine.
    """

    role = "oracle"

    def __init__(self, config: CampaignConfig, path: list[str], number: int) -> None:
        super().__init__(config, path)
        self._label += f" {number}"
        self._worker = LocalWorker(config, number)

    def ready(self) -> None:
        self._worker.start()

    def evaluate(self, objects: Sequence[str], timeout_s: float, call: Call) -> Iterator[Outcome]:
        yield from self._worker.call(objects, timeout_s, call)


class OraclePlaces:
    """Which oracle actors there may be, so that those without work never keep the search from its place.

    Once the learner and a sampler are there oracle actors may wait for a place in Ray, where an autoscaler sees them.
    Before, and when the search gets nowhere, there are no more than fit beside the search, and those without work make
    room.

    Args:
        config: of the campaign.
        on_note: told once where the oracle has no place at all.
    """

    def __init__(self, config: CampaignConfig, on_note: Callable[[str], None]) -> None:
        self._config, self._on_note = config, on_note
        self._lock = threading.Lock()
        self._holders: list[RayWorker] = []
        self._is_open = self._is_told = False

    def open_after(self, ready: Any) -> None:
        """Lets all oracle actors wait in Ray once the search is there. ready: returns then."""

        def look(future: Any) -> None:
            if not future.cancelled() and future.exception() is None:
                self._is_open = True

        ready.future().add_done_callback(look)

    def take(self, worker: RayWorker) -> bool:
        """Waits until a worker may have an actor; False where it was closed before."""
        while not worker.is_closed:
            if self._try(worker):
                return True
            worker.closed.wait(_LOOK_S)
        return False

    def _try(self, worker: RayWorker) -> bool:
        with self._lock:
            room = oracle_places(self._config)
            n_over = 0 if self._is_open else max(len(self._holders) + 1 - room, 0)
            idle = self._idle()
            if n_over and (not worker.is_busy or len(idle) < n_over):
                if not room and not self._is_told:
                    self._is_told = True
                    self._on_note("the cluster has no place for an oracle actor beside the search; it waits for one")
                return False
            self._end(idle[:n_over])
            self._holders.append(worker)
            return True

    def _idle(self) -> list[RayWorker]:
        return [holder for holder in self._holders if not holder.is_busy]

    def _end(self, idle: Sequence[RayWorker]) -> None:
        for holder in idle:
            holder.give_up()
            self._holders.remove(holder)

    def replace_idle(self) -> None:
        """Ends an oracle actor without work: another one, which has some, waits in vain for a place."""
        with self._lock:
            self._end(self._idle()[:1])

    def begin_call(self, worker: RayWorker) -> None:
        """A worker keeps the actor that it has until its call is over."""
        with self._lock:
            worker.is_busy = True

    def leave(self, worker: RayWorker) -> None:
        """A worker has no actor any more."""
        with self._lock:
            if worker in self._holders:
                self._holders.remove(worker)

    def _make_room(self) -> None:
        """Ends oracle actors without work, down to those that fit beside the search."""
        with self._lock:
            self._is_open = False
            n_over = len(self._holders) - oracle_places(self._config)
            self._end(self._idle()[: max(n_over, 0)])

    def get(self, wanted: Any) -> Any:
        """What actors of the search return (of a reference, or of several), which may have to wait for their place."""
        refs = wanted if isinstance(wanted, list) else [wanted]
        while len(ray.wait(refs, num_returns=len(refs), timeout=_STARVED_S)[0]) < len(refs):
            self._make_room()
        try:
            return ray.get(wanted)
        except RayTaskError as error:
            raise _told(error) from None

    def all_of(self, stream: Any) -> Iterator[Any]:
        """All that an actor of the search yields."""
        while True:
            while not ray.wait([stream], timeout=_STARVED_S)[0]:
                self._make_room()
            try:
                ref = next(stream)
            except StopIteration:
                return
            item = self.get(ref)
            self._is_open = True
            yield item


class RayWorker(OracleWorker):
    """An oracle actor that is started again after it died or was ended."""

    def __init__(self, config: CampaignConfig, number: int, places: OraclePlaces) -> None:
        self.name = f"ray-{number}"
        self._number = number
        self._config, self._places = config, places
        self._actor: Any = None
        self.is_busy = False  # with a call
        self.closed = threading.Event()

    @property
    def is_closed(self) -> bool:
        """Whether it must not start anything any more."""
        return self.closed.is_set()

    def start(self) -> None:
        with suppress(RayError, WorkerLost):
            self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        """Starts the actor where there is none; it may wait for a free place, which is not the oracle's time."""
        if self._actor is None and self._places.take(self):
            options = options_of(self._config.resources.oracle)
            actor = ray.remote(OracleActor).options(scheduling_strategy="SPREAD", **options)
            self._actor = actor.remote(self._config, list(sys.path), self._number)
            if self.is_closed:  # in between
                self._kill()
        actor = self._actor
        if actor is None:
            raise WorkerLost("it was closed")
        ready = actor.ready.remote()
        while self.is_busy and not ray.wait([ready], timeout=_STARVED_S)[0]:
            self._places.replace_idle()
        try:
            ray.get(ready)
        except RayError:
            self._kill()
            raise

    def call(self, objects: Sequence[str], timeout_s: float, call: Call) -> Iterator[Outcome]:
        if self.is_closed:
            raise WorkerLost("it was closed")
        is_over = False
        self._places.begin_call(self)
        try:
            try:
                self._wait_until_ready()
            except RayActorError:  # while it had nothing to do, which is no matter of this call
                self._wait_until_ready()
            stream = self._actor.evaluate.options(num_returns="streaming").remote(list(objects), timeout_s, call)
            # the actor itself sees to the limits; a node that no longer answers at all is given up a while later
            ends = time.monotonic() + timeout_s + _GRACE_S
            for _ in objects:
                if not ray.wait([stream], timeout=max(ends - time.monotonic(), 0))[0]:
                    raise CallTimeout
                outcome = ray.get(next(stream))
                assert isinstance(outcome, Outcome)
                yield outcome
            is_over = True
        except CallTimeout as error:
            is_over = isinstance(error, RayTaskError)  # the actor has ended the process below it, and is there
            raise CallTimeout from error
        except (WorkerLost, MemoryExceeded) as error:
            is_over = True
            kind = MemoryExceeded if isinstance(error, MemoryExceeded) else WorkerLost
            raise kind(str(getattr(error, "cause", error))) from error
        except (RayError, StopIteration) as error:
            raise WorkerLost(first_line(error)) from error
        finally:
            if not is_over:
                self._kill()
            self.is_busy = False

    def give_up(self) -> None:
        """Ends the actor."""
        actor, self._actor = self._actor, None
        if actor is not None:
            with suppress(Exception):  # Ray may be gone already
                ray.kill(actor)

    def _kill(self) -> None:
        self.give_up()
        self._places.leave(self)

    def close(self) -> None:
        self.closed.set()
        self._kill()


class RayExecutor(Executor):
    """The roles of a campaign as actors of a Ray cluster.

    Args:
        config: of the campaign.
        address: ``auto`` joins the cluster that is there and starts one where there is none; ``HOST:6379`` joins that
            cluster; ``local`` always starts one.
        on_note: told what the user should know.

    Raises:
        ConfigError: there is no such cluster, or it has no place for a role.
    """

    def __init__(
        self, config: CampaignConfig, address: str, on_note: Callable[[str], None] = lambda message: None
    ) -> None:
        if address.startswith("ray://"):  # Ray's client streams nothing, and a campaign would end with the connection
            raise ConfigError(
                f"--address: a campaign does not run over {address}; submit it as a job (al-loop submit ... --address "
                "http://HEAD:8265), or run it on a machine of the cluster with --address auto"
            )
        self._config, self._on_note = config, on_note
        self._places = OraclePlaces(config, on_note)
        self._surrogate: Any = None
        self._has_started = not ray.is_initialized()
        if self._has_started:
            connect(address)
        try:
            await_places(config, on_note)
        except BaseException:
            self.close()
            raise
        self._surrogate_actor()  # it may start while the first batch is measured

    def _surrogate_actor(self) -> Any:
        if self._surrogate is None:
            actor = ray.remote(SurrogateActor).options(**options_of(self._config.resources.surrogate))
            self._surrogate = actor.remote(self._config, list(sys.path))
        return self._surrogate

    def training(self) -> SamplerTraining:
        sampler, count = self._config.sampler, self._config.resources.sampler.count
        at_once = (sampler.staleness + 1) * (sampler.shares + len(sampler.searches))
        if sampler.kind == "gflownet" and count > at_once:
            self._on_note(
                f"{count} samplers, but no more than {at_once} of their draws are on their way at a time; for all of "
                f"them to be busy set sampler.staleness={2 * count - 1}"
            )
        return RayTraining(self._config, self._on_note, self._places)

    def believe(
        self, believer: Believer, asked: Sequence[Asked], pending: Sequence[Asked], factors: Sequence[float]
    ) -> Belief:
        for attempt in range(_MOST_DEATHS + 1):
            try:
                told = self._surrogate_actor().believe.remote(believer, asked, pending, factors)
                belief: Belief = self._places.get(told)
                return belief
            except _LOST as error:
                self._end_surrogate()
                _after_death("surrogate", error, attempt, self._on_note)
        raise AssertionError("the last attempt returns or raises")

    def _end_surrogate(self) -> None:
        if self._surrogate is not None:
            with suppress(Exception):
                ray.kill(self._surrogate)
            self._surrogate = None

    def oracle_worker(self, number: int) -> OracleWorker:
        return RayWorker(self._config, number, self._places)

    def sinks(self) -> list[Sink]:
        return [RayMetrics(self._config.name)]

    def close(self) -> None:
        """Leaves the cluster (and ends it where it was started here)."""
        self._end_surrogate()
        if self._has_started:
            ray.shutdown()


def connect(address: str, **local: Any) -> None:
    """Joins a cluster, or starts one; what the process does on SIGTERM stays as it was, which Ray would change.

    Args:
        address: see ``RayExecutor``; also ``ray://HOST:10001``.
        local: settings of ``ray.init`` for a cluster that is started here.

    Raises:
        ConfigError: it cannot be reached.
    """
    settings: dict[str, Any] = {"log_to_driver": False, "include_dashboard": False, **local}
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        if address == "auto":
            try:
                ray.init(address="auto", log_to_driver=False)
            except ConnectionError:
                ray.init(address="local", **settings)
        elif address == "local":
            ray.init(address="local", **settings)
        else:
            ray.init(address=address, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(f"cannot reach a Ray cluster at {address!r}: {first_line(error)}") from None
    finally:
        with suppress(ValueError, TypeError):  # not in the main thread, or not a handler of Python
            signal.signal(signal.SIGTERM, on_sigterm)
