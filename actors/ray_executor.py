"""The same samplers and oracle workers as Ray actors. The only file that talks to Ray's core."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from actors.local import LocalWorker, make_sampler, share_out
from al_loop.config import CampaignConfig
from al_loop.errors import CampaignError, ConfigError
from al_loop.execution import CallTimeout, Executor, MemoryExceeded, OracleWorker, SamplerGroup, WorkerLost
from al_loop.seeds import derive_seed
from oracles.base import Call, Outcome

if TYPE_CHECKING:
    from torch import Tensor

    from al_loop.gflownet.sampler import Draw, LogReward, SearchJob

#: beyond the oracle's own time: the start of its process (at most 120 s where that is more), and the network
_GRACE_S = 150.0


class SamplerActor:
    """A sampler in an actor of its own; it builds its parts from the config."""

    def __init__(self, config: CampaignConfig, path: list[str]) -> None:
        _extend_path(path)
        self._sampler = make_sampler(config)

    def set_reward(self, log_reward: LogReward) -> None:
        self._sampler.set_reward(log_reward)

    def draw(self, weights: Mapping[str, Tensor], n: int, settings: Mapping[str, Any]) -> Draw:
        self._sampler.set_weights(weights)
        return self._sampler.draw(n, **settings)


class OracleActor:
    """Holds an oracle's place in the cluster; the oracle runs in a process below it.

    So its limits hold, and its whole process tree ends, as on one machine.
    """

    def __init__(self, config: CampaignConfig, path: list[str], number: int) -> None:
        _extend_path(path)
        self._worker = LocalWorker(config, number)

    def ready(self) -> None:
        self._worker.start()

    def evaluate(self, objects: Sequence[str], timeout_s: float, call: Call) -> Iterator[Outcome]:
        yield from self._worker.call(objects, timeout_s, call)


def _extend_path(path: list[str]) -> None:
    """Lets an actor import what the driver can import (a folder that is not on its machine does no harm)."""
    sys.path += [folder for folder in path if folder not in sys.path]


class RaySamplers(SamplerGroup):
    """Sampler actors that draw side by side; one that dies is replaced, and its share drawn again."""

    def __init__(self, config: CampaignConfig) -> None:
        self._config = config
        self._reward: Any = None
        self._weights: Any = None
        self._actors = [self._start() for _ in range(config.sampler.count)]

    def _start(self) -> Any:
        resources = self._config.resources
        actor = ray.remote(SamplerActor).options(num_cpus=resources.sampler_cpus, num_gpus=resources.sampler_gpus)
        handle = actor.remote(self._config, list(sys.path))
        if self._reward is not None:
            handle.set_reward.remote(self._reward)
        return handle

    def set_reward(self, log_reward: LogReward) -> None:
        self._reward = ray.put(log_reward)
        for actor in self._actors:
            actor.set_reward.remote(self._reward)

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = ray.put(dict(weights))

    def draw(
        self, n: int, *, seed: int, epsilon: float = 0.0, temperature: float = 1.0, jobs: Sequence[SearchJob] = ()
    ) -> Draw:
        from al_loop.gflownet.sampler import Draw

        asked = {
            i: (
                part,
                {"seed": derive_seed(seed, i), "epsilon": epsilon, "temperature": temperature, "jobs": own},
            )
            for i, part, own in share_out(n, jobs, len(self._actors))
        }
        running = {i: self._ask(i, *what) for i, what in asked.items()}
        draws = []
        for i, what in asked.items():
            for _ in range(3):
                try:
                    draws.append(ray.get(running[i]))
                    break
                except RayActorError:
                    self._actors[i] = self._start()
                    running[i] = self._ask(i, *what)
            else:
                raise CampaignError(f"sampler {i} died three times in a row; see the Ray logs of its actor")
        return Draw.join(draws)

    def _ask(self, number: int, n: int, settings: Mapping[str, Any]) -> Any:
        return self._actors[number].draw.remote(self._weights, n, settings)


class RayWorker(OracleWorker):
    """An oracle actor that is started again after it died or was ended."""

    def __init__(self, config: CampaignConfig, number: int) -> None:
        self.name = f"ray-{number}"
        self._number = number
        self._config = config
        self._actor: Any = None
        self._is_closed = False

    def start(self) -> None:
        with suppress(RayError):
            self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        """Starts the actor where there is none; it may wait for a free place, which is not the oracle's time."""
        if self._actor is None and not self._is_closed:
            resources = self._config.resources
            actor = ray.remote(OracleActor).options(num_cpus=resources.oracle_cpus, num_gpus=resources.oracle_gpus)
            self._actor = actor.remote(self._config, list(sys.path), self._number)
            ray.get(self._actor.ready.remote())

    def call(self, objects: Sequence[str], timeout_s: float, call: Call) -> Iterator[Outcome]:
        if self._is_closed:
            raise WorkerLost("it was closed")
        is_over = False
        try:
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
            raise WorkerLost(str(error).splitlines()[0] if str(error) else type(error).__name__) from error
        finally:
            if not is_over:
                self._kill()

    def _kill(self) -> None:
        if self._actor is not None:
            with suppress(Exception):  # Ray may be gone already
                ray.kill(self._actor)
            self._actor = None

    def close(self) -> None:
        self._is_closed = True
        self._kill()


class RayExecutor(Executor):
    """Samplers and oracle workers as actors of a Ray cluster.

    Args:
        config: of the campaign.
        address: ``auto`` joins the cluster that is there and starts one where there is none; ``ray://HOST:10001``
            and ``HOST:6379`` join that cluster; ``local`` always starts one.
    """

    def __init__(self, config: CampaignConfig, address: str) -> None:
        self._config = config
        self._has_started = not ray.is_initialized()
        if self._has_started:
            _connect(address)
        self._refuse_too_much()

    def _refuse_too_much(self) -> None:
        """Says at once what the cluster lacks, since Ray would wait for it without end."""
        have, resources = ray.cluster_resources(), self._config.resources
        wanted = {
            "sampler": {"CPU": resources.sampler_cpus, "GPU": resources.sampler_gpus},
            "oracle": {"CPU": resources.oracle_cpus, "GPU": resources.oracle_gpus},
        }
        for role, needs in wanted.items():
            for name, amount in needs.items():
                # oracle workers beyond the first may wait for a place, samplers all draw in every step
                count = self._config.sampler.count if role == "sampler" else 1
                if amount * count > have.get(name, 0):
                    raise ConfigError(
                        f"resources.{role}_{name.lower()}s: {amount * count:g} are asked for, the whole cluster has "
                        f"{have.get(name, 0):g}"
                    )

    def samplers(self) -> SamplerGroup:
        return RaySamplers(self._config)

    def oracle_worker(self, number: int) -> OracleWorker:
        return RayWorker(self._config, number)

    def close(self) -> None:
        """Leaves the cluster (and ends it where it was started here)."""
        if self._has_started:
            ray.shutdown()


def _connect(address: str) -> None:
    settings: dict[str, Any] = {"log_to_driver": False, "include_dashboard": False}
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
        raise ConfigError(f"cannot reach a Ray cluster at {address!r}: {str(error).splitlines()[0]}") from None
