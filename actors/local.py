"""The roles of a campaign on this machine, without Ray: samplers in this process, oracles in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from al_loop.actors.training import make_training
from al_loop.actors.watchdog import start_watchdog
from al_loop.actors.worker_output import WorkerOutput, describe_exit
from al_loop.campaign.building import build_oracle
from al_loop.campaign.executor import (
    NOT_BUILT,
    CallEnded,
    CallTimeout,
    Executor,
    MemoryExceeded,
    NotBuilt,
    OracleWorker,
    SamplerTraining,
    WorkerLost,
)
from al_loop.config import CampaignConfig
from al_loop.errors import ConfigError
from al_loop.oracles.base import Call, Failure, FailureKind, Outcome, evaluate_each, outcome_of_error
from al_loop.storage.bounded_log import BoundedLog
from al_loop.system.isolated_spawn import SAFE_PATH, isolated_spawn
from al_loop.system.processes import adopt_orphans, end_descendants, end_tree, tree_memory
from al_loop.system.tracebacks import shorten

if TYPE_CHECKING:
    from al_loop.ledger import Candidate, Observation
    from al_loop.modelling.fitted import FittedModels
    from al_loop.modelling.fitter import ModelFitter


_MEMORY_POLL_S = 0.2
_ALIVE_POLL_S = 2.0  # a process forked by the oracle may keep the connection of a dead worker open
_TRIM_S = 1.0
_MAX_TRACEBACK = 2_000  # characters in the ledger; the log has all of it
_MAX_OUTPUT = 2_000


class LocalWorker(OracleWorker):
    """An oracle in a process and a session of its own, so that the whole tree of its processes can be killed.

    Args:
        config: The campaign's configuration.
        number: The worker's number.
        logs: The folder of the file that the oracle's output goes to; None: the output of this process.
    """

    def __init__(self, config: CampaignConfig, number: int, logs: Path | None = None) -> None:
        self.name = f"local-{number}"
        self._config = config
        self._log = None if logs is None else logs / f"oracle-{number}.log"
        self._process: Any = None
        self._connection: Connection | None = None
        self._lifeline: Connection | None = None
        self._lock = threading.Lock()
        self._is_closed = self._is_calling = False

    def start(self) -> None:
        with suppress(WorkerLost, OSError):
            self._start()

    def _start(self) -> Connection:
        """Return the connection to the oracle's process, which is started if it is not running."""
        with self._lock:
            if self._is_closed:
                raise WorkerLost("it was closed")
            if self._connection is not None and self._process.is_alive():
                return self._connection
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            watched, self._lifeline = context.Pipe(duplex=False)
            with isolated_spawn() as has_safe_path:
                self._process = context.Process(
                    target=_serve,
                    args=(theirs, watched, self._config, self._log, list(sys.path), has_safe_path),
                    daemon=False,
                )
                self._process.start()
            theirs.close()
            watched.close()
            self._connection = ours
            return ours

    def call(self, objects: Sequence[str], timeout_s: float, call: Call) -> Iterator[Outcome]:
        connection = self._start()
        is_complete = False
        self._is_calling = True
        log = None if self._log is None else BoundedLog(self._log)
        position = 0 if log is None else log.size
        try:
            # building the oracle is not part of the call: imports and receptor maps may take their time once
            self._await_built(connection)
            connection.send((list(objects), call, timeout_s))
            deadline = time.monotonic() + timeout_s
            is_built = True
            for _ in objects:
                outcome = self._receive(connection, deadline)
                assert isinstance(outcome, Outcome)
                is_built = is_built and not _is_not_built(outcome)
                yield outcome
            is_complete = is_built  # else the next call builds it anew
        except (CallEnded, EOFError, OSError) as error:
            self._kill()
            see = "" if self._log is None else f"; see logs/{self._log.name}"
            ended = error if isinstance(error, CallEnded) else WorkerLost(describe_exit(self._process.exitcode) + see)
            if log is not None:
                ended.output = log.since(position, _MAX_OUTPUT).decode(errors="replace")
            raise ended from error.__cause__
        finally:
            self._is_calling = False
            if not is_complete:  # the process may be in the middle of a call whose outcomes nobody waits for
                self._kill()

    def _await_built(self, connection: Connection) -> None:
        """Wait until the process has built its oracle.

        Raises:
            NotBuilt: that takes too long or too much memory.
        """
        limit_s = self._config.evaluation.build_timeout_s
        try:
            self._receive(connection, time.monotonic() + limit_s)
        except CallTimeout as error:
            raise NotBuilt(f"it was not ready within {limit_s:g} s (evaluation.build_timeout_s)") from error
        except MemoryExceeded as error:
            raise NotBuilt(str(error)) from error

    def _receive(self, connection: Connection, deadline: float) -> Any:
        """Return the next message of the process, which is killed if that takes too long or too much memory."""
        limit_gb = self._config.evaluation.memory_gb
        longest_wait = _MEMORY_POLL_S if limit_gb else _ALIVE_POLL_S
        while not connection.poll(min(longest_wait, max(deadline - time.monotonic(), 0))):
            if time.monotonic() >= deadline:
                self._kill()
                raise CallTimeout
            if not self._process.is_alive() and not connection.poll():
                raise EOFError
            memory_gb = tree_memory(self._process.pid) / 1e9 if limit_gb else 0.0
            if limit_gb and memory_gb > limit_gb:
                self._kill()
                raise MemoryExceeded(f"it used {memory_gb:.2f} GB, more than evaluation.memory_gb = {limit_gb:g}")
        return connection.recv()

    def _kill(self, *, keep_connection: bool = False) -> None:
        """End the process and all that it started.

        Args:
            keep_connection: whether outcomes that have arrived may still be read.
        """
        with self._lock:
            process = self._process
            if process is not None and process.pid is not None:
                if process.is_alive():
                    _end(process)
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)  # descendants of a process that had died before
                process.join(timeout=10)
            if keep_connection:
                return
            for connection in (self._connection, self._lifeline):
                if connection is not None:
                    connection.close()
            self._connection = self._lifeline = None

    def close(self) -> None:
        self._is_closed = True
        self._kill(keep_connection=self._is_calling)  # the call closes it when it has read what is there


def _end(process: Any) -> None:
    """Kill a worker's process and all that it started.

    One that has no session of its own yet has started nothing, and has no watchdog, which would end it if this process
    were killed after it has stopped the tree.
    """
    with suppress(ProcessLookupError):
        if os.getsid(process.pid) == process.pid:
            end_tree(process.pid)
        else:
            process.kill()


def _serve(
    connection: Connection,
    lifeline: Connection,
    config: CampaignConfig,
    log: Path | None,
    path: list[str],
    has_safe_path: bool,
) -> None:
    """Build the oracle in the worker's process, and answer calls until the other end of the connection is gone.

    Args:
        connection: Receives calls and sends outcomes.
        lifeline: Ends when the driver has died.
        config: The campaign's configuration.
        log: The file that the process's output goes to; None: the driver's.
        path: The driver's import path.
        has_safe_path: Whether the user has set ``PYTHONSAFEPATH``, so that the oracle's programs inherit it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    start_watchdog(lifeline.fileno(), log)
    os.setsid()  # from now on the oracle may start processes; see _end
    adopt_orphans()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if not has_safe_path:
        os.environ.pop(SAFE_PATH, None)
    sys.path[:] = path
    output = WorkerOutput(log)

    def watch() -> None:  # a driver that was killed must not leave its workers behind
        with suppress(EOFError, OSError):
            while not lifeline.poll(_TRIM_S):
                output.trim()
        end_descendants()
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    failure: Outcome | None = None
    try:
        oracle = build_oracle(config)
    except BaseException as error:  # a constructor may call sys.exit
        failure = _not_built(error)
    pid = os.getpid()
    while True:
        try:
            connection.send("ready")
            objects, call, timeout_s = connection.recv()
            output.begin_call(timeout_s)
            outcomes = iter([failure] * len(objects)) if failure else evaluate_each(oracle, objects, call)
            for item, outcome in zip(objects, outcomes, strict=True):
                if os.getpid() != pid:
                    output.write(f"a process that the oracle has forked returned from its code for {item:.200}\n")
                    os._exit(0)  # its answers are copies of those of this process
                output.record(item, outcome)
                output.trim()
                connection.send(_shortened(outcome))
            output.end_call()
        except (EOFError, OSError):
            return


def _not_built(error: BaseException) -> Outcome:
    """Return the failure where the oracle could not be built: no object's, whatever its constructor says."""
    outcome = outcome_of_error((error.__cause__ if isinstance(error, ConfigError) else None) or error)
    assert outcome.failure is not None
    kind: FailureKind = "unavailable" if outcome.failure.kind in ("unavailable", "retryable") else "environment"
    return replace(outcome, failure=Failure(kind, f"{NOT_BUILT}: {outcome.failure.reason}"))


def _is_not_built(outcome: Outcome) -> bool:
    return outcome.failure is not None and outcome.failure.reason.startswith(NOT_BUILT)


def _shortened(outcome: Outcome) -> Outcome:
    """Return an outcome whose traceback is short enough for the ledger."""
    error = outcome.info.get("error")
    if outcome.failure is None or not isinstance(error, dict) or "traceback" not in error:
        return outcome
    short = {**error, "traceback": shorten(str(error["traceback"]), _MAX_TRACEBACK)}
    return replace(outcome, info={**outcome.info, "error": short})


class LocalExecutor(Executor):
    """All roles of a campaign on this machine, without Ray.

    Args:
        config: The campaign's configuration.
        logs: The folder of the oracle workers' logs.
    """

    def __init__(self, config: CampaignConfig, logs: Path) -> None:
        self._config, self._logs = config, logs

    def training(self) -> SamplerTraining:
        from al_loop.campaign.sampler_training import make_sampler
        from al_loop.gflownet.local_replicas import LocalReplicas
        from al_loop.gflownet.pipeline import InlineSampler

        return make_training(self._config, lambda: InlineSampler(make_sampler(self._config)), LocalReplicas)

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
        """Do nothing: the owners of workers and trainings close them."""
