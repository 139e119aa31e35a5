"""The modules ``threading``, ``time``, ``random`` and others as a simulated world has them."""

from __future__ import annotations

import datetime as real_datetime
import os
import platform
import random
import threading
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from benchmarks.support.simulation.scheduler import Task, World


class _Module:
    """A module of which some names are replaced."""

    def __init__(self, original: Any, **names: Any) -> None:
        self._original = original
        self.__dict__.update(names)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


class Lock:
    """A lock that may be acquired several times by its owner if it is re-entrant."""

    is_reentrant = False

    def __init__(self, world: World) -> None:
        self._world, self.owner, self.count = world, None, 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        world = self._world
        if not world.is_simulated():
            return True
        world.switch()
        me = world.task
        if self.is_reentrant and self.owner is me:
            self.count += 1
            return True
        if self.owner is not None and not blocking:
            return False
        if not world.wait_until(lambda: self.owner is None, None if timeout < 0 else timeout):
            return False
        self.owner, self.count = me, 1
        return True

    def release(self) -> None:
        if not self._world.is_simulated() or self._world.is_dead():  # nobody else of this process goes on
            return
        self.count -= 1
        if not self.count:
            self.owner = None

    def locked(self) -> bool:
        return self.owner is not None

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


class RLock(Lock):
    is_reentrant = True


class Condition:
    """A condition of a lock."""

    def __init__(self, world: World, lock: Lock | None = None) -> None:
        self._world, self._lock = world, lock or RLock(world)
        self._waiters: list[list[bool]] = []

    def wait(self, timeout: float | None = None) -> bool:
        lock, mine = self._lock, [False]
        self._waiters.append(mine)
        owner, count = lock.owner, lock.count
        lock.owner, lock.count = None, 0
        self._world.wait_until(lambda: mine[0], timeout)
        self._waiters = [waiter for waiter in self._waiters if waiter is not mine]
        self._world.wait_until(lambda: lock.owner is None)
        lock.owner, lock.count = owner, count
        return mine[0]

    def notify(self, n: int = 1) -> None:
        for waiter in [w for w in self._waiters if not w[0]][:n]:
            waiter[0] = True

    def notify_all(self) -> None:
        self.notify(len(self._waiters))

    def __enter__(self) -> bool:
        return self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class Event:
    """A flag that can be waited for."""

    def __init__(self, world: World) -> None:
        self._world, self._flag = world, False

    def is_set(self) -> bool:
        return self._flag

    def set(self) -> None:
        self._flag = True

    def clear(self) -> None:
        self._flag = False

    def wait(self, timeout: float | None = None) -> bool:
        return self._world.wait_until(lambda: self._flag, timeout)


class Thread:
    """A thread of the process that starts it."""

    def __init__(
        self,
        world: World,
        target: Callable[..., object] | None = None,
        name: str = "",
        args: tuple[Any, ...] = (),
        daemon: bool | None = None,
    ) -> None:
        self._world, self.name = world, name or "thread"
        self._target, self._args = target, args
        self._task: Task | None = None

    def start(self) -> None:
        target = self._target
        assert target is not None
        self._world.switch()
        self._task = self._world.spawn(self._world.task.process, self.name, lambda: target(*self._args))

    def is_alive(self) -> bool:
        return self._task is not None and not self._task.is_over

    def join(self, timeout: float | None = None) -> None:
        self._world.wait_until(lambda: not self.is_alive(), timeout)


class _AnyDatetime(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, real_datetime.datetime)


def modules(world: World) -> dict[str, Any]:
    """Return the modules of a world by the names that they are imported by.

    Args:
        world: whose clock, threads and random numbers they use.
    """

    class SimulatedDatetime(real_datetime.datetime, metaclass=_AnyDatetime):
        @classmethod
        def now(cls, tz: real_datetime.tzinfo | None = None) -> Self:
            return real_datetime.datetime.fromtimestamp(world.wall, tz)  # type: ignore[return-value]

    def pid() -> int:
        return world.task.process.pid if world.is_simulated() else os.getpid()

    chance = random.Random(world.chance.random())
    return {
        "threading": _Module(
            threading,
            Lock=lambda: Lock(world),
            RLock=lambda: RLock(world),
            Condition=lambda lock=None: Condition(world, lock),
            Event=lambda: Event(world),
            Thread=lambda *a, **k: Thread(world, *a, **k),
        ),
        "time": _Module(
            time,
            monotonic=lambda: world.now,
            perf_counter=lambda: world.now,
            time=lambda: world.wall,
            sleep=world.sleep,
        ),
        "datetime": SimulatedDatetime,
        "random": chance,
        "uuid": _Module(uuid, uuid4=lambda: uuid.UUID(int=chance.getrandbits(128), version=4)),
        "os": _Module(os, getpid=pid),
        "platform": _Module(
            platform, node=lambda: world.task.process.host if world.is_simulated() else platform.node()
        ),
    }
