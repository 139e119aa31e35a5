"""A seeded scheduler of threads with a clock of its own: one seed gives one interleaving.

Exactly one simulated thread runs at a time. It hands over at *switch points*: where it waits for a lock, a condition,
an event or a time, and wherever else ``World.switch`` is called (statements of the database, writes of files, calls of
the oracle). The next thread is drawn by the seed. If every thread waits, the clock jumps to the first deadline.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_STEP_S = 0.0005  # by which the clock advances at each switch point
_STAYS = 0.6  # chance that the running thread goes on
_MOST_STEPS = 400_000  # of one campaign; more is a livelock
BEGAN = 1_790_000_000.0  # the clock on the wall when a simulation begins


class Killed(BaseException):
    """Raised in the threads of a process that was killed."""


class SimulationError(Exception):
    """What a simulation finds: a broken promise, a deadlock or a livelock."""


@dataclass(eq=False)
class Process:
    """A simulated process.

    Args:
        name: for the trace.
        host: the machine that it runs on.
        pid: its number.
    """

    name: str
    host: str
    pid: int
    is_dead: bool = False
    suspended_until: float = 0.0
    #: whether faults may hit it
    is_exposed: bool = True
    tasks: list[Task] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether all its threads have ended."""
        return all(task.is_over for task in self.tasks)


@dataclass(eq=False)
class Task:
    """A simulated thread."""

    name: str
    process: Process
    run: Callable[[], object]
    gate: Any = field(default_factory=threading.Lock)
    is_ready: Callable[[], bool] | None = None
    deadline: float | None = None
    is_over: bool = False
    thread: threading.Thread | None = None
    error: BaseException | None = None


class World:
    """The threads, the clock and the faults of one simulation.

    Args:
        seed: of everything that is drawn.
        root: the folder of its files, which a trace calls ROOT.
        has_trace: whether to keep a line for each event.
    """

    def __init__(self, seed: int, root: str, *, has_trace: bool = False) -> None:
        self.chance = random.Random(seed)
        self.now, self.wall_offset = 0.0, BEGAN
        self.faults: Counter[str] = Counter()
        self.lines: list[str] = []
        self.n_steps = 0
        #: called at each switch point with what the running task is about to do; may raise a fault in its place
        self.on_switch: Callable[[Task, str], None] = lambda task, what: None
        self._has_trace, self.root = has_trace, root
        self._tasks: list[Task] = []
        self._main = threading.Lock()
        self._failure: BaseException | None = None
        self._local = threading.local()

    # -- the clock and the trace ---------------------------------------------------------------------------------------

    @property
    def wall(self) -> float:
        """The time on the wall, in seconds since 1970."""
        return self.wall_offset + self.now

    def note(self, text: str) -> None:
        """Add a line to the trace."""
        if self._has_trace:
            task: Task | None = getattr(self._local, "task", None)
            who = "" if task is None else f"{task.process.name}/{task.name}"
            self.lines.append(f"{self.now:10.4f} {who:<22} {text.replace(self.root, 'ROOT')}")

    def fault(self, name: str) -> None:
        """Count a fault."""
        self.faults[name] += 1
        self.note(f"FAULT {name}")

    # -- tasks ---------------------------------------------------------------------------------------------------------

    @property
    def task(self) -> Task:
        """The task that runs."""
        task: Task = self._local.task
        return task

    def is_simulated(self) -> bool:
        """Return whether the present thread is one of the simulation's."""
        return getattr(self._local, "task", None) is not None

    def spawn(self, process: Process, name: str, run: Callable[[], object]) -> Task:
        """Start a thread of a process; it runs when it is drawn."""
        task = Task(name, process, run)
        task.gate.acquire()
        task.thread = threading.Thread(target=self._run, args=(task,), daemon=True)
        self._tasks.append(task)
        process.tasks.append(task)
        task.thread.start()
        return task

    def run(self, process: Process, run: Callable[[], object]) -> None:
        """Run a function in a first thread, and return when all threads have ended.

        Raises:
            Exception: what the function raised, or a deadlock or livelock.
        """
        first = self.spawn(process, "main", run)
        self._main.acquire()
        first.gate.release()
        self._main.acquire()
        self._main.release()
        for task in self._tasks:
            assert task.thread is not None
            task.thread.join()
        if self._failure is not None:
            raise self._failure
        if first.error is not None:
            raise first.error

    def _run(self, task: Task) -> None:
        task.gate.acquire()
        self._local.task = task
        try:
            if not task.process.is_dead:
                task.run()
        except Killed:
            pass
        except BaseException as error:
            task.error = error
            self.note(f"ended by {type(error).__name__}: {error}")
        task.is_over = True
        self._hand_over()

    def _hand_over(self) -> None:
        following = self._next(None)
        if following is not None:
            following.gate.release()
        else:
            self._main.release()

    def _next(self, running: Task | None) -> Task | None:
        """Return the task that runs next; None if all have ended."""
        alive = [task for task in self._tasks if not task.is_over]
        if not alive:
            return None
        dying = next((task for task in alive if task.process.is_dead), None)
        if dying is not None:  # a death takes no time
            return dying
        while True:
            ready = [task for task in alive if self._is_ready(task)]
            if ready:
                if running in ready and self.chance.random() < _STAYS:
                    return running
                return ready[self.chance.randrange(len(ready))] if len(ready) > 1 else ready[0]
            times = [t.deadline for t in alive if t.deadline is not None]
            times += [t.process.suspended_until for t in alive]
            ahead = [time for time in times if time > self.now]
            if not ahead:
                waiting = ", ".join(f"{t.process.name}/{t.name}" for t in alive)
                self._fail(SimulationError(f"deadlock: every thread waits for ever ({waiting})"))
                return alive[0]
            self.now = min(ahead)

    def _is_ready(self, task: Task) -> bool:
        if task.process.suspended_until > self.now:
            return False
        if task.is_ready is None or task.is_ready():
            return True
        return task.deadline is not None and task.deadline <= self.now

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self.note(f"FAILED {error}")
        for task in self._tasks:
            task.process.is_dead = True

    # -- what a running task calls -------------------------------------------------------------------------------------

    def switch(self, what: str = "") -> None:
        """Let another task run, or a fault happen, before the present task does something.

        Args:
            what: what it is about to do; empty for nothing of its own.

        Raises:
            Killed: its process is dead.
        """
        self._require_alive()
        if what:
            self.note(what)
        self.on_switch(self.task, what)
        self._require_alive()
        self._wait(None, None)

    def wait_until(self, is_ready: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Wait until a condition holds; return whether it does.

        Args:
            is_ready: the condition, which other tasks make true.
            timeout_s: how long to wait at most; None: for ever.
        """
        self._require_alive()
        self._wait(is_ready, None if timeout_s is None else self.now + max(timeout_s, 0.0))
        return is_ready()

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.wait_until(lambda: False, seconds)

    def _wait(self, is_ready: Callable[[], bool] | None, deadline: float | None) -> None:
        task = self.task
        self.n_steps += 1
        self.now += _STEP_S
        if self.n_steps > _MOST_STEPS and self._failure is None:
            self._fail(SimulationError(f"livelock: more than {_MOST_STEPS} steps"))
        task.is_ready, task.deadline = is_ready, deadline
        following = self._next(task)
        if following is not task and following is not None:
            following.gate.release()
            task.gate.acquire()
        task.is_ready = task.deadline = None
        self._require_alive()

    def _require_alive(self) -> None:
        if self.task.process.is_dead:
            raise Killed

    def is_dead(self) -> bool:
        """Return whether the present task's process was killed."""
        return self.is_simulated() and self.task.process.is_dead
