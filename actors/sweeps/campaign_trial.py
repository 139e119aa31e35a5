"""A whole campaign as a trial of Ray Tune: each of its rounds is a result, so that any scheduler can judge it."""

from __future__ import annotations

import ctypes
import math
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.tune import Callback, Stopper, Trainable

from al_loop.actors.sweeps.sweep import name_of, reason
from al_loop.campaign.reporter import Reporter, RoundSummary
from al_loop.cli.terminal import number
from al_loop.config import CampaignConfig
from al_loop.errors import CampaignError, first_line

_LOOK_S = 0.2
_STOP_S = 20.0
_MEASURES = (
    "calls",
    "failures",
    "best",
    "top10_mean",
    "hypervolume",
    "front",
    "diversity",
    "new_scaffolds",
    "rank_correlation",
)


@dataclass(frozen=True)
class Place:
    """What every trial takes over from the process that started the sweep.

    run_dir: absolute; each campaign has a folder in it.
    stop_file: when it appears, campaigns stop as they do on Ctrl-C.
    threads: OMP_NUM_THREADS there; None: not set.
    """

    run_dir: Path
    stop_file: Path
    cwd: Path
    path: Sequence[str]
    threads: str | None

    @classmethod
    def here(cls, run_dir: Path, stop_file: Path) -> Place:
        """That of this process."""
        return cls(run_dir, stop_file, Path.cwd(), tuple(sys.path), os.environ.get("OMP_NUM_THREADS"))

    def enter(self) -> None:
        """Makes this process find files and modules as the one that started the sweep does."""
        sys.path += [folder for folder in self.path if folder not in sys.path]
        with suppress(OSError):  # another machine, which has no such folder
            os.chdir(self.cwd)
        # Ray sets it to the CPUs of the trial, which would change how oracles compute
        os.environ.pop("OMP_NUM_THREADS", None)
        if self.threads is not None:
            os.environ["OMP_NUM_THREADS"] = self.threads


class CampaignTrial(Trainable):  # type: ignore[misc]
    """Runs a campaign in a thread of its own; a step of Tune is a round, and the campaign waits for the next one.

    config: the settings that are swept over.
    """

    def setup(self, config: dict[str, Any], *, campaigns: Mapping[str, CampaignConfig], place: Place) -> None:
        place.enter()
        self._campaigns, self._place = campaigns, place
        self._sigterm_of_ray = signal.getsignal(signal.SIGTERM)
        self._begin(config)

    def _begin(self, config: Mapping[str, Any]) -> None:
        self._is_told = False
        signal.signal(signal.SIGTERM, self._on_sigterm)
        self._name = name_of(config)
        self._rounds: queue.SimpleQueue[dict[str, Any] | Exception | None] = queue.SimpleQueue()
        self._turn = threading.Semaphore(0)
        self._thread: threading.Thread | None = None
        self._last: dict[str, Any] = {}

    def _on_sigterm(self, which: int, frame: Any) -> None:
        """Has the campaign stop, as ``al-loop stop`` asks; a second signal ends this process at once, as Ray's do."""
        signal.signal(signal.SIGTERM, self._sigterm_of_ray)
        self._is_told = True

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """The next campaign in this process, where the last has ended."""
        if self._interrupt():
            self._begin(new_config)
            return True
        return False

    def step(self) -> dict[str, Any]:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="campaign", daemon=True)
            self._thread.start()
        self._turn.release()
        while not (self._is_told or self._place.stop_file.exists()):
            try:
                found = self._rounds.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            if isinstance(found, Exception):
                raise found
            if found is None:
                return {**self._last, "is_new": False, "is_finished": True, "done": True}
            self._last = found
            return {**found, "is_finished": False}
        self._interrupt()
        return {**self._last, "is_new": False, "is_finished": False, "done": True}

    def cleanup(self) -> None:
        self._interrupt()

    def _run(self) -> None:
        from al_loop.analysis import open_run
        from al_loop.campaign.campaign import Campaign, ledger_url

        folder, config = self._place.run_dir / self._name, self._campaigns[self._name]
        reporter = _TuneReporter(folder / "logs" / "campaign.log", self._tell)
        try:
            with Campaign(config, folder, reporter=reporter) as campaign:
                with open_run(ledger_url(config, folder)) as past:
                    known = [r for r in past.ledger.rounds() if r.metrics is not None]
                for r in known:
                    reporter.earlier(r.number, r.metrics or {}, {**r.seconds, **(r.closing_seconds or {})})
                campaign.run()
        except BaseException as error:  # after our own interrupt nobody asks for it
            reporter.note("".join(traceback.format_exception(error)).rstrip())
            if not isinstance(error, Exception):  # Ray would take it for an order to this process
                error = CampaignError(f"{type(error).__name__} in the campaign: {first_line(error)}")
            self._rounds.put(error)
        else:
            self._rounds.put(None)

    def _tell(self, metrics: dict[str, Any]) -> None:
        """Hands a round over, and waits until Tune asks for more."""
        while not self._turn.acquire(timeout=_LOOK_S):  # short waits, so that an interruption comes through
            pass
        self._rounds.put(metrics)

    def _interrupt(self) -> bool:
        """Ends the campaign as Ctrl-C does, with its workers, and says whether it has ended.

        Every answer that has arrived is in the ledger then.
        """
        thread = self._thread
        if thread is None or thread.ident is None or not thread.is_alive():
            return True
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(KeyboardInterrupt))
        thread.join(timeout=_STOP_S)
        return not thread.is_alive()


class _TuneReporter(Reporter):
    """Hands each round to Tune; what else there is to say goes to the run's log."""

    def __init__(self, log: Path, tell: Callable[[dict[str, Any]], None]) -> None:
        self._log, self._tell = log, tell
        self._lock = threading.Lock()
        self._seconds = 0.0

    def earlier(self, number: int, metrics: Mapping[str, Any], seconds: Mapping[str, float]) -> None:
        """A round that an earlier start has done."""
        self._round(number, metrics, seconds, is_new=False)

    def round(self, summary: RoundSummary) -> None:
        self._round(summary.number, vars(summary), summary.seconds, is_new=True)

    def note(self, message: str) -> None:
        with self._lock, suppress(OSError), self._log.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {message}\n")

    def _round(self, number: int, metrics: Mapping[str, Any], seconds: Mapping[str, float], *, is_new: bool) -> None:
        self._seconds += sum(seconds.values())
        found = {name: _number(metrics.get(name)) for name in _MEASURES}
        self._tell({"round": number, **found, "seconds": self._seconds, "is_new": is_new})


def _number(value: Any) -> float | int:
    return math.nan if value is None else value


class Lines(Callback):  # type: ignore[misc]
    """A line for each round, and for each campaign that has ended."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._write = tell

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        if result["is_new"]:
            self._write(f"{name_of(trial.config)} | round {result['round']} | {_found(result)}")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        last = trial.last_result or {}
        state = "done" if last.get("is_finished") else "stopped"
        self._write(f"{name_of(trial.config)} | {state}" + (f" | {_found(last)}" if "calls" in last else ""))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        self._write(f"{name_of(trial.config)} | failed: {reason(_error_of(trial))}")


def _error_of(trial: Any) -> object:
    """Read here, since Tune copies it to its storage later."""
    try:
        return cloudpickle.loads(Path(trial.pickled_error_file or "").read_bytes())
    except Exception:  # there may be none, and what is pickled may raise almost anything
        return trial.get_error() or "unknown"


def _found(result: Mapping[str, Any]) -> str:
    if not math.isnan(result["hypervolume"]):
        return f"calls {result['calls']} | hypervolume {number(result['hypervolume'])}"
    return f"calls {result['calls']} | best {number(result['best'])} | top-10 mean {number(result['top10_mean'])}"


class StopFile(Stopper):  # type: ignore[misc]
    """Ends all trials when a file appears."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._path.exists()
