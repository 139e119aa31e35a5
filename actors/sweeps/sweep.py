"""Whole campaigns over seeds and settings, side by side, by Ray Tune.

Every campaign has a run directory of its own, named by its settings. Its ledger is all that is remembered: the same
sweep, started again, runs the same trials in the same folders, where finished campaigns have nothing left to do and
others go on.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import math
import os
import re
import shutil
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.table import Table
from rich.text import Text

from al_loop.campaign.building import build_oracle, campaign_fingerprint
from al_loop.cli.terminal import number
from al_loop.config import CampaignConfig, load_config
from al_loop.errors import CampaignError, ConfigError, first_line
from al_loop.storage.files import acquire_lock, write_whole

if TYPE_CHECKING:
    import pandas as pd

    from al_loop.analysis import Run

_LONGEST_NAME = 120
_SHOWN_NAMES = 4
#: of Tune: quiet, no files of its own beside ours, the user's folder stays the working directory
_ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
}
_MEASURES = ("calls", "best", "top10_mean", "hypervolume", "diversity", "seconds")
_COMPARED = ("calls", "best", "top10_mean", "hypervolume", "diversity")


@dataclass(frozen=True)
class Combination:
    """One campaign of a sweep.

    name: of its run directory.
    settings: those that are swept over.
    """

    name: str
    settings: Mapping[str, Any]
    config: CampaignConfig


@dataclass(frozen=True)
class Sweep:
    """What came of a sweep.

    table: a row for each campaign; ``failed``: the reason, empty where there is none.
    means: over the seeds of each setting, mean and standard error (``..._se``); of one seed the value alone.
    """

    table: pd.DataFrame
    means: pd.DataFrame

    @property
    def n_failed(self) -> int:
        """How many campaigns could not go on."""
        return int((self.table["failed"] != "").sum())


# ---- what is asked for -------------------------------------------------------------------------------------------


def plan(config_file: Path, overrides: Sequence[str], samples: int = 1) -> list[Combination]:
    """Every combination of the settings, each of them valid.

    Args:
        config_file: of a campaign.
        overrides: ``key=value``; a list is swept over (for a setting that is itself a list, give a list of lists).
        samples: how many seeds, from the config's own up, each setting is run with.

    Raises:
        ConfigError: nothing is swept over, or a combination is wrong; a line for each thing that is, with its name.
    """
    plain, axes = _split(overrides)
    if samples > 1:
        if "seed" in axes:
            raise ConfigError("--samples: 'seed' is swept over already; leave one of the two out")
        first = _combinations(config_file, plain, axes)[0].config.seed
        axes["seed"] = list(range(first, first + samples))
    if not axes:
        raise ConfigError("nothing is swept over: give at least one list, such as seed=[0,1,2], or --samples 3")
    found = _combinations(config_file, plain, axes)
    _refuse(found)
    return found


def name_of(settings: Mapping[str, Any]) -> str:
    """The settings as a folder's name; what cannot stand in one is replaced, and a hash tells such names apart."""
    text = ",".join(f"{key}={_text(value)}" for key, value in settings.items())
    name = re.sub(r"[^A-Za-z0-9._=+,-]+", "-", text)
    if name == text and len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:_LONGEST_NAME]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _text(value: Any) -> str:
    """A value as it may stand after ``key=``, but for the quotes of a word."""
    return value if isinstance(value, str) else _yaml(value)


def _yaml(value: Any) -> str:
    shown: str = yaml.safe_dump(value, default_flow_style=True, width=math.inf, allow_unicode=True)
    return shown.removesuffix("...\n").strip()


def _split(overrides: Sequence[str]) -> tuple[list[str], dict[str, list[Any]]]:
    """What holds for all campaigns, and what is swept over."""
    plain: list[str] = []
    axes: dict[str, list[Any]] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        try:
            values = yaml.safe_load(text) if equals else None
        except yaml.YAMLError:
            values = None  # load_config says what is wrong
        if not isinstance(values, list):
            plain.append(override)
            continue
        if not values:
            raise ConfigError(
                f"{override!r}: there is no value in the list; if the setting is an empty list: {key}=[[]]"
            )
        if key in axes:
            raise ConfigError(f"{override!r}: {key!r} is swept over twice; put its values into one list")
        for i, value in enumerate(values):
            if any(_yaml(value) == _yaml(earlier) for earlier in values[:i]):
                raise ConfigError(f"{override!r}: {_text(value)} is in the list twice")
        axes[key] = values
    return plain, axes


def _combinations(config_file: Path, plain: Sequence[str], axes: Mapping[str, Sequence[Any]]) -> list[Combination]:
    found: list[Combination] = []
    wrong: dict[str, list[str]] = {}
    for values in itertools.product(*axes.values()):
        settings = dict(zip(axes, values, strict=True))
        name = name_of(settings)
        try:
            config = load_config(config_file, [*plain, *(f"{key}={_yaml(value)}" for key, value in settings.items())])
        except ConfigError as error:
            wrong.setdefault(str(error), []).append(name)
        else:
            found.append(Combination(name, settings, config))
    if wrong:
        raise ConfigError("\n".join(f"{_some(names)}: {message}" for message, names in wrong.items()))
    return found


def _some(names: Sequence[str]) -> str:
    names = [name or "config" for name in names]
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return "; ".join(names[:_SHOWN_NAMES]) + more


def _refuse(combinations: Sequence[Combination]) -> None:
    """Campaigns that would share a folder or a ledger, or wait for people."""
    named: dict[str, Combination] = {}
    owners: dict[tuple[str, str], str] = {}
    for c in combinations:
        if (other := named.setdefault(c.name, c)) is not c:
            raise ConfigError(
                f"{c.name}: two combinations would share this folder, {dict(other.settings)} and {dict(c.settings)}; "
                "leave one out, or sweep over it with another --run-dir"
            )
        for key, place in (("ledger", c.config.ledger), ("checkpoints", c.config.checkpoints)):
            if place is not None and (owner := owners.setdefault((key, place), c.name)) != c.name:
                raise ConfigError(
                    f"{c.name}: {key}: it would be shared with {owner}; leave it out, then each campaign has its own "
                    "in its run directory"
                )
        if c.config.rounds.review:
            raise ConfigError(f"{c.name}: rounds.review: a sweep waits for nobody; set it to false")
        if getattr(c.config.oracle.factory("oracle"), "is_external", False):
            raise ConfigError(f"{c.name}: oracle: people answer it, and a sweep waits for nobody; use al-loop run")


# ---- running -----------------------------------------------------------------------------------------------------


def sweep(
    combinations: Sequence[Combination],
    run_dir: Path,
    *,
    address: str = "local",
    concurrent: int | None = None,
    tell: Callable[[str], None] = print,
) -> Sweep:
    """Runs all campaigns, or has them go on; a failed one does not stop the others.

    Args:
        combinations: what ``plan`` has found.
        run_dir: each campaign has a folder in it; the table is kept there, too, as ``sweep.csv``. On a cluster this is
            storage that all of its machines share.
        address: ``local`` starts Ray on this machine; ``auto``, ``ray://HOST:10001`` and ``HOST:6379`` join a cluster.
            Where this process has joined one already, that is used.
        concurrent: how many campaigns there may be at once; None: as many as there is room for.
        tell: told a line for each round and for each end of a campaign.

    Raises:
        ConfigError: the run directory cannot be written to or is that of a running sweep, a folder in it holds another
            campaign, or the cluster cannot be reached.
        CampaignError: Ray Tune itself has failed.
        KeyboardInterrupt: on Ctrl-C (on SIGTERM what its handler raises), after all campaigns have stopped.
    """
    run_dir = run_dir.absolute()
    _refuse_others(combinations, run_dir)
    storage = run_dir / ".tune" / f"{time.time_ns()}-{os.getpid()}"
    try:
        storage.mkdir(parents=True)
        lock = (run_dir / "lock").open("a+", encoding="utf-8")  # names this process to al-loop stop
    except OSError as error:
        raise ConfigError(f"cannot write to {run_dir}: {error.strerror}; choose another with --run-dir") from None
    with ExitStack() as stack:
        stack.callback(_remove, storage)
        acquire_lock(stack.enter_context(lock), f"the sweep in {run_dir}")
        stack.enter_context(_quietly())
        import ray

        from al_loop.actors.cluster.executor import connect

        if not ray.is_initialized():
            connect(address)
            stack.callback(ray.shutdown)
        with _stopping(storage / "stop"):
            failed = _fit(combinations, run_dir, storage, concurrent, tell)
    made = Sweep(table := _table(combinations, failed, run_dir), _means(table, list(combinations[0].settings)))
    write_whole(run_dir / "sweep.csv", table.to_csv(index=False).encode())
    return made


def _refuse_others(combinations: Sequence[Combination], run_dir: Path) -> None:
    """Folders that hold campaigns of another sweep, before anything is run."""
    held, different = [], set()
    for c in combinations:
        if (run := _ledger_of(c, run_dir)) is None:
            continue
        with run:
            known = run.ledger.campaign()
        assert known is not None
        if known.fingerprint != campaign_fingerprint(c.config, build_oracle(c.config)):
            held.append(c.name)
            now = c.config.model_dump(mode="json", exclude={"ledger"})
            different |= {key for key in now if known.config.get(key) != now[key]}
    if held:
        raise ConfigError(
            f"{run_dir} holds other campaigns in {_some(held)} (different: "
            f"{', '.join(sorted(different)) or 'the code or data behind the oracle'}); start this sweep with another "
            "--run-dir, or go on with the settings of that one"
        )


def _ledger_of(c: Combination, run_dir: Path) -> Run | None:
    """A campaign as far as it has come; None: it has not begun, or its ledger cannot be reached."""
    from al_loop.analysis import open_run

    try:
        return open_run(c.config.ledger or run_dir / c.name)
    except ConfigError:
        return None


def _fit(
    combinations: Sequence[Combination],
    run_dir: Path,
    storage: Path,
    concurrent: int | None,
    tell: Callable[[str], None],
) -> dict[str, str]:
    """Why each campaign has not finished; empty where it has."""
    import ray
    from ray import tune

    from al_loop.actors.sweeps.campaign_trial import CampaignTrial, Lines, Place, StopFile

    campaigns = {c.name: c.config for c in combinations}
    room = _largest_node()

    def resources(settings: Mapping[str, Any]) -> Any:
        return tune.PlacementGroupFactory([_needs(campaigns[name_of(settings)], room)])

    trainable = tune.with_parameters(CampaignTrial, campaigns=campaigns, place=Place.here(run_dir, storage / "stop"))
    tuner = tune.Tuner(
        tune.with_resources(trainable, resources),
        param_space={
            key: tune.grid_search(_distinct(c.settings[key] for c in combinations)) for key in combinations[0].settings
        },
        tune_config=tune.TuneConfig(
            max_concurrent_trials=concurrent,
            reuse_actors=True,  # torch is loaded once for several campaigns
            trial_name_creator=_name_of_trial,
            trial_dirname_creator=_folder_of_trial,
        ),
        run_config=tune.RunConfig(
            name="trials",
            storage_path=str(storage),
            verbose=0,
            callbacks=[Lines(tell)],
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # the ledger is all there is to keep
            stop=StopFile(storage / "stop"),
        ),
    )
    if ray.util.client.ray.is_connected():  # Tune runs on the cluster's head then
        tell("the rounds are not shown over ray://; where a campaign stands: al-loop status RUN")
    try:
        grid = tuner.fit()
    except Exception as error:
        raise CampaignError(
            f"Ray Tune has failed ({type(error).__name__}: {first_line(error)}); what was measured is safe, the same "
            "command goes on"
        ) from error
    return {name_of(result.config or {}): _unfinished(result) for result in grid}


def _unfinished(result: Any) -> str:
    if result.error is not None:
        return reason(result.error)
    return "" if (result.metrics or {}).get("is_finished") else "it was stopped"


def _distinct(values: Iterator[Any]) -> list[Any]:
    return list({_yaml(value): value for value in values}.values())


def _name_of_trial(trial: Any) -> str:
    return name_of(trial.config)


def _folder_of_trial(trial: Any) -> str:
    return str(trial.trial_id)


def _largest_node() -> dict[str, float]:
    """The most CPUs and GPUs that one machine of the cluster has."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return {name: max((node.get(name, 0.0) for node in nodes), default=0.0) for name in ("CPU", "GPU")}


def _needs(config: CampaignConfig, room: Mapping[str, float]) -> dict[str, float]:
    """What a campaign asks of Ray, never more than one machine has, so that none waits forever."""
    cpus = 1 + config.evaluation.workers * config.resources.oracle.num_cpus
    gpus = config.resources.learner.num_gpus or float(config.sampler.device.startswith("cuda"))
    wanted = {"CPU": min(max(cpus, 1.0), room["CPU"]), "GPU": min(gpus, room["GPU"])}
    return {name: amount for name, amount in wanted.items() if amount}


@contextmanager
def _stopping(stop_file: Path) -> Iterator[None]:
    """On Ctrl-C and SIGTERM all campaigns are asked to stop; what the signal usually does comes after that.

    A second signal does at once what it usually does.
    """
    if threading.current_thread() is not threading.main_thread():  # whoever embeds this handles its own signals
        yield
        return
    usual = {which: signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)}
    received: list[int] = []

    def stop(which: int, frame: Any) -> None:
        if received:
            _as_usual(usual, which)
        received.append(which)
        stop_file.touch()

    for which in usual:
        signal.signal(which, stop)
    try:
        yield
    finally:
        for which, handler in usual.items():
            signal.signal(which, handler)
    if received:
        _as_usual(usual, received[0])


def _as_usual(usual: Mapping[signal.Signals, Any], which: int) -> None:
    handler = usual[signal.Signals(which)]
    if callable(handler):
        handler(which, None)
    raise KeyboardInterrupt


def _remove(storage: Path) -> None:
    shutil.rmtree(storage, ignore_errors=True)
    try:
        storage.parent.rmdir()
    except OSError:  # another sweep of the same folder
        return


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what Ray and Tune have to say, and without their deprecation warnings."""
    saved = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ |= _ENVIRONMENT
    before = logging.root.manager.disable
    logging.disable(max(before, logging.ERROR))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        for name, value in saved.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def reason(error: Any) -> str:
    """Why a trial failed, on one line: what the campaign itself said."""
    cause = getattr(error, "cause", None) or error
    if isinstance(cause, CampaignError | ConfigError):
        return first_line(cause)
    if isinstance(cause, Exception) and cause is not error:
        return f"{type(cause).__name__}: {first_line(cause)}"
    lines = str(cause).strip().splitlines()
    return lines[-1][:300] if lines else type(cause).__name__


# ---- what came of it ---------------------------------------------------------------------------------------------


def _table(combinations: Sequence[Combination], failed: Mapping[str, str], run_dir: Path) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for c in combinations:
        measured, why = _measured(c, run_dir), failed.get(c.name, "it was not started")
        row = {key: _text(v) if isinstance(v, list | dict) else v for key, v in c.settings.items()}
        row |= {name: measured.get(name, math.nan) for name in _MEASURES}
        row["failed"] = why if why or measured else "its ledger cannot be read"
        rows.append({**row, "run": str(run_dir / c.name)})
    table = pd.DataFrame(rows).astype({"calls": "Int64"})
    return table.drop(columns="hypervolume") if table["hypervolume"].isna().all() else table


def _measured(c: Combination, run_dir: Path) -> dict[str, float]:
    """What the ledger holds: all calls and seconds until now, the rest as of the last closed round."""
    run = _ledger_of(c, run_dir)
    if run is None:
        return {}
    with run:
        calls, rounds = run.status().calls, run.ledger.rounds()
    last = next((r.metrics for r in reversed(rounds) if r.metrics is not None), {})
    seconds = sum(sum({**r.seconds, **(r.closing_seconds or {})}.values()) for r in rounds)
    return {**{name: value for name, value in last.items() if value is not None}, "calls": calls, "seconds": seconds}


def _means(table: pd.DataFrame, settings: Sequence[str]) -> pd.DataFrame:
    """Over the seeds, of the campaigns that have not failed."""
    import pandas as pd

    others = [key for key in settings if key != "seed"]
    whole = table[table["failed"] == ""].astype({"calls": float})
    rows = []
    groups = whole.groupby(others, sort=False, dropna=False) if others else [((), whole)]
    for values, group in groups:
        row: dict[str, Any] = dict(zip(others, values, strict=True))
        if group.empty:
            continue
        row["n"] = len(group)
        for name in _COMPARED:
            if name in group:
                row |= {name: group[name].mean(), f"{name}_se": group[name].sem()}
        rows.append(row)
    return pd.DataFrame(rows)


def show(made: Sweep) -> None:
    """Prints the campaigns, why some failed, and the means where a setting was run with several seeds."""
    from rich.console import Console

    console = Console(highlight=False)
    settings = [name for name in made.table if name not in (*_MEASURES, "failed", "run")]
    console.print()
    shown = made.table.drop(columns=["run", "failed", "diversity"]).astype({"calls": "string"})
    console.print(_printable(shown.fillna({"calls": number(math.nan)}), len(settings)))
    if "seed" in settings and not made.means.empty and made.means["n"].max() > 1:
        console.print("\nmean ± standard error over the seeds", style="bold")
        console.print(_printable(_joined(made.means), len(settings) - 1))
    for row in made.table[made.table["failed"] != ""].to_dict("records"):
        console.print(Text(f"failed: {Path(row['run']).name}: {row['failed']}", "red"), soft_wrap=True)
    console.print()


def _joined(means: pd.DataFrame) -> pd.DataFrame:
    """Each mean and its standard error in one column of text."""
    shown = means.drop(columns=[f"{name}_se" for name in _COMPARED if name in means]).astype(object)
    for name in _COMPARED:
        if name in means:
            pairs = zip(means[name], means[f"{name}_se"], strict=True)
            shown[name] = [number(mean) + ("" if math.isnan(se) else f" ± {number(se)}") for mean, se in pairs]
    return shown


def _printable(frame: pd.DataFrame, n_settings: int) -> Table:
    table = Table(box=None, pad_edge=False)
    for i, name in enumerate(frame):
        table.add_column(Text(str(name)), justify="left" if i < n_settings else "right", overflow="fold")
    for row in frame.itertuples(index=False):
        cells = [number(v) if isinstance(v, float) and i >= n_settings else str(v) for i, v in enumerate(row)]
        table.add_row(*map(Text, cells))
    return table
