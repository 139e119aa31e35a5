"""Run whole campaigns over seeds and settings, as many at a time as there is room for.

Every campaign has a run directory of its own, named by its settings, and only its ledger is remembered: the same sweep,
started again, runs the same campaigns in the same folders, where finished ones have nothing left to do and others
resume.
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from al_loop.actors.name_clashes import refuse_shadows_here
from al_loop.actors.sweeps.plan import Combination, list_names
from al_loop.actors.sweeps.resources import Machine, needs_of
from al_loop.actors.sweeps.table import SweepResult, open_ledger, tabulate
from al_loop.actors.sweeps.trial import ProcessContext, Trial, TrialEvent, TrialProcess
from al_loop.campaign.answers_at_stop import ALL_SAFE
from al_loop.campaign.building import campaign_fingerprint
from al_loop.campaign.oracle_description import describe_oracle
from al_loop.errors import CampaignError, ConfigError, summary
from al_loop.storage.files import acquire_lock, open_lock, write_whole
from al_loop.system.private_files import make_private_folder
from al_loop.system.stopping import (
    FINISH_CALLS,
    POLL_S,
    Stopped,
    StopRequest,
    current_request,
    stop_on_unhandled_signals,
)

_MAX_AT_ONCE = 200  # each has a thread here, and on a cluster an actor that waits for room
Launch = Callable[[Combination, threading.Event], AbstractContextManager[Trial | None]]


def sweep(
    combinations: Sequence[Combination],
    run_dir: Path,
    *,
    address: str = "local",
    concurrent: int | None = None,
    on_event: Callable[[str, TrialEvent], None] = lambda name, event: None,
) -> SweepResult:
    """Run or resume all campaigns; one that fails does not stop the others.

    Args:
        combinations: The campaigns, as from ``plan``.
        run_dir: The folder of the run directories and of the table, ``sweep.csv``. On a cluster this is storage that
            all of its machines share.
        address: ``local`` runs the campaigns as processes of this machine; ``auto``, ``ray://HOST:10001`` and
            ``HOST:6379`` join a Ray cluster. A cluster that this process has joined already is used in any case.
        concurrent: The largest number of campaigns at a time; None: as many as there is room for.
        on_event: Called with the name of a combination at the end of each of its rounds, and at its own end.

    Returns:
        The table of results, and means over the seeds.

    Raises:
        ConfigError: The run directory cannot be written to, or another sweep is using it, or it holds other
            campaigns, or the cluster cannot be reached.
        CampaignError: The table cannot be written.
        Stopped: After a signal, when all campaigns have stopped.
    """
    run_dir = run_dir.absolute()
    _refuse_other_campaigns(combinations, run_dir)
    try:
        make_private_folder(run_dir)
        lock = open_lock(run_dir / "lock")  # names this process to al-loop stop
    except OSError as error:
        raise ConfigError(f"cannot write to {run_dir}: {error.strerror}; choose another with --run-dir") from None
    with ExitStack() as stack:
        acquire_lock(stack.enter_context(lock), f"the sweep in {run_dir}")
        is_local = address == "local" and not _is_connected()
        if is_local:
            launch = _local_launch(combinations, run_dir)
        else:
            launch = stack.enter_context(_cluster_launch(run_dir, address))
        n_at_once = min(concurrent or len(combinations), len(combinations), _MAX_AT_ONCE)
        problems = _run_all(combinations, launch, n_at_once, on_event)
        result = tabulate(combinations, problems, run_dir)
        try:
            write_whole(run_dir / "sweep.csv", result.table.to_csv(index=False).encode())
        except OSError as error:
            raise CampaignError(
                f"cannot write {run_dir / 'sweep.csv'} ({error.strerror}); every measured value is safe in the "
                "campaigns' ledgers; fix the cause and run the same command again"
            ) from error
    return result


def _refuse_other_campaigns(combinations: Sequence[Combination], run_dir: Path) -> None:
    """Refuse folders that hold campaigns of another sweep, before anything is run."""
    names, different = [], set()
    for c in combinations:
        if (run := open_ledger(c, run_dir)) is None:
            continue
        with run:
            campaign = run.ledger.campaign()
        assert campaign is not None
        if campaign.fingerprint != campaign_fingerprint(c.config, describe_oracle(c.config)):
            names.append(c.name)
            now = c.config.model_dump(mode="json", exclude={"ledger"})
            different |= {key for key in now if campaign.config.get(key) != now[key]}
    if names:
        raise ConfigError(
            f"{run_dir} holds other campaigns in {list_names(names)} (different: "
            f"{', '.join(sorted(different)) or 'the code or data behind the oracle'}); start this sweep with another "
            "--run-dir, or resume that one with its own settings"
        )


# ---- where campaigns run -----------------------------------------------------------------------------------------


def _is_connected() -> bool:
    """Return whether this process has joined a Ray cluster."""
    return "ray" in sys.modules and bool(sys.modules["ray"].is_initialized())


def _local_launch(combinations: Sequence[Combination], run_dir: Path) -> Launch:
    """Return a function that runs a campaign as a process of this machine, once there is room for it."""
    unlimited = {"CPU": float("inf"), "GPU": float("inf")}
    machine = Machine.here(has_gpus=any("GPU" in needs_of(c.config, unlimited) for c in combinations))
    context = ProcessContext.here()

    @contextmanager
    def launch(c: Combination, is_stopping: threading.Event) -> Iterator[Trial | None]:
        share = machine.take(needs_of(c.config, machine.largest), is_stopping)
        if share is None:
            yield None
            return
        try:
            variables = {"CUDA_VISIBLE_DEVICES": ",".join(share.gpus)} if share.gpus else {}
            yield TrialProcess(c.config, run_dir / c.name, context, variables)
        finally:
            machine.give_back(share)

    return launch


@contextmanager
def _cluster_launch(run_dir: Path, address: str) -> Iterator[Launch]:
    """Join a Ray cluster, and yield a function that runs a campaign there."""
    import ray

    from al_loop.actors.cluster.connect import connect
    from al_loop.actors.sweeps.cluster import RayTrial, largest_node

    refuse_shadows_here("by Ray's workers")
    has_connected = not ray.is_initialized()
    if has_connected:
        connect(address, logging_level=logging.ERROR)
    try:
        largest, context = largest_node(), ProcessContext.here()

        @contextmanager
        def launch(c: Combination, is_stopping: threading.Event) -> Iterator[Trial]:
            yield RayTrial(c.config, run_dir / c.name, context, needs_of(c.config, largest))

        yield launch
    finally:
        if has_connected:
            ray.shutdown()


# ---- supervising -------------------------------------------------------------------------------------------------


def _run_all(
    combinations: Sequence[Combination], launch: Launch, n_at_once: int, on_event: Callable[[str, TrialEvent], None]
) -> dict[str, str]:
    """Run all campaigns in threads that each supervise one at a time.

    Returns:
        For each campaign, why it has not finished; empty where it has.
    """
    waiting, running = deque(combinations), dict[str, Trial]()
    is_stopping = threading.Event()
    #: events with the campaign's name; None where a thread has ended
    events: queue.SimpleQueue[tuple[str, TrialEvent] | None] = queue.SimpleQueue()
    request = current_request() or StopRequest()

    def supervise() -> None:
        while waiting and not is_stopping.is_set():
            try:
                c = waiting.popleft()
            except IndexError:  # another thread was quicker
                break
            try:
                with launch(c, is_stopping) as trial:
                    if trial is not None:
                        follow(c.name, trial)
            except Exception as error:  # a process that cannot be started
                events.put((c.name, TrialEvent("failed", reason=f"{type(error).__name__}: {summary(error)}")))
        events.put(None)

    def follow(name: str, trial: Trial) -> None:
        running[name] = trial
        if is_stopping.is_set():  # meanwhile
            trial.stop(finish_calls=request.level == FINISH_CALLS)
        event = TrialEvent("round")
        while event.kind == "round":
            event = trial.next_event()
            events.put((name, event))
        del running[name]

    def stop_all() -> None:
        is_stopping.set()
        for trial in list(running.values()):
            trial.stop(finish_calls=request.level == FINISH_CALLS)

    problems = dict.fromkeys((c.name for c in combinations), "it was not started")
    for _ in range(n_at_once):
        threading.Thread(target=supervise, name="sweep", daemon=True).start()
    stopped: list[TrialEvent] = []
    with stop_on_unhandled_signals(request):
        try:
            n_threads, level = n_at_once, 0
            while n_threads:
                if request.level > level:
                    level = request.level
                    stop_all()
                try:
                    item = events.get(timeout=POLL_S)
                except queue.Empty:
                    continue
                if item is None:
                    n_threads -= 1
                    continue
                name, event = item
                if event.kind != "round":
                    problems[name] = {"done": "", "stopped": "it was stopped"}.get(event.kind, event.reason)
                stopped += [event] if event.kind == "stopped" else []
                on_event(name, event)
        except BaseException:
            stop_all()
            raise
    if request.is_made:
        error = Stopped(request.signal_number)
        error.answers = ALL_SAFE if all(event.reason == "" for event in stopped) else "see the messages above"
        raise error
    return problems
