"""The round loop. All that it knows of the past comes from the ledger, so that it can go on from any line."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from sqlalchemy.engine import make_url

import al_loop
from al_loop import metrics
from al_loop.config import CampaignConfig, build
from al_loop.errors import CampaignError, ConfigError
from al_loop.evaluation import EvaluationPool
from al_loop.ledger import Ledger, Observation, Proposal
from al_loop.progress import Reporter, RoundSummary
from al_loop.seeds import derive_seed
from oracles.base import Oracle

if TYPE_CHECKING:
    from torch import Tensor

    from al_loop.environments.base import Environment
    from al_loop.execution import Executor, SamplerGroup
    from al_loop.features.base import Features
    from al_loop.gflownet.learner import Learner
    from al_loop.reward import AcquisitionReward, Constraints

_REFERENCE = 256
_MOST_DRAWS = 400  # times the objects that are wanted, before the space counts as exhausted


def ledger_url(config: CampaignConfig, run_dir: Path) -> str:
    """The ledger of a campaign: the config's, or a file in the run directory."""
    return config.ledger or f"sqlite:///{run_dir.resolve() / 'ledger.db'}"


def public_url(url: str) -> str:
    """A database URL without its password."""
    return make_url(url)._replace(password=None).render_as_string()


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    names = ("torch", "botorch", "gpytorch", "rdkit", "numpy", "ray", "tblite", "vina", "ViennaRNA")
    found = {"al-loop": al_loop.__version__, "python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


class RunDirectory:
    """The folder of a run: its lock, its pointer to the ledger, its checkpoints, its workers' logs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None
        try:
            for folder in (path, self.checkpoints, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
            self._lock = (path / "lock").open("a+", encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"cannot write to the run directory {path}: {error.strerror}; choose another with --run-dir"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "another process"
            raise ConfigError(f"the campaign in {path} is running already ({holder}); stop it first") from None
        self._lock.truncate(0)
        self._lock.write(f"pid {os.getpid()} on {platform.node()}")
        self._lock.flush()

    @property
    def checkpoints(self) -> Path:
        """The learner's state after each round."""
        return self.path / "checkpoints"

    @property
    def logs(self) -> Path:
        """What the oracle workers print."""
        return self.path / "logs"

    def checkpoint(self, number: int) -> Path:
        """The learner's state after the training of a round."""
        return self.checkpoints / f"round-{number:05d}.pt"

    def write(self, path: Path, content: bytes) -> None:
        """Writes a file so that it is there whole or not at all, whatever happens."""
        temporary = path.with_name(path.name + ".part")
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    def close(self) -> None:
        """Lets others use the folder."""
        if self._lock is not None:
            self._lock.close()


@dataclass(frozen=True)
class _Belief:
    """What is believed in a round: the fitted model, and what the samplers are paid for."""

    model: Any
    reward: AcquisitionReward
    acquisition: Any
    X_pending: Tensor | None
    hyperparameters: Mapping[str, float]


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
        self._open = ExitStack()
        try:
            self._oracle = _checked_oracle(config)
            if config.sampler.prior is not None:
                _check_prior(config)
            self.directory = RunDirectory(Path(run_dir))
            self._open.callback(self.directory.close)
            url = ledger_url(config, self.directory.path)
            self._ledger = self._open.enter_context(Ledger(url))
            pointer = json.dumps({"ledger": public_url(url)})
            self.directory.write(self.directory.path / "campaign.json", pointer.encode())
            self.is_new = self._ledger.begin_campaign(
                name=config.name,
                config=config.model_dump(mode="json", exclude={"ledger"}),
                fingerprint=config.fingerprint,
                seed=config.seed,
                objectives=self._oracle.objectives,
                versions=versions(),
            )
            if executor is None:
                from actors.local import LocalExecutor

                executor = LocalExecutor(config, self.directory.logs)
            self._executor = executor
            self._open.callback(executor.close)
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

    def run(self) -> None:
        """Runs all rounds that are left.

        Raises:
            CampaignError: it cannot go on, e.g. the oracle answered for no object at all.
        """
        last = self._ledger.last_round()
        if self.is_finished:
            assert last is not None
            self._close_rounds(last)
            return
        self._prepare()
        workers = [self._executor.oracle_worker(i) for i in range(self.config.evaluation.workers)]
        self._pool = EvaluationPool(
            self._ledger, workers, self.config.evaluation, self._oracle.call_size, self._on_answer
        )
        try:
            if last is not None:
                self._pool.submit(self._ledger.pending())
                self._finish_round(last)
            for number in range(0 if last is None else last + 1, self.config.rounds.count + 1):
                if not self._start_round(number):
                    self._reporter.note("no new acceptable object was found: the space counts as exhausted")
                    break
                self._finish_round(number)
            with self._reporter.phase(self._ledger.last_round() or 0, "last answers", self._pool.n_open):
                self._pool.wait(0)
        finally:
            self._pool.close()

    # ---- the phases of a round -----------------------------------------------------------------------------------

    def _prepare(self) -> None:
        import torch

        from al_loop.gflownet.learner import Learner
        from al_loop.gflownet.pretraining import read_prior
        from al_loop.reward import Bound, Constraints

        config = self.config
        torch.set_num_threads(config.resources.threads)
        self._environment: Environment = config.build("environment")
        self._features: Features = build_features(config, self._environment)
        self._constraints: Constraints = Constraints(
            tuple(Bound(build("property", c), c.min, c.max) for c in config.constraints)
        )
        self._surrogate = config.build("surrogate", kernel=self._features.kernel)
        self._acquisition = config.build("acquisition")
        self._selector = config.build("selector")
        training, seed = config.build_training(), derive_seed(config.seed, "weights")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            policy = config.build_policy(self._environment, training)
        self._learner: Learner = Learner(self._environment, training, seed, policy, read_prior(config.sampler.prior))
        self._samplers: SamplerGroup = self._executor.samplers()
        self._sign = 1.0 if self._oracle.objectives[0].goal == "maximise" else -1.0
        self._seconds: dict[int, dict[str, float]] = {}
        self._phase_of_answers: Any = None
        self._restore()

    def _restore(self) -> None:
        """The learner's state after the last round that was opened."""
        import torch

        last = self._ledger.last_round()
        if not last:
            return
        path = self.directory.checkpoint(last)
        try:
            self._learner.load_state_dict(torch.load(path, weights_only=True))
            self._reporter.detail(f"the sampler goes on from {path}")
        except Exception as error:  # a damaged file raises almost anything
            self._reporter.note(
                f"the checkpoint {path} cannot be used ({type(error).__name__}: {error}); "
                "the sampler starts from fresh weights, no measurement is lost"
            )

    def _start_round(self, number: int) -> bool:
        """Decides on a batch and commits it; False where no new object is left."""
        seconds: dict[str, float] = {}
        info: dict[str, Any] = {}
        if number == 0:
            with _Clock(seconds, "select"), self._reporter.phase(0, "first batch", self.config.rounds.initial) as phase:
                names = self._random_objects(self.config.rounds.initial, on_found=phase.advance)
            proposals = [Proposal(object=name, origin="random") for name in names]
        else:
            with _Clock(seconds, "fit"), self._reporter.phase(number, "fit", 1) as phase:
                belief = self._fit()
                phase.advance()
            with _Clock(seconds, "train"):
                info = self._train(number, belief)
            with _Clock(seconds, "select"):
                proposals = self._select(number, belief)
            scale = {"center": belief.reward.center, "spread": belief.reward.spread}
            info = {**info, "surrogate": dict(belief.hyperparameters), "reward": scale}
        if not proposals:
            return False
        wanted = self.config.rounds.batch_size if number else self.config.rounds.initial
        if len(proposals) < wanted:
            self._reporter.note(f"round {number}: only {len(proposals)} of {wanted} new acceptable objects were found")
        candidates = self._ledger.open_round(
            number, proposals, seed=derive_seed(self.config.seed, number), seconds=seconds, info=info
        )
        self._seconds[number] = seconds
        self._pool.submit(candidates)
        return True

    def _finish_round(self, number: int) -> None:
        """Waits for a round's answers and writes its report."""
        batch = [c for c in self._ledger.candidates() if c.round == number]
        allowed_open = int((1 - self.config.rounds.close_share) * len(batch))
        started = time.monotonic()
        with self._reporter.phase(number, "oracle", self._pool.n_open) as phase:
            self._phase_of_answers = phase
            self._pool.wait(allowed_open)
        seconds = self._seconds.get(number, {})
        seconds["evaluate"] = time.monotonic() - started
        self._close_rounds(number)

    def _on_answer(self, candidate: Any, outcome: Any) -> None:
        if outcome.failure is not None:
            self._reporter.detail(f"{candidate.object}: {outcome.failure.kind}: {outcome.failure.reason}")
        phase = self._phase_of_answers
        if phase is not None:
            phase.advance()

    def _fit(self) -> _Belief:
        import torch

        from al_loop.reward import AcquisitionReward

        observed = [o for o in self._ledger.observations() if o.values is not None]
        if not observed:
            raise CampaignError(self._all_failed())
        X = self._features([o.object for o in observed])
        Y = self._sign * torch.tensor([o.values[:1] for o in observed if o.values], dtype=torch.float64)
        model = self._surrogate.fit(X, Y)
        pending = [c.object for c in self._ledger.pending()]
        X_pending = self._features(pending) if pending else None
        acquisition = self._acquisition.build(model, X, X_pending, float(Y.max()))
        settings = self.config.reward
        reward = AcquisitionReward(
            acquisition, self._features, self._constraints, self._reference(), settings.beta, settings.clip, model
        )
        return _Belief(model, reward, acquisition, X_pending, self._surrogate.describe(model))

    def _reference(self) -> list[str]:
        """Random objects that set the scale of the reward; the same in all rounds."""
        import torch

        from al_loop.gflownet.rollout import rollout

        if not hasattr(self, "_reference_objects"):
            generator = torch.Generator().manual_seed(derive_seed(self.config.seed, "reference"))
            drawn = rollout(self._environment, None, _REFERENCE, generator=generator)
            self._reference_objects = self._environment.decode(drawn.terminal)
        return self._reference_objects

    def _train(self, number: int, belief: _Belief) -> dict[str, Any]:
        settings, seed = self.config.sampler, self.config.seed
        self._samplers.set_reward(belief.reward)
        self._learner.start(belief.reward)
        self._learner.remember([o.object for o in self._ledger.observations() if o.values is not None], belief.reward)
        losses = []
        with self._reporter.phase(number, "train", settings.steps) as phase:
            for step in range(settings.steps):
                self._samplers.set_weights(self._learner.weights())
                draw = self._samplers.draw(
                    settings.batch_size * settings.updates,
                    seed=derive_seed(seed, number, "draw", step),
                    epsilon=settings.epsilon,
                    temperature=settings.temperature,
                    jobs=self._learner.jobs(derive_seed(seed, number, "parents", step)),
                )
                losses.append(self._learner.updates(draw, seed=derive_seed(seed, number, "replay", step)))
                self._pool.raise_error()
                phase.advance(f"loss {losses[-1]:.2f}")
        self._samplers.set_weights(self._learner.weights())
        self._save(number)
        return {"loss_first": losses[0], "loss_last": losses[-1], "log_z": float(self._learner.log_z)}

    def _save(self, number: int) -> None:
        import io

        import torch

        buffer = io.BytesIO()
        torch.save(self._learner.state_dict(), buffer)
        self.directory.write(self.directory.checkpoint(number), buffer.getvalue())
        for path in self.directory.checkpoints.glob("round-*.pt"):
            if path < self.directory.checkpoint(number - 1):
                path.unlink()

    def _select(self, number: int, belief: _Belief) -> list[Proposal]:
        from al_loop.reward import score

        wanted, pool_size = self.config.rounds.batch_size, self.config.sampler.pool
        known = self._ledger.known_objects()
        pool: dict[str, None] = {}
        drawn = 0
        with self._reporter.phase(number, "select", 1) as phase:
            # the best that training met were drawn by the samplers, too
            pool.update(dict.fromkeys(self._acceptable(self._learner.replay.objects, known)))
            for attempt in range(max(_MOST_DRAWS * wanted // pool_size, 1)):
                draw = self._samplers.draw(pool_size, seed=derive_seed(self.config.seed, number, "pool", attempt))
                drawn += pool_size
                pool.update(dict.fromkeys(self._acceptable(draw.objects or [], known)))
                if len(pool) >= wanted:
                    break
            names = list(pool)
            if len(names) < wanted:  # a sampler that has collapsed must not end the campaign
                names += self._random_objects(wanted - len(names), exclude=set(names))
            if not names:
                return []
            X = self._features(names)
            scores = score(belief.acquisition, X)
            picked = self._selector.select(wanted, scores, X, self._features.similarity, belief.X_pending)
            mean, variance = belief.model.mean_and_variance(X[picked])
            phase.advance()
        return [
            Proposal(
                object=names[i],
                origin="sampler" if names[i] in pool else "random",
                predicted_mean=self._sign * float(m),
                predicted_std=float(v) ** 0.5,
                acquisition=float(scores[i]),
            )
            for i, m, v in zip(picked, mean, variance, strict=True)
        ]

    def _acceptable(self, objects: Sequence[str], known: set[str]) -> list[str]:
        new = [o for o in dict.fromkeys(objects) if o not in known]
        violation = self._constraints.violation(new)
        return [o for o, v in zip(new, violation.tolist(), strict=True) if v == 0]

    def _random_objects(self, n: int, exclude: set[str] | None = None, on_found: Any = None) -> list[str]:
        """Up to n new acceptable objects from random actions."""
        import torch

        from al_loop.gflownet.rollout import rollout

        known = self._ledger.known_objects() | (exclude or set())
        generator = torch.Generator().manual_seed(derive_seed(self.config.seed, len(known), "random"))
        found: list[str] = []
        for _ in range(max(_MOST_DRAWS * n // 128, 4)):
            drawn = rollout(self._environment, None, 128, generator=generator)
            for name in self._acceptable(self._environment.decode(drawn.terminal), known):
                if len(found) < n:
                    found.append(name)
                    if on_found is not None:
                        on_found()
            known.update(found)
            if len(found) == n:
                break
        return found

    # ---- reports -------------------------------------------------------------------------------------------------

    def _close_rounds(self, last: int) -> None:
        """Writes the report of every round up to the last that has none (a kill may have come before it)."""
        for number in range(last + 1):
            if not self._ledger.is_closed(number):
                summary = self._summary(number)
                self._ledger.close_round(
                    number,
                    metrics={
                        "calls": summary.calls,
                        "failures": summary.failures,
                        "best": summary.best,
                        "top10_mean": summary.top10_mean,
                        "diversity": summary.diversity,
                        "new_scaffolds": summary.new_scaffolds,
                        "rank_correlation": summary.rank_correlation,
                    },
                    seconds=summary.seconds,
                )
                self._reporter.round(summary)

    def _summary(self, number: int) -> RoundSummary:
        if not hasattr(self, "_features"):  # a finished campaign that lacks only its last report
            self._environment = self.config.build("environment")
            self._features = build_features(self.config, self._environment)
            self._seconds = {}
        observations = [o for o in self._ledger.observations() if o.round <= number]
        batch = [o for o in observations if o.round == number]
        goal = self._oracle.objectives[0].goal
        values = [_first(o) for o in observations]
        candidates = {c.object: c for c in self._ledger.candidates() if c.round == number}
        predicted = [candidates[o.object].predicted_mean for o in batch]
        X = self._features([o.object for o in batch])
        is_molecule = self._environment.object_type == "molecule"
        earlier = [o.object for o in observations if o.round < number]
        return RoundSummary(
            number=number,
            calls=len(observations),
            failures=sum(o.values is None for o in batch),
            best=metrics.best(values, goal),
            top10_mean=metrics.top_k_mean(values, 10, goal),
            diversity=metrics.mean_pairwise_distance(self._features.similarity(X, X).numpy()),
            new_scaffolds=metrics.new_scaffolds([o.object for o in batch], earlier) if is_molecule else None,
            rank_correlation=metrics.rank_correlation(
                [float("nan") if p is None else p for p in predicted], [_first(o) for o in batch]
            ),
            # what was decided before a kill was timed by the process that was killed
            seconds={**self._ledger.rounds()[number].seconds, **self._seconds.get(number, {})},
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


def _first(observation: Observation) -> float:
    return observation.values[0] if observation.values else float("nan")


def _checked_oracle(config: CampaignConfig) -> Oracle:
    oracle = config.build_oracle()
    if len(oracle.objectives) != 1:
        names = ", ".join(o.name for o in oracle.objectives)
        raise ConfigError(f"oracle: it measures {names}; a campaign of this version optimises one objective")
    oracle.check()
    return oracle


def _check_prior(config: CampaignConfig) -> None:
    """Before anything is written: the prior is there, and fits."""
    from al_loop.gflownet.pretraining import load_prior, read_prior

    environment = config.build("environment")
    prior = read_prior(config.sampler.prior)
    assert prior is not None
    load_prior(environment, config.build_policy(environment, config.build_training()), prior)


def build_features(config: CampaignConfig, environment: Environment) -> Features:
    """The config's features, or those that suit the environment's objects."""
    from al_loop.config import Part

    part = config.features or Part(kind="morgan" if environment.object_type == "molecule" else "one_hot")
    facts = {k: getattr(environment, k) for k in ("alphabet", "length") if hasattr(environment, k)}
    features: Features = build("features", part, **facts)
    return features
