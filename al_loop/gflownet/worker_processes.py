"""Processes of this machine that decode and prepare objects for a sampler.

Each is a Python of its own at the end of two pipes, so that it needs neither the caller's main module nor a fork, and
ends when the caller does, even if that is killed: there is nothing left to read then.
"""

from __future__ import annotations

import functools
import os
import pickle
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, BinaryIO

from al_loop.environments.base import Environment
from al_loop.gflownet.parallel_scoring import Done, Task, Workers, run_task

_START = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from al_loop.gflownet.worker_processes import serve
serve()
"""
#: deaths of workers in a row with the same task
_MAX_DEATHS = 3


class WorkerProcesses(Workers):
    """Worker processes, started when the first tasks come.

    Args:
        environment: the space; it can be pickled.
        count: number of processes, at least 1.
    """

    def __init__(self, environment: Environment, count: int) -> None:
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        self.count = count
        self._environment = pickle.dumps(environment)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="decoder")
        self._own = threading.local()  # each thread has a process
        self._processes: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._is_closed = False

    def submit(self, task: Task) -> Future[Done]:
        return self._threads.submit(self._run, task)

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that have been started and live."""
        return [process.pid for process in self._processes if process.poll() is None]

    def _run(self, task: Task) -> Done:
        for _ in range(_MAX_DEATHS):
            process = self._process()
            try:
                _send(process.stdin, task)
                kind, result = _receive(process.stdout)
            except (EOFError, OSError, pickle.UnpicklingError):
                self._end(process)
                continue
            if kind == "error":
                raise result
            assert isinstance(result, Done)
            return result
        what = f"{task.objects[0]!r}, ..." if task.objects else f"the state {(task.states or [[]])[0]}, ..."
        raise RuntimeError(
            f"{_MAX_DEATHS} processes in a row died of the objects {what}; they may be out of memory: set "
            "resources.decoders to a smaller number, or to 0"
        )

    def _process(self) -> subprocess.Popen[bytes]:
        """Return this thread's process, which is started if there is none."""
        process: subprocess.Popen[bytes] | None = getattr(self._own, "process", None)
        if process is not None and process.poll() is None:
            return process
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the decoders were closed")
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            self._processes.append(process)
        self._own.process = process
        assert process.stdin is not None
        with suppress(OSError):  # a process that has died is noticed when it is given a task
            pickle.dump(list(sys.path), process.stdin)
            pickle.dump(self._environment, process.stdin)
            process.stdin.flush()
        return process

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        with suppress(OSError):
            process.kill()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        process.wait()
        with self._lock:
            if process in self._processes:
                self._processes.remove(process)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            processes = list(self._processes)
        for process in processes:
            with suppress(OSError):
                process.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in processes:
            self._end(process)


def _send(stream: Any, message: object) -> None:
    pickle.dump(message, stream, protocol=pickle.HIGHEST_PROTOCOL)
    stream.flush()


def _receive(stream: Any) -> Any:
    return pickle.load(stream)


def serve() -> None:
    """Do tasks that come by standard input until it ends; results go to what was standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller
    source: BinaryIO = sys.stdin.buffer
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed here must not get between the results
    with suppress(EOFError, OSError):
        pickled: bytes = pickle.load(source)
        import torch

        torch.set_num_threads(1)
        while True:
            task: Task = pickle.load(source)
            try:
                answer: tuple[str, Any] = ("done", run_task(_environment(pickled), task))
                message = pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL)
            except Exception as error:
                message = pickle.dumps(("error", _picklable(error)))
            out.write(message)
            out.flush()
    os._exit(0)


@functools.lru_cache(maxsize=1)
def _environment(pickled: bytes) -> Environment:
    try:
        environment: Environment = pickle.loads(pickled)
    except Exception as error:
        raise RuntimeError(
            f"the environment cannot be rebuilt in another process ({type(error).__name__}: {error}); define it in a "
            "module that can be imported, or set resources.decoders to 0"
        ) from error
    return environment


def _picklable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # user-defined exceptions may not survive it
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
