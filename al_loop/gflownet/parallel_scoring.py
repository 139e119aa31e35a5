"""Scores of states of which other processes do the slow part: decoding, and what a reward asks of single objects.

While they work, the sampler draws again or the learner trains. What remains here, such as a Gaussian process on the
features of all objects of a draw, sees the same numbers in the same order as without other processes, so that the
results are equal to the bit, whatever their number.
"""

from __future__ import annotations

import functools
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, TimeoutError
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.reward import AnyReward, LogReward, Reward, StateReward, as_log_reward
from al_loop.gflownet.scoring import Finished, PendingScores, Scorer, Scores, decoded, scores_of_states
from al_loop.gflownet.sources import keys_of_states
from al_loop.system import stopping

#: objects whose names are remembered
_CAPACITY = 1_000_000
#: objects of a task, at least and at most
_LEAST, _MOST = 8, 256
#: tasks for each worker and draw, so that none waits long for the slowest
_TASKS_EACH = 2


@dataclass(frozen=True)
class Task:
    """What a worker does with some objects.

    Args:
        states: terminal states to decode, as nested lists; None: the objects are known.
        objects: the objects, if they are known.
        preparation: what the reward asks of them, pickled; None: nothing.
    """

    states: list[list[int]] | None
    objects: list[str]
    preparation: bytes | None


@dataclass(frozen=True)
class Done:
    """The result of a task.

    Args:
        objects: the objects.
        prepared: what the preparation returned; None if there is none, or it cannot be rebuilt there.
    """

    objects: list[str]
    prepared: Any


def run_task(environment: Environment, task: Task) -> Done:
    """Do a task, in a worker.

    Args:
        environment: the space.
        task: the task.
    """
    objects = task.objects
    if task.states is not None:
        objects = decoded(environment, torch.tensor(task.states, dtype=torch.int64))
    prepare = None if task.preparation is None else _unpickled(task.preparation)
    return Done(objects, None if prepare is None else prepare(objects))


@functools.lru_cache(maxsize=2)
def _unpickled(preparation: bytes) -> Callable[[Sequence[str]], Any] | None:
    """Return a preparation; None if it can only be rebuilt in the process that sent it, as what a notebook defines."""
    try:
        result: Callable[[Sequence[str]], Any] = pickle.loads(preparation)
    except Exception:  # unpickling raises anything
        return None
    return result


class Workers(ABC):
    """Processes that do tasks.

    Attributes:
        count: number of tasks that are done at a time.
        serves_caller: whether the scorer is in the campaign's own process, so that this can use what was prepared.
    """

    count: int
    serves_caller: ClassVar[bool] = True

    @abstractmethod
    def submit(self, task: Task) -> Future[Done]:
        """Begin a task. A worker that dies is replaced, and its task repeated."""

    @abstractmethod
    def close(self) -> None:
        """End the processes."""


class _Remembered(Reward):
    """A plain function of objects, evaluated once for each object.

    Args:
        function: of objects, each of which it scores by itself.
    """

    def __init__(self, function: LogReward) -> None:
        self._function = function
        self._values: dict[str, Tensor] = {}

    def __call__(self, objects: Sequence[str]) -> Tensor:
        new = self.unprepared(objects)
        if new:
            self.accept(new, self.prepared(new))
        return torch.stack([self._values[name] for name in objects])

    def unprepared(self, objects: Sequence[str]) -> list[str]:
        return [name for name in dict.fromkeys(objects) if name not in self._values]

    @property
    def preparation(self) -> Callable[[Sequence[str]], Any]:
        return functools.partial(_values, self._function)

    def prepared(self, objects: Sequence[str]) -> Any:
        """Return the log-rewards of objects, in the form of the preparation."""
        return _values(self._function, objects)

    def accept(self, objects: Sequence[str], prepared: Any) -> None:
        self._values.update(zip(objects, torch.tensor(prepared), strict=True))


def _values(function: LogReward, objects: Sequence[str]) -> Any:
    return as_log_reward(function(objects), len(objects)).detach().cpu().numpy()


class ParallelScorer(Scorer):
    """Scores states with the help of other processes.

    Args:
        environment: the space; it can be pickled.
        workers: the processes, which are closed with the scorer.
    """

    def __init__(self, environment: Environment, workers: Workers) -> None:
        self._environment, self._workers = environment, workers
        self._names: dict[Hashable, str] = {}
        self._decoding: dict[Hashable, _Job] = {}  # jobs by the objects that they decode
        self._preparing: dict[str, _Job] = {}  # jobs by the known objects that they prepare
        self._given: AnyReward | None = None
        self._reward: AnyReward | None = None
        self._preparation: bytes | None = None

    @property
    def log_reward(self) -> AnyReward | None:
        return self._given

    def set_reward(self, log_reward: AnyReward) -> None:
        self._given = log_reward
        self._preparing = {}
        is_plain = not isinstance(log_reward, Reward | StateReward)
        self._reward = _Remembered(log_reward) if is_plain else log_reward  # type: ignore[arg-type]
        self._preparation = _pickled(self._reward.preparation) if isinstance(self._reward, Reward) else None

    def begin(self, states: Tensor) -> PendingScores:
        reward = self._reward
        assert reward is not None, "set_reward comes first"
        if isinstance(reward, StateReward):
            return Finished(scores_of_states(reward, states))
        return _Pending(self, reward, *self._begin(states, self._preparation))

    def decode(self, states: Tensor) -> list[str]:
        # in this process, what the reward asks of objects is also asked of the candidates for a batch
        preparation = self._preparation if self._workers.serves_caller else None
        keys, known, jobs = self._begin(states, preparation)
        return _names(keys, known, jobs, self)

    def _begin(
        self, states: Tensor, preparation: bytes | None
    ) -> tuple[list[Hashable], dict[Hashable, str], list[_Job]]:
        """Begin what is to be done for states; return their keys, the names that are known, and the jobs."""
        if len(self._names) > _CAPACITY:
            self._names.clear()
        keys = keys_of_states(self._environment, states)
        rows = {key: row for row, key in reversed(list(enumerate(keys)))}
        known = {key: self._names[key] for key in rows if key in self._names}
        new = sorted(row for key, row in rows.items() if key not in known and key not in self._decoding)
        table = states[new].tolist()
        for part in self._parts(len(new)):
            of_part = [keys[row] for row in new[part]]
            job = _Job(self._workers.submit(Task(table[part], [], preparation)), of_part, self._reward)
            self._decoding.update(dict.fromkeys(of_part, job))
        jobs = {id(self._decoding[key]): self._decoding[key] for key in rows if key in self._decoding}
        if preparation is not None and isinstance(self._reward, Reward):
            asked = self._reward.unprepared(list(dict.fromkeys(known.values())))
            names = [name for name in asked if name not in self._preparing]
            for part in self._parts(len(names)):
                job = _Job(self._workers.submit(Task(None, names[part], preparation)), [], self._reward)
                self._preparing.update(dict.fromkeys(names[part], job))
            jobs |= {id(self._preparing[name]): self._preparing[name] for name in asked}
        return keys, known, list(jobs.values())

    def _parts(self, n: int) -> list[slice]:
        """Return the slices of n objects that become tasks."""
        size = min(max(-(-n // (_TASKS_EACH * self._workers.count)), _LEAST), _MOST)
        return [slice(i, i + size) for i in range(0, n, size)]

    def finish(self, job: _Job) -> None:
        """Wait for a job, and take over its results."""
        if job.done is not None:
            return
        done = job.wait()
        self._names.update(job.names)
        for key in job.keys:
            self._decoding.pop(key, None)
        if job.reward is self._reward:
            for name in done.objects:
                self._preparing.pop(name, None)
            if isinstance(job.reward, Reward) and done.prepared is not None:
                job.reward.accept(done.objects, done.prepared)

    def forget(self, jobs: Sequence[_Job]) -> None:
        """Forget the jobs of a draw that has failed, so that its objects can be tried again."""
        self._decoding = {key: job for key, job in self._decoding.items() if job not in jobs}
        self._preparing = {name: job for name, job in self._preparing.items() if job not in jobs}

    def close(self) -> None:
        self._workers.close()


class _Job:
    """A task that a worker does.

    Args:
        future: its result.
        keys: keys of the objects that it decodes.
        reward: the reward for which it prepares them.
    """

    def __init__(self, future: Future[Done], keys: list[Hashable], reward: AnyReward | None) -> None:
        self._future, self.keys, self.reward = future, keys, reward
        self.done: Done | None = None

    @property
    def names(self) -> dict[Hashable, str]:
        """The objects that it has decoded, by their keys."""
        assert self.done is not None, "wait comes first"
        return dict(zip(self.keys, self.done.objects, strict=True)) if self.keys else {}

    def wait(self) -> Done:
        """Wait for the result."""
        while self.done is None:
            stopping.look()
            try:
                self.done = self._future.result(timeout=stopping.POLL_S)
            except TimeoutError:
                if self._future.done():  # the task itself has raised it
                    raise
        return self.done


def _names(keys: list[Hashable], known: dict[Hashable, str], jobs: list[_Job], scorer: ParallelScorer) -> list[str]:
    """Wait for jobs, and return the objects of keys."""
    names = dict(known)
    for job in jobs:
        try:
            scorer.finish(job)
        except Exception:
            scorer.forget(jobs)
            raise
        names.update(job.names)
    return [names[key] for key in keys]


class _Pending:
    """Scores that workers are busy with."""

    def __init__(
        self,
        scorer: ParallelScorer,
        reward: LogReward,
        keys: list[Hashable],
        known: dict[Hashable, str],
        jobs: list[_Job],
    ) -> None:
        self._scorer, self._reward = scorer, reward
        self._keys, self._known, self._jobs = keys, known, jobs

    def result(self) -> Scores:
        objects = _names(self._keys, self._known, self._jobs, self._scorer)
        return Scores(as_log_reward(self._reward(objects), len(objects)), objects)


def _pickled(preparation: Callable[[Sequence[str]], Any] | None) -> bytes | None:
    """Pickle what a reward asks of objects; None if it cannot be pickled, so that it is computed here."""
    if preparation is None:
        return None
    try:
        return pickle.dumps(preparation)
    except (pickle.PicklingError, AttributeError, TypeError):
        return None
