"""This machine, without Ray: samplers in this process, oracles in processes of their own."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from al_loop.actors.training import make_training
from al_loop.campaign.building import build_oracle
from al_loop.campaign.executor import CallTimeout, Executor, MemoryExceeded, OracleWorker, SamplerTraining, WorkerLost
from al_loop.config import CampaignConfig
from al_loop.oracles.base import Call, Outcome, evaluate_each
from al_loop.system.processes import adopt_orphans, end_descendants, end_tree, tree_memory

if TYPE_CHECKING:
    from al_loop.ledger import Candidate, Observation
    from al_loop.modelling.fitted import FittedModels
    from al_loop.modelling.fitter import ModelFitter


_MAIN_LOCK = threading.Lock()
_MEMORY_LOOK_S = 0.2


class LocalWorker(OracleWorker):
    """An oracle in a process of its own, in a session of its own, so that its whole tree can be ended.

    logs: the folder for what it prints; None: where this process prints.
    """

    def __init__(self, config: CampaignConfig, number: int, logs: Path | None = None) -> None:
        self.name = f"local-{number}"
        self._config = config
        self._log = None if logs is None else logs / f"oracle-{number}.log"
        self._process: Any = None
        self._connection: Connection | None = None
        self._lifeline: Connection | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def start(self) -> None:
        with suppress(WorkerLost, OSError):
            self._start()

    def _start(self) -> Connection:
        with self._lock:
            if self._is_closed:
                raise WorkerLost("it was closed")
            if self._connection is not None and self._process.is_alive():
                return self._connection
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            watched, self._lifeline = context.Pipe(duplex=False)
            self._process = context.Process(
                target=_serve, args=(theirs, watched, self._config, self._log, list(sys.path)), daemon=False
            )
            with _plain_main():
                self._process.start()
            theirs.close()
            watched.close()
            self._connection = ours
            return ours

    def call(self, objects: Sequence[str], timeout_s: float, call: Call) -> Iterator[Outcome]:
        connection = self._start()
        is_over = False
        try:
            # building the oracle is not part of the call: imports and receptor maps may take their time once
            self._read(connection, time.monotonic() + max(timeout_s, 120.0))
            connection.send((list(objects), call))
            ends = time.monotonic() + timeout_s
            for _ in objects:
                outcome = self._read(connection, ends)
                assert isinstance(outcome, Outcome)
                yield outcome
            is_over = True
        except (EOFError, OSError) as error:
            self._kill()
            code = self._process.exitcode
            raise WorkerLost(f"exit code {code}{'' if self._log is None else f', see {self._log}'}") from error
        finally:
            if not is_over:  # it may be in the middle of the call, whose answers nobody waits for
                self._kill()

    def _read(self, connection: Connection, ends: float) -> Any:
        """What the process sends next; it is ended where that takes too long, or too much memory."""
        limit_gb = self._config.evaluation.memory_gb
        longest = _MEMORY_LOOK_S if limit_gb else math.inf
        while not connection.poll(min(longest, max(ends - time.monotonic(), 0))):
            if time.monotonic() >= ends:
                self._kill()
                raise CallTimeout
            held_gb = tree_memory(self._process.pid) / 1e9
            if limit_gb and held_gb > limit_gb:
                self._kill()
                raise MemoryExceeded(f"it held {held_gb:.2f} GB, more than evaluation.memory_gb = {limit_gb:g}")
        return connection.recv()

    def _kill(self) -> None:
        with self._lock:
            process = self._process
            if process is not None and process.pid is not None:
                if process.is_alive():
                    end_tree(process.pid)
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)  # what is left where the process itself had died before
                process.join(timeout=10)
            for connection in (self._connection, self._lifeline):
                if connection is not None:
                    connection.close()
            self._connection = self._lifeline = None

    def close(self) -> None:
        self._is_closed = True
        self._kill()


@contextmanager
def _plain_main() -> Iterator[None]:
    """Keeps ``spawn`` from importing the caller's main module into the worker, which needs none of it.

    A notebook or a script without a ``__main__`` guard would otherwise start campaigns of its own.
    """
    with _MAIN_LOCK:
        main = vars(sys.modules["__main__"])
        saved = {name: main[name] for name in ("__file__", "__spec__") if name in main}
        main["__spec__"] = None
        main.pop("__file__", None)
        try:
            yield
        finally:
            main.update(saved.items())


def _serve(
    connection: Connection, lifeline: Connection, config: CampaignConfig, log: Path | None, path: list[str]
) -> None:
    """The worker process: builds the oracle, then answers until the other end is gone."""
    os.setsid()
    adopt_orphans()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.path[:] = path
    with suppress(OSError):
        output = 1 if log is None else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)

    def watch() -> None:  # a driver that was killed must not leave its workers behind
        with suppress(EOFError, OSError):
            lifeline.recv_bytes()
        end_descendants()
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    failure: Outcome | None = None
    try:
        oracle = build_oracle(config)
    except Exception as error:
        failure = Outcome.failed("permanent", f"the oracle could not be built: {type(error).__name__}: {error}")
    while True:
        try:
            connection.send("ready")
            objects, call = connection.recv()
            for outcome in [failure] * len(objects) if failure else evaluate_each(oracle, objects, call):
                connection.send(outcome)
        except (EOFError, OSError):
            return


class LocalExecutor(Executor):
    """Everything on this machine, without Ray."""

    def __init__(self, config: CampaignConfig, logs: Path) -> None:
        self._config, self._logs = config, logs

    def training(self) -> SamplerTraining:
        from al_loop.campaign.sampler_training import make_sampler
        from al_loop.gflownet.pipeline import InlineSampler

        return make_training(self._config, lambda: InlineSampler(make_sampler(self._config)))

    def fit(
        self,
        fitter: ModelFitter,
        observations: Sequence[Observation],
        pending: Sequence[Candidate],
        factors: Sequence[float],
    ) -> FittedModels:
        return fitter.on(self._config.sampler.device).fit(observations, pending, factors)

    def oracle_worker(self, number: int) -> OracleWorker:
        return LocalWorker(self._config, number, self._logs)

    def close(self) -> None:
        """Nothing is left: the workers are closed by whoever asked for them."""
