"""The round loop. All that it knows of the past comes from the ledger, so that it can go on from any line."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from sqlalchemy.engine import make_url

import al_loop
from al_loop.campaign.building import (
    build_environment,
    build_features,
    build_oracle,
    build_policy,
    build_surrogate,
    campaign_fingerprint,
    fidelities_of,
    oracle_identity,
    training_settings,
)
from al_loop.campaign.evaluation import EvaluationPool
from al_loop.campaign.reporter import Reporter
from al_loop.config import CampaignConfig, build
from al_loop.errors import CampaignError, ConfigError
from al_loop.ledger import Candidate, Ledger, Observation, Proposal
from al_loop.modelling.objectives import campaign_objectives, oracle_objectives
from al_loop.monitoring import metrics
from al_loop.monitoring.alarms import Alarm, diversity_alarm, prediction_alarms, progress_alarm
from al_loop.monitoring.forecast import Forecast, forecast
from al_loop.monitoring.predictions import past_predictions
from al_loop.monitoring.recalibration import recalibration_factor
from al_loop.monitoring.round_summary import RoundSummary
from al_loop.monitoring.scores import score, score_by_distance
from al_loop.monitoring.stopping import stop_reason
from al_loop.oracles.base import Outcome
from al_loop.seeding import derive_seed
from al_loop.sinks import Sinks, Status
from al_loop.storage.artifacts import ArtifactFolder
from al_loop.storage.cache import EvaluationCache
from al_loop.storage.checkpoints import Checkpoints
from al_loop.storage.files import acquire_lock, retry_write, write_whole
from al_loop.storage.rescued import RescuedAnswers

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from al_loop.campaign.executor import Executor, SamplerTraining
    from al_loop.environments.base import Environment
    from al_loop.features.base import Features
    from al_loop.modelling.constraints import Constraints
    from al_loop.modelling.fitted import FittedModels
    from al_loop.modelling.fitter import ModelFitter
    from al_loop.selectors.base import SelectionContext
    from al_loop.surrogates.base import Surrogate

_REFERENCE = 256
_CHUNK = 8192  # objects scored at once
_MOST_PROMISING = 2048  # objects of a pool that the selector sees
_FORECASTS = 128  # samples of a batch whose hypervolume is computed
_REVIEW_POLL_S = 1.0
_RECENT = 3  # rounds whose answers alarms look at, and at least
_RECENT_ANSWERS = 16
_WHOLE_SHARE = 8  # of the first batch's calls for one object that is measured at every fidelity
_MOST_DRAWS = 400  # times the objects that are wanted, before the space counts as exhausted


def ledger_url(config: CampaignConfig, run_dir: Path) -> str:
    """The ledger of a campaign: the config's, or a file in the run directory."""
    return config.ledger or f"sqlite:///{run_dir.resolve() / 'ledger.db'}"


def public_url(url: str) -> str:
    """A database URL without its password."""
    return make_url(url)._replace(password=None).render_as_string()


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    names = ("torch", "botorch", "gpytorch", "rdkit", "numpy", "ray", "tblite", "vina", "meeko", "ViennaRNA")
    found = {"al-loop": al_loop.__version__, "python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


class RunDirectory:
    """The folder of a run: its lock, its pointer to the ledger, its checkpoints, its workers' logs."""

    def __init__(
        self, path: Path, patience_s: float = 0.0, on_wait: Callable[[str], None] = lambda message: None
    ) -> None:
        self.path, self._patience_s, self._on_wait = path, patience_s, on_wait
        self._lock: IO[str] | None = None
        try:
            for folder in (path, self.checkpoints, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
            self._lock = (path / "lock").open("a+", encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"cannot write to the run directory {path}: {error.strerror}; choose another with --run-dir"
            ) from None
        acquire_lock(self._lock, f"the campaign in {path}")

    @property
    def checkpoints(self) -> Path:
        """The learner's state after each round."""
        return self.path / "checkpoints"

    @property
    def logs(self) -> Path:
        """What the oracle workers print."""
        return self.path / "logs"

    @property
    def artifacts(self) -> Path:
        """The files that came with answers."""
        return self.path / "artifacts"

    def write(self, path: Path, content: bytes) -> None:
        """Writes a file so that it is there whole or not at all, whatever happens."""
        retry_write(lambda: write_whole(path, content), path, self._patience_s, self._on_wait)

    def close(self) -> None:
        """Lets others use the folder."""
        if self._lock is not None:
            self._lock.close()


class Campaign:
    """A discovery campaign: ``Campaign(config, run_dir).run()`` starts it, or goes on where it stopped.

    Args:
        config: what to do.
        run_dir: where the ledger, checkpoints and logs are kept.
        executor: where samplers and oracle workers run; left out: on this machine, without Ray.
        reporter: who is told.
    """

    def __init__(
        self,
        config: CampaignConfig,
        run_dir: str | Path,
        executor: Executor | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        self.config = config
        self._reporter = reporter or Reporter()
        self._seconds: dict[int, dict[str, float]] = {}
        self._utilisation: dict[int, float] = {}  # share of the oracle workers' time, from report to report
        self._decided_in_s: float | None = None
        self._phase_of_answers: Any = None
        self._explained = ""  # the surrogate that was last said to be chosen
        self._sinks = Sinks([])
        self._n_told = 0
        self._open = ExitStack()
        try:
            self._oracle = build_oracle(config)
            self._wanted = campaign_objectives(config, self._oracle)
            self._objective = self._wanted.indices[0]
            #: those that the campaign chooses among, the target last; empty: there is one only
            self._fidelities = [f.name for f in fidelities_of(config, self._oracle)]
            self._costs_of_fidelities = [f.cost * config.evaluation.cost for f in fidelities_of(config, self._oracle)]
            self._oracle.check()
            if config.sampler.prior is not None:
                _check_prior(config)
            patience_s = config.evaluation.patience_s
            self.directory = RunDirectory(Path(run_dir), patience_s, self._note)
            self._open.callback(self.directory.close)
            url = ledger_url(config, self.directory.path)
            self._ledger = self._open.enter_context(Ledger(url, patience_s=patience_s, on_wait=self._note))
            pointer = json.dumps({"ledger": public_url(url), "folders": config.folders})
            self.directory.write(self.directory.path / "campaign.json", pointer.encode())
            self.is_new = self._ledger.begin_campaign(
                name=config.name,
                config=config.model_dump(mode="json", exclude={"ledger"}),
                fingerprint=campaign_fingerprint(config, self._oracle),
                seed=config.seed,
                objectives=oracle_objectives(config, self._oracle),
                versions=versions(),
            )
            campaign = self._ledger.campaign()
            assert campaign is not None
            place = config.checkpoints or str(self.directory.checkpoints.absolute())
            self._checkpoints = Checkpoints(place, campaign.uid, patience_s, self._note)
            self._rescued = RescuedAnswers(self.directory.path, campaign.uid)
            if n := self._rescued.restore(self._ledger):
                self._note(f"{n} answers that an earlier start could not commit are in the ledger now")
            if executor is None:
                from al_loop.actors.local import LocalExecutor

                executor = LocalExecutor(config, self.directory.logs)
            self._executor = executor
            self._open.callback(executor.close)
            self._uid = campaign.uid
            told = [*(build("sink", part) for part in config.sinks), *executor.sinks()]
            self._sinks = Sinks(told, self._reporter.note)
        except BaseException:
            self._open.close()
            raise

    def __enter__(self) -> Campaign:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends workers and samplers and lets go of the ledger."""
        self._open.close()

    @property
    def is_finished(self) -> bool:
        """Whether every round of the config is measured."""
        last = self._ledger.last_round()
        return last is not None and last >= self.config.rounds.count and not self._ledger.pending()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """While the sinks are told what happens."""
        self._sinks.begin(self.config.name, self._uid, self.config.model_dump(mode="json", exclude={"ledger"}))
        status: Status = "failed"
        try:
            yield
            status = "finished" if self.is_finished else "stopped"
        except KeyboardInterrupt:
            status = "stopped"
            raise
        finally:
            self._sinks.end(status)

    def run(self) -> None:
        """Runs all rounds that are left.

        Raises:
            CampaignError: it cannot go on, e.g. the oracle answered for no object at all.
        """
        with self._told():
            self._run()

    def _run(self) -> None:
        last = self._ledger.last_round()
        if self.is_finished:
            assert last is not None
            self._close_rounds(last)
            return
        with ExitStack() as stack:
            self._begin(stack)
            self._prepare()
            is_spent = False
            for number in range(last or 0, max(self.config.rounds.count, last or 0) + 1):
                if number != last and not self._start_round(number):
                    break
                self._await_review(number)
                is_spent = self._finish_round(number)
                if is_spent:
                    break
            with self._reporter.phase(self._ledger.last_round() or 0, "last answers", self._pool.n_open):
                is_spent = self._pool.wait() or is_spent
            if is_spent or (self._pool.is_spent and not self.is_finished):
                self._end_spent()

    def advance(self) -> int:
        """Decides on the next batch where none waits for answers, and returns how many candidates wait then.

        That is one step of a campaign whose answers come from people: nothing is evaluated, and nothing is waited for.
        """
        with ExitStack() as stack:
            stack.enter_context(self._told())
            self._begin(stack, has_workers=False)
            last = self._ledger.last_round()
            is_seen = last is None or self._is_released(last)
            is_over = is_seen and (last is None or not self._pool.n_open or self._is_enough(last)())
            if is_over and (last is None or last < self.config.rounds.count):
                self._prepare()
                if last is not None:
                    self._close_rounds(last)
                self._start_round(0 if last is None else last + 1)
            elif is_over and last is not None:
                self._close_rounds(last)
            return len(self._ledger.pending())

    def _begin(self, stack: ExitStack, *, has_workers: bool = True) -> None:
        """Opens the pool of oracle workers, with what is pending."""
        settings, oracle = self.config.evaluation, self._oracle
        cache = None
        if settings.cache is not None:
            cache = EvaluationCache(settings.cache, oracle_identity(self.config, oracle), self.config.name, self._note)
            stack.callback(cache.close)
        used = self._fidelities or [oracle.fidelity]
        n_workers = settings.workers if has_workers and not oracle.is_external else 0
        self._pool = EvaluationPool(
            self._ledger,
            [self._executor.oracle_worker(i) for i in range(n_workers)],
            settings,
            budget=self.config.budget,
            call_size=oracle.call_size,
            prices={f.name: f.cost * settings.cost for f in oracle.fidelities if f.name in used},
            on_answer=self._on_answer,
            on_note=self._note,
            artifacts=ArtifactFolder(self.directory.artifacts),
            cache=cache,
            rescued=self._rescued,
        )
        stack.callback(self._pool.close)
        self._round_began, self._round_busy_s = time.monotonic(), 0.0
        self._pool.submit([c for c in self._ledger.pending() if self._is_released(c.round)])

    def _is_released(self, number: int) -> bool:
        """Whether the batch of a round may be measured: at once, or when a person has approved it."""
        return not self.config.rounds.review or self._ledger.has_gone_out(number)

    def _await_review(self, number: int) -> None:
        """Waits until a person has let a batch go out, and hands it over."""
        if self._is_released(number):
            return
        command = f"al-loop review {self.directory.path}"
        self._note(f"round {number}: the batch waits to be looked at: {command}; to let it go out: {command} --approve")
        with self._reporter.phase(number, "review", 1):
            while not self._is_released(number):
                self._pool.raise_error()
                time.sleep(_REVIEW_POLL_S)
        self._pool.submit([c for c in self._ledger.pending() if c.round == number])

    def _note(self, message: str) -> None:
        self._reporter.note(message)
        self._sinks.note(message)

    def _end(self, reason: str, remedy: str = "") -> None:
        """Tells why the campaign ends before its last round, and keeps it."""
        self._ledger.stop(reason)
        self._note(reason + (f"; to go on, {remedy}" if remedy else ""))

    def _end_spent(self) -> None:
        calls, cost = self._ledger.n_calls(), self._ledger.cost()
        left = len(self._ledger.pending())
        reason = f"the budget is spent ({calls} calls, cost {cost:g})"
        reason += f"; {left} candidates were not measured" if left else ""
        self._end(reason, "raise budget.calls or budget.cost")

    # ---- the phases of a round -----------------------------------------------------------------------------------

    def _prepare(self) -> None:
        import torch

        from al_loop.modelling.constraints import Constraints, PropertyBound

        config = self.config
        torch.set_num_threads(config.resources.threads)
        self._environment: Environment = build_environment(config)
        self._features: Features = build_features(config, self._environment)
        self._constraints: Constraints = Constraints(
            tuple(PropertyBound(build("property", c), c.min, c.max) for c in config.constraints)
        )
        self._acquisition = build("acquisition", config.acquisition)
        self._believer: ModelFitter = self._make_believer()
        self._selector = build("selector", config.selector)
        #: all objects there are, where that is a list: each can be looked at, and no sampler is needed
        self._everything: Sequence[str] | None = self._environment.objects
        if self._everything is None:
            self._training: SamplerTraining = self._executor.training()
            self._open.callback(self._training.close)
        self._restore()

    def _make_believer(self) -> ModelFitter:
        from al_loop.modelling.fidelities import Fidelities
        from al_loop.modelling.fitter import ModelFitter
        from al_loop.modelling.reward import ObjectSpace
        from al_loop.modelling.transforms import TRANSFORMS

        config, features = self.config, self._features
        self._surrogate: Surrogate = build_surrogate(config, features, len(self._fidelities))
        return ModelFitter(
            self._surrogate,
            self._acquisition,
            ObjectSpace(features, self._constraints, self._reference()),
            self._wanted,
            Fidelities(tuple(self._fidelities), tuple(self._costs_of_fidelities)) if self._fidelities else Fidelities(),
            TRANSFORMS[config.transform],
            config.reward,
        )

    def _restore(self) -> None:
        """The learner's state after the last round that was opened."""
        last = self._ledger.last_round()
        if not last or self._everything is not None:
            return
        path = self._checkpoints.name(last)
        try:
            self._training.load(self._checkpoints.load(last))
            self._reporter.detail(f"the sampler goes on from {path}")
        except CampaignError:
            raise
        except Exception as error:  # a damaged file raises almost anything
            self._reporter.note(
                f"the checkpoint {path} cannot be used ({type(error).__name__}: {error}); "
                "the sampler starts from fresh weights, no measurement is lost"
            )

    def _start_round(self, number: int) -> bool:
        """Decides on a batch and commits it; False where no new object, or nothing of the budget, is left."""
        wanted = self._affordable(self.config.rounds.batch_size if number else self.config.rounds.initial)
        if not wanted:
            return False
        if number and self._stops(number, None):
            return False
        seconds: dict[str, float] = {}
        info: dict[str, Any] = {"n_answers": self._ledger.n_answers()}
        if self._fidelities:
            info["fidelities"] = self._fidelities
        began = time.monotonic()
        if number == 0:
            with _Clock(seconds, "select"), self._reporter.phase(0, "first batch", wanted) as phase:
                names = self._random_objects(wanted, on_found=phase.advance)
            proposals = self._first(names, wanted)
        else:
            with _Clock(seconds, "fit"), self._reporter.phase(number, "fit", 1) as phase:
                belief = self._believe(info["n_answers"])
                phase.advance()
            if self._everything is None:
                with _Clock(seconds, "train"):
                    info |= self._train(number, belief)
            with _Clock(seconds, "select"):
                proposals, expected = self._select(number, belief, wanted)
            info = {**info, **belief.info, **expected}
            if self._stops(number, Forecast(**expected["forecast"]) if "forecast" in expected else None):
                return False
        self._decided_in_s = time.monotonic() - began
        if not proposals:
            self._end("no new acceptable object was found: the space counts as exhausted")
            return False
        if len(proposals) < wanted:
            self._reporter.note(f"round {number}: only {len(proposals)} of {wanted} new acceptable objects were found")
        candidates = self._ledger.open_round(
            number, proposals, seed=derive_seed(self.config.seed, number), seconds=seconds, info=info
        )
        self._seconds[number] = seconds
        if self._is_released(number):
            self._pool.submit(candidates)
        return True

    def _first(self, names: Sequence[str], wanted: int) -> list[Proposal]:
        """The first batch: random objects; where fidelities are chosen, some at all and the others at the lowest."""
        if not self._fidelities:
            return [Proposal(object=name, origin="random", fidelity=self._oracle.fidelity) for name in names]
        n_whole = max(min(2, wanted), wanted // _WHOLE_SHARE)
        pairs = [(name, fidelity) for name in names[:n_whole] for fidelity in self._fidelities]
        pairs += [(name, self._fidelities[0]) for name in names[n_whole:]]
        return [Proposal(object=name, origin="random", fidelity=fidelity) for name, fidelity in pairs[:wanted]]

    def _affordable(self, wanted: int) -> int:
        """How many of the wanted objects the budget allows, beside those that wait already."""
        left = self._pool.calls_left()
        if left is not None and left <= self._pool.n_waiting and self._pool.n_workers:
            self._pool.wait()  # some may need no call after all: told, or failed for the last time
            left = self._pool.calls_left()
        if left is None or (self._fidelities and left > self._pool.n_waiting):
            return wanted  # where fidelities are chosen their cost is the limit, not their number
        return max(min(wanted, left - self._pool.n_waiting), 0)

    def _finish_round(self, number: int) -> bool:
        """Waits until a round may close, and writes its report; returns whether the budget ended it."""
        started = time.monotonic()
        if self._oracle.is_external and self._pool.n_open:
            self._note(
                f"round {number}: {self._pool.n_open} objects wait to be measured. To have them as a table: "
                f"al-loop ask {self.directory.path}; to hand in what was measured: "
                f"al-loop tell {self.directory.path} FILE"
            )
        with self._reporter.phase(number, "oracle", self._pool.n_open) as phase:
            self._phase_of_answers = phase
            is_spent = self._pool.wait(self._is_enough(number))
            self._phase_of_answers = None
        seconds = self._seconds.setdefault(number, {})
        seconds["evaluate"] = time.monotonic() - started
        if self._pool.n_workers:
            waited = self._pool.n_workers * max(time.monotonic() - self._round_began, 1e-9)
            self._utilisation[number] = (self._pool.busy_s - self._round_busy_s) / waited
        self._round_began, self._round_busy_s = time.monotonic(), self._pool.busy_s
        self._close_rounds(number)
        return is_spent

    def _is_enough(self, number: int) -> Callable[[], bool]:
        """Says when the next round may start, see ``rounds.close_share``, ``close_after_s`` and ``keep_busy``."""
        rounds, pool = self.config.rounds, self._pool
        vetoed = self._ledger.vetoed()
        proposed = [c for c in self._ledger.candidates() if c.round == number and c.origin != "told"]
        batch = [c.id for c in proposed if c.id not in vetoed]
        allowed_open = int((1 - rounds.close_share) * len(batch) + 1e-9)
        this = self._ledger.rounds()[number]
        n_new = self._ledger.n_answers() - this.info.get("n_answers", 0) - pool.n_settled
        had_value = any(o.values is not None for o in self._ledger.observations())

        def is_enough() -> bool:
            # the last round has nothing to make room for, and without a single value nothing can be learned
            left = pool.calls_left()
            is_last = number >= rounds.count or (left is not None and left <= pool.n_waiting)
            if is_last or not (had_value or pool.n_values):
                return False
            n_open = pool.n_open_of(batch)
            if n_open <= allowed_open:
                return True
            if rounds.close_after_s is not None and _seconds_since(this.opened) >= rounds.close_after_s:
                return True
            has_learned = n_new + pool.n_settled > 0 and (number > 0 or n_open <= len(batch) / 2)
            return rounds.keep_busy and has_learned and pool.n_waiting <= self._n_needed()

        return is_enough

    def _n_needed(self) -> int:
        """How many candidates must wait for the oracle workers to be busy while the next batch is decided on."""
        n_workers, mean_call_s = self._pool.n_workers, self._pool.mean_call_s
        if self._decided_in_s is None or not mean_call_s:
            return n_workers
        return math.ceil(1.2 * n_workers * self._decided_in_s / mean_call_s)

    def _on_answer(self, candidate: Candidate, outcome: Outcome | None, seconds: float) -> None:
        self._n_told += 1
        if outcome is not None:
            failed = float(outcome.failure is not None)
            self._sinks.log(
                self._n_told, {"oracle/seconds": seconds, "oracle/failed": failed, "oracle/open": self._pool.n_open}
            )
        if outcome is not None and outcome.failure is not None:
            self._reporter.detail(f"{candidate.object}: {outcome.failure.kind}: {outcome.failure.reason}")
        phase = self._phase_of_answers
        if phase is not None:
            phase.advance()

    def _believe(self, n_answers: int) -> FittedModels:
        """The belief from the answers up to a number; what was proposed and is not among them counts as pending."""
        known = self._ledger.observations(until=n_answers)
        if not any(o.values is not None for o in known):
            raise CampaignError(self._all_failed())
        answered = {(o.object, o.fidelity) for o in known}
        vetoed = self._ledger.vetoed()
        pending = [
            c for c in self._ledger.candidates() if (c.object, c.fidelity) not in answered and c.id not in vetoed
        ]
        explained = self._surrogate.explain(sum(o.values is not None for o in known))
        if explained is not None and explained.split(":")[0] != self._explained:
            self._explained = explained.split(":")[0]
            self._note(explained)
        return self._executor.fit(self._believer, known, pending, self._factors(n_answers))

    def _value(self, observation: Observation) -> float:
        """The value that is optimised (of several the first), in the oracle's unit; NaN of a failure."""
        return observation.values[self._objective] if observation.values else float("nan")

    def _reference(self) -> list[str]:
        """Random objects that set the scale of the reward; the same in all rounds."""
        import torch

        from al_loop.gflownet.rollout import rollout

        if not hasattr(self, "_reference_objects"):
            generator = torch.Generator().manual_seed(derive_seed(self.config.seed, "reference"))
            drawn = rollout(self._environment, None, _REFERENCE, generator=generator)
            self._reference_objects = self._environment.decode(drawn.terminal)
        return self._reference_objects

    def _train(self, number: int, belief: FittedModels) -> dict[str, Any]:
        measured = [o.object for o in self._ledger.observations() if o.values is not None]
        with self._reporter.phase(number, "train", self.config.sampler.steps) as phase:
            for step in self._training.train(number, belief.reward, measured):
                self._pool.raise_error()
                phase.advance(f"loss {step.loss:.2f}")
                self._sinks.log((number - 1) * self.config.sampler.steps + step.number, {"train/loss": step.loss})
        self._checkpoints.save(number, self._training.state())
        facts = self._training.facts()
        self._sinks.log(number, {f"training/{k}": v for k, v in facts.items() if isinstance(v, int | float)})
        if lost := facts.get("samplers_lost"):
            self._note(
                f"round {number}: {lost} samplers died and were replaced; what they were drawing was drawn again"
            )
        return facts

    def _select(self, number: int, belief: FittedModels, wanted: int) -> tuple[list[Proposal], dict[str, Any]]:
        """The batch, from what the samplers draw or from everything there is, and what is expected of it."""
        known = self._known()
        with self._reporter.phase(number, "select", 1) as phase:
            if self._everything is None:
                names = self._drawn(number, wanted, known)
                n_drawn = len(names)
                if n_drawn < wanted:  # a sampler that has collapsed must not end the campaign
                    names += self._random_objects(wanted - n_drawn, exclude=names)
            else:
                names = self._most_promising(belief, self._everything, known, max(_MOST_PROMISING, 16 * wanted))
                n_drawn = len(names)
            if not names:
                return [], {}
            X = self._features(names)
            scores = belief.scores(X)
            picked, levels = self._picked(number, belief, names, X, scores, wanted)
            means, stds = self._predicted(belief, X[picked], levels)
            nearest = self._features.similarity(X[picked], belief.X).max(dim=1).values
            top = len(self._fidelities) - 1
            counting = {i for i, level in zip(picked, levels, strict=True) if not self._fidelities or level == top}
            phase.advance()
        origin = "sampler" if self._everything is None else "pool"
        proposals = [
            Proposal(
                object=names[i],
                origin=origin if i < n_drawn else "random",
                predicted_mean=float(m),
                predicted_std=float(s),
                acquisition=float(scores[i]),
                fidelity=self._fidelities[level] if self._fidelities else self._oracle.fidelity,
            )
            for i, level, m, s in zip(picked, levels, means[:, 0], stds[:, 0], strict=True)
        ]
        expected = {
            "predicted": {"mean": means.tolist(), "std": stds.tolist()},
            "nearest": nearest.tolist(),
            **({"forecast": self._forecast(number, belief, X[sorted(counting)]).as_dict()} if counting else {}),
        }
        return proposals, expected

    def _predicted(self, belief: FittedModels, X: Tensor, levels: Sequence[int]) -> tuple[Any, Any]:
        """Mean and standard deviation of the answers, each at its fidelity: n x d -> n x objectives each."""
        if not self._fidelities:
            return belief.predict(X)
        return belief.predict(X, levels)

    def _known(self) -> set[str]:
        """Objects that need not be proposed again: of several fidelities those that were asked for at the target."""
        if not self._fidelities:
            return self._ledger.known_objects()
        return {c.object for c in self._ledger.candidates() if c.fidelity == self._fidelities[-1]}

    def _picked(
        self, number: int, belief: FittedModels, names: Sequence[str], X: Tensor, scores: Tensor, wanted: int
    ) -> tuple[list[int], list[int]]:
        """Which candidates become the batch, and at which fidelities."""
        import torch

        from al_loop.modelling.fidelity_selection import BatchLimits, select_with_fidelities

        if not self._fidelities:
            picked = self._selector.select(self._selection(number, belief, names, X, scores, wanted))
            return picked, [0] * len(picked)
        highest: dict[str, int] = {}
        for c in self._ledger.candidates():
            level = self._fidelities.index(c.fidelity) if c.fidelity in self._fidelities else len(self._fidelities) - 1
            highest[c.object] = max(level, highest.get(c.object, -1))
        levels = torch.arange(len(self._fidelities))
        is_open = torch.stack([levels > highest.get(name, -1) for name in names])
        limits = BatchLimits(wanted, min(self.config.rounds.batch_cost or math.inf, self._pool.cost_left))
        pairs = select_with_fidelities(belief, self._acquisition, X, is_open, self._costs_of_fidelities, limits)
        return [i for i, _ in pairs], [level for _, level in pairs]

    def _forecast(self, number: int, belief: FittedModels, X: Tensor) -> Forecast:
        """What a batch is likely to bring: objects that are asked for at the target (rows of X)."""
        seed = derive_seed(self.config.seed, number, "forecast")
        values = belief.joint_samples(X, seed)
        counts = belief.draw_validity(X, len(values), derive_seed(seed, "success"))
        goal = self._wanted.goals[0]
        measured = [self._wanted.optimised(o.values) for o in self._ledger.observations() if self._is_good(o)]
        if len(self._wanted) == 1:
            worst = -math.inf if goal == "maximise" else math.inf
            rows = np.where(counts, values[..., 0], worst)
            bests = rows.max(axis=1, initial=worst) if goal == "maximise" else rows.min(axis=1, initial=worst)
            return forecast(bests, metrics.best([v[0] for v in measured], goal), goal)
        point, goals = self._reference_point(), self._wanted.goals
        front = [v for v, is_on in zip(measured, metrics.non_dominated(measured, goals), strict=True) if is_on]
        drawn = [sample[is_on] for sample, is_on in zip(values[:_FORECASTS], counts, strict=False)]
        volumes = [metrics.hypervolume([*front, *rows], goals, point) for rows in drawn]
        return forecast(np.array(volumes), self._hypervolume(measured), "maximise")

    def _is_good(self, observation: Observation) -> bool:
        """Whether there are values, of the target fidelity, and those that are bounded keep their bounds."""
        is_target = not self._fidelities or observation.fidelity in ("", self._fidelities[-1])
        return observation.values is not None and is_target and self._wanted.are_within_bounds(observation.values)

    def _reference_point(self) -> tuple[float, ...]:
        """The worst values of interest: the config's, or what the first batch suggests, so that volumes compare."""
        if self._wanted.reference_point is not None:
            return self._wanted.reference_point
        observed = [o for o in self._ledger.observations() if o.values is not None]
        first = [self._wanted.optimised(o.values) for o in observed if o.round == 0]
        return metrics.reference_point(first, self._wanted.goals)

    def _hypervolume(self, values: Sequence[tuple[float, ...]]) -> float:
        return metrics.hypervolume(values, self._wanted.goals, self._reference_point()) if values else 0.0

    def _factors(self, n_answers: int) -> list[float]:
        """What the standard deviations of the surrogates are multiplied with, see ``recalibrate``."""
        if not self.config.recalibrate:
            return [1.0] * len(self._wanted)
        kept = past_predictions(self._ledger, self._wanted, until=n_answers)
        return [recalibration_factor(p.factor * (p.measured - p.mean) / p.std, p.arrived) for p in kept]

    def _records(self) -> list[float]:
        """What is best so far after each round that is closed; of several objectives the hypervolume."""
        name = "best" if len(self._wanted) == 1 else "hypervolume"
        reports = [r.metrics[name] for r in self._ledger.rounds() if r.metrics is not None]
        return [math.nan if value is None else value for value in reports]

    def _stops(self, number: int, coming: Forecast | None) -> bool:
        """Whether a stop rule of the config ends the campaign before a round."""
        goal = self._wanted.goals[0] if len(self._wanted) == 1 else "maximise"
        reason = stop_reason(self.config.stop.model_dump(), self._records(), goal, coming)
        if reason is not None:
            self._end(f"stopped before round {number}: {reason}", "change the rule and run it again")
        return reason is not None

    def _selection(
        self, number: int, belief: FittedModels, names: Sequence[str], X: Tensor, scores: Tensor, wanted: int
    ) -> SelectionContext:
        """Return what the selector picks from."""
        from al_loop.selectors.base import SelectionContext

        return SelectionContext(
            n=wanted,
            scores=scores,
            X=X,
            similarity=self._features.similarity,
            X_pending=belief.X_pending,
            objects=names,
            pending_objects=belief.pending,
            rescore=lambda picked, asked: belief.rescore(X[list(picked)], X[list(asked)]),
            predict=belief.mean_and_variance,
            draw=belief.draw,
            seed=derive_seed(self.config.seed, number, "select"),
        )

    def _drawn(self, number: int, wanted: int, known: set[str]) -> list[str]:
        """New acceptable objects from the samplers."""
        size = self.config.sampler.pool
        # the best that training met were drawn by the samplers, too
        pool = dict.fromkeys(self._acceptable(self._training.met(), known))
        for attempt in range(max(_MOST_DRAWS * wanted // size, 1)):
            drawn = self._training.draw(size, seed=derive_seed(self.config.seed, number, "pool", attempt))
            pool.update(dict.fromkeys(self._acceptable(drawn, known)))
            if len(pool) >= wanted:
                break
        return list(pool)

    def _most_promising(self, belief: FittedModels, everything: Sequence[str], known: set[str], n: int) -> list[str]:
        """Of all objects the n new acceptable ones of the highest acquisition value, in the order of the pool."""
        import torch

        names = self._acceptable(everything, known)
        if len(names) <= n:
            return names
        parts = [names[i : i + _CHUNK] for i in range(0, len(names), _CHUNK)]
        scores = torch.cat([belief.scores(self._features(part)) for part in parts])
        return [names[i] for i in sorted(scores.topk(n).indices.tolist())]

    def _acceptable(self, objects: Sequence[str], known: set[str]) -> list[str]:
        new = [o for o in dict.fromkeys(objects) if o not in known]
        violation = self._constraints.violation(new)
        return [o for o, v in zip(new, violation.tolist(), strict=True) if v == 0]

    def _random_objects(self, n: int, exclude: Iterable[str] = (), on_found: Any = None) -> list[str]:
        """Up to n new acceptable objects from random actions."""
        import torch

        known = self._ledger.known_objects() | set(exclude)
        generator = torch.Generator().manual_seed(derive_seed(self.config.seed, len(known), "random"))
        found: list[str] = []
        for names in self._random_draws(max(_MOST_DRAWS * n // 128, 4), generator):
            for name in self._acceptable(names, known):
                if len(found) < n:
                    found.append(name)
                    if on_found is not None:
                        on_found()
            known.update(found)
            if len(found) == n:
                break
        return found

    def _random_draws(self, n: int, generator: torch.Generator) -> Iterator[list[str]]:
        """128 objects at a time: n times from random actions, or, of a space that is a list, each object once."""
        import torch

        from al_loop.gflownet.rollout import rollout

        if self._everything is None:
            for _ in range(n):
                yield self._environment.decode(rollout(self._environment, None, 128, generator=generator).terminal)
        else:
            for part in torch.randperm(len(self._everything), generator=generator).split(128):
                yield [self._everything[i] for i in part.tolist()]

    # ---- reports -------------------------------------------------------------------------------------------------

    def _close_rounds(self, last: int) -> None:
        """Writes the report of every round up to the last that has none (a kill may have come before it)."""
        for number in range(last + 1):
            if self._ledger.is_closed(number):
                continue
            summary = self._summary(number)
            believed = self._believed(number)
            alarms = self._alarms(number, summary)
            self._ledger.close_round(
                number,
                metrics={
                    "calls": summary.calls,
                    "failures": summary.failures,
                    "best": summary.best,
                    "top10_mean": summary.top10_mean,
                    "hypervolume": summary.hypervolume,
                    "front": summary.front,
                    "diversity": summary.diversity,
                    "new_scaffolds": summary.new_scaffolds,
                    "rank_correlation": summary.rank_correlation,
                    "oracle_utilisation": self._utilisation.get(number),
                    "predictions": believed,
                    "alarms": {alarm.name: alarm.message for alarm in alarms},
                },
                seconds=summary.seconds,
            )
            self._reporter.round(summary)
            self._sinks.log(number, self._numbers(number, summary))
            for alarm in alarms:
                self._note(f"round {number}: {alarm.message}")

    def _numbers(self, number: int, summary: RoundSummary) -> dict[str, float]:
        """What sinks are told of a round."""
        used = self._utilisation.get(number)
        return summary.metrics() | ({} if used is None else {"oracle_utilisation": used})

    def _believed(self, number: int) -> dict[str, Any]:
        """How good the predictions of what arrived in a round were, by objective."""
        found = {}
        for name, all_of_it in zip(self._wanted.names, past_predictions(self._ledger, self._wanted), strict=True):
            p = all_of_it.of_round(number)
            if len(p.mean):
                near = score_by_distance(p.mean, p.std, p.measured, p.nearest)
                scores = score(p.mean, p.std, p.measured).as_dict()
                found[name] = {**scores, "by_distance": {key: value.as_dict() for key, value in near.items()}}
        return found

    def _alarms(self, number: int, summary: RoundSummary) -> list[Alarm]:
        found = []
        wanted, rounds = self._wanted, self._ledger.rounds()
        for name, goal, p in zip(wanted.names, wanted.goals, past_predictions(self._ledger, wanted), strict=True):
            p = p.pick(p.arrived <= number)
            # of small batches some more, so that there is enough to judge by
            since = min(number - _RECENT + 1, np.sort(p.arrived)[-_RECENT_ANSWERS:].min(initial=number))
            recent = p.pick(p.arrived >= since)
            if (p.arrived == number).any():
                found += prediction_alarms(recent.mean, recent.std, recent.measured, goal, name)
        batch = [c for c in self._ledger.candidates() if c.round == number]
        if number and self._has_sampler and batch:
            drawn = [r.metrics["diversity"] for r in rounds[1:number] if r.metrics] + [summary.diversity]
            filled = sum(c.origin == "random" for c in batch) / len(batch)
            alarm = diversity_alarm([math.nan if d is None else d for d in drawn], filled)
            found += [alarm] if alarm else []
        goal = wanted.goals[0] if len(wanted.goals) == 1 else "maximise"
        record = summary.best if summary.hypervolume is None else summary.hypervolume
        alarm = progress_alarm([*self._records()[:number], record], goal)
        return [*found, alarm] if alarm else found

    @property
    def _has_sampler(self) -> bool:
        """Whether batches come from a sampler, not from a list of all there is."""
        return self._environment.objects is None

    def _summary(self, number: int) -> RoundSummary:
        if not hasattr(self, "_features"):  # a finished campaign that lacks only its last report
            self._environment = build_environment(self.config)
            self._features = build_features(self.config, self._environment)
        # an answer counts for the round in which it arrives
        observations = [o for o in self._ledger.observations() if o.arrived <= number]
        batch = [o for o in observations if o.arrived == number]
        goal = self._wanted.goals[0]
        values = [self._value(o) for o in observations if self._is_good(o)]
        p = past_predictions(self._ledger, self._wanted)[0].of_round(number)
        X = self._features([o.object for o in batch])
        is_molecule = self._environment.object_type == "molecule"
        earlier = [o.object for o in observations if o.arrived < number]
        hypervolume = front = None
        if len(self._wanted) > 1:
            good = [self._wanted.optimised(o.values) for o in observations if self._is_good(o)]
            hypervolume = self._hypervolume(good)
            front = int(np.sum(metrics.non_dominated(good, self._wanted.goals))) if good else 0
        return RoundSummary(
            number=number,
            calls=len(observations),
            failures=sum(o.values is None for o in batch),
            best=metrics.best(values, goal),
            top10_mean=metrics.top_k_mean(values, 10, goal),
            diversity=metrics.mean_pairwise_distance(self._features.similarity(X, X).numpy()),
            new_scaffolds=metrics.new_scaffolds([o.object for o in batch], earlier) if is_molecule else None,
            rank_correlation=metrics.rank_correlation(p.mean, p.measured),
            # what was decided before a kill was timed by the process that was killed
            seconds={**self._ledger.rounds()[number].seconds, **self._seconds.get(number, {})},
            coverage=score(p.mean, p.std, p.measured).coverage.get("80", math.nan),
            hypervolume=hypervolume,
            front=front,
        )

    def _all_failed(self) -> str:
        rows = [e for e in self._ledger.evaluations() if e.failure_kind]
        first = f"; the first failure: {rows[0].failure_kind}: {rows[0].reason}" if rows else ""
        return f"the oracle gave no value for any of {len(rows)} objects, so nothing can be learned{first}"


class _Clock:
    """Adds the seconds of a ``with`` block to a dictionary."""

    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self._seconds, self._name = seconds, name

    def __enter__(self) -> None:
        self._started = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._name] = self._seconds.get(self._name, 0.0) + time.monotonic() - self._started


def _seconds_since(moment: datetime) -> float:
    return (datetime.now(UTC) - moment).total_seconds()


def _check_prior(config: CampaignConfig) -> None:
    """Before anything is written: the prior is there, and fits."""
    from al_loop.gflownet.priors import load_prior, read_prior

    environment = build_environment(config)
    prior = read_prior(config.sampler.prior)
    assert prior is not None
    load_prior(environment, build_policy(config, environment, training_settings(config)), prior)
