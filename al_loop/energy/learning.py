"""Learning of an energy and its sampler from a data set, with validation, early stop and checkpoints."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from al_loop.config.energy_schema import EnergyConfig
from al_loop.config.plugins import Part
from al_loop.energy.building import EnergyParts, parse_energy, parts_from
from al_loop.energy.data import LiveData, ObjectData, encode_data, read_data
from al_loop.energy.likelihood import PolicyLikelihood
from al_loop.energy.model import EnergyModel, named_part
from al_loop.energy.report import EnergyReport, count_states, estimated_report, exact_report
from al_loop.energy.trainer import EnergyTrainer
from al_loop.environments.base import Environment
from al_loop.errors import ConfigError, counted
from al_loop.gflownet.pipeline import SamplerGroup
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.pretraining import EncodedObjects, PretrainingSettings, pretrain
from al_loop.gflownet.saved_models import read_model, write_model
from al_loop.seeding import derive_seed
from al_loop.system import stopping

#: opens a progress bar (name, number of steps); its value is called after each step, with a detail to show
ProgressBar = Callable[[str, int], AbstractContextManager[Callable[..., None]]]
_CHECKPOINT = "energy checkpoint"
_SAVED_EVERY_S = 60.0  # longest time between two checkpoints
_MOST_STATES = 200_000  # of a space that is enumerated for exact reports
_MOST_COMPARED = 10_000  # held-out objects by which two energies are compared
_HELD_OUT_OF_BASE, _FEWEST_HELD_OUT = 0.1, 10  # of the training objects, by which the steps of a base are chosen
_DECAY_OF_BASE = 0.5  # share of a base's steps in which its learning rate falls
_N_OF_WEIGHTED = 4  # rows of a base for each object, if objects have weights


@contextmanager
def _no_bar(name: str, total: int) -> Iterator[Callable[..., None]]:
    yield lambda detail="": None


@dataclass(frozen=True)
class Monitor:
    """Whom a training reports to, and where it keeps its state.

    Args:
        bar: shows progress.
        report: receives lines of text about the data and the validation.
        log: receives numbers by name after each validation, with the number of steps.
        checkpoint: the file of the training's state, from which an interrupted training resumes; None: there is none.
    """

    bar: ProgressBar = _no_bar
    report: Callable[[str], None] = lambda line: None
    log: Callable[[int, Mapping[str, float]], None] = lambda step, metrics: None
    checkpoint: Path | None = None


def learn(
    environment: Environment | Part | Mapping[str, Any] | str,
    data: Sequence[str] | Any,
    *,
    energy: Part | Mapping[str, Any] | str = "mlp",
    features: Part | Mapping[str, Any] | str | None = None,
    sampler: Mapping[str, Any] | None = None,
    seed: int = 0,
    weights: Sequence[float] | None = None,
    monitor: Monitor | None = None,
    **settings: Any,
) -> EnergyModel:
    """Learn an energy, and a sampler that draws from it, from a data set.

    Args:
        environment: the space of objects, or its section of a config (``"fragments"``, ``{"kind": ...}``), which a
            saved file then contains.
        data: the objects, an array of letter indices (n x places), or the path of a file of them.
        energy: the kind of the energy, or its section of a config.
        features: input of the energy; None: those that suit the objects.
        sampler: keys of a config's ``sampler``, such as ``{"hidden": 256}``.
        seed: source of all randomness.
        weights: how much more often an object of the data is drawn than another, one weight for each; None: all are
            equally likely.
        monitor: whom to report to.
        settings: fields of ``EnergySettings``, such as ``steps=20_000`` and ``validation=0.1``.

    Raises:
        ConfigError: a setting is invalid, the data cannot be used, the checkpoint is of another training, or the scores
            run away.
    """
    is_named = not isinstance(environment, Environment)
    # the part of an environment that is given as an object stands for it
    part: Any = environment if is_named else {"kind": "sequence", "alphabet": "AC", "length": 1}
    content: dict[str, Any] = {
        "environment": named_part(part).model_dump(exclude_none=True),
        "energy": named_part(energy).model_dump(exclude_none=True),
        "seed": seed,
        **settings,
    }
    if features is not None:
        content["features"] = named_part(features).model_dump(exclude_none=True)
    if sampler is not None:
        content["sampler"] = dict(sampler)
    config = parse_energy(content)
    given = environment if isinstance(environment, Environment) else None
    return learn_from_config(config, data, weights=weights, monitor=monitor, environment=given)


def learn_from_config(
    config: EnergyConfig,
    data: Sequence[str] | Any,
    *,
    weights: Sequence[float] | None = None,
    monitor: Monitor | None = None,
    environment: Environment | None = None,
    samplers: Callable[[EnergyParts], SamplerGroup] | None = None,
    device: str | None = None,
) -> EnergyModel:
    """Learn an energy and its sampler as a config says.

    Args:
        config: the config.
        data: the objects, an array of letter indices, or the path of a file of them.
        weights: how much more often an object is drawn than another; None: all are equally likely.
        monitor: whom to report to.
        environment: the space, in place of the config's.
        samplers: makes the samplers in other processes; None: this process draws.
        device: a torch device in place of the config's.

    Raises:
        ConfigError: the data cannot be used, the checkpoint is of another training, or the scores run away.
    """
    monitor = monitor or Monitor()
    torch.set_num_threads(config.resources.threads)
    parts = parts_from(config, environment)
    parts.check()
    objects = read_data(data) if isinstance(data, str | Path) else data
    n_objects = len(objects)
    with monitor.bar("encoding", n_objects) as advance:
        encoded = encode_data(parts.environment, objects, config.most_refused, advance)
    for line in encoded.notes():
        monitor.report(line)
    row_weights = None if weights is None else _checked_weights(weights, n_objects)[list(encoded.rows)]
    training = _Training.begin(parts, encoded, row_weights, samplers, device, monitor)
    try:
        return training.run(monitor)
    finally:
        training.trainer.close()


def _checked_weights(weights: Sequence[float], n: int) -> Tensor:
    """Return the weights of n objects.

    Raises:
        ConfigError: there are more or fewer, or one is not a finite number of at least 0.
    """
    if len(weights) != n:
        raise ConfigError(f"weights: expected one for each of {counted(n, 'object')} of the data, got {len(weights)}")
    values = torch.tensor([float(weight) for weight in weights], dtype=torch.float64)
    if not bool((values.isfinite() & (values >= 0)).all()):
        raise ConfigError("weights: each must be a finite number of at least 0")
    return values


@dataclass
class _Training:
    """One training: the trainer, the held-out objects, and the best state so far.

    Args:
        parts: the parts.
        trainer: the trainer.
        train: terminal states to train on.
        held_out: terminal states of the held-out objects.
        identity: a hash of the config and the data, by which a checkpoint is recognised.
        can_enumerate: whether reports are exact.
        checkpoint: the state from which it resumes; None: it begins.
    """

    parts: EnergyParts
    trainer: EnergyTrainer
    train: Tensor
    held_out: Tensor
    identity: str
    can_enumerate: bool
    checkpoint: dict[str, Any] | None = None
    history: list[EnergyReport] = field(default_factory=list)
    best: dict[str, Any] | None = None
    best_report: EnergyReport | None = None
    has_stopped: bool = False

    @classmethod
    def begin(
        cls,
        parts: EnergyParts,
        data: ObjectData,
        weights: Tensor | None,
        samplers: Callable[[EnergyParts], SamplerGroup] | None,
        device: str | None,
        monitor: Monitor,
    ) -> _Training:
        config = parts.config
        is_held_out = _held_out(data.states, config.validation, config.seed)
        train, held_out = data.states[~is_held_out], data.states[is_held_out]
        of_train = None if weights is None else weights[~is_held_out]
        if of_train is not None and not float(of_train.sum()) > 0:
            raise ConfigError("weights: no object that is left to train on has a weight above 0")
        left_out = {"sinks", "resources", "name"} | (set() if config.base_steps else {"base_steps"})
        digest = hashlib.sha256(config.model_dump_json(exclude=left_out).encode() + data.states.numpy().tobytes())
        if weights is not None:
            digest.update(weights.numpy().tobytes())
        checkpoint = _checkpoint_of(digest.hexdigest(), monitor)
        energy, policy = parts.energy(), parts.policy()
        if isinstance(energy.base, PolicyLikelihood) and checkpoint is None:
            _learn_base(parts, LiveData(train, of_train), policy, monitor)
            energy.base.load_policy(policy)
        trainer = EnergyTrainer(
            parts.environment,
            energy,
            (train, of_train),
            parts.settings,
            parts.training(device),
            config.seed,
            policy,
            None if samplers is None else samplers(parts),
        )
        can_enumerate = count_states(parts.environment, _MOST_STATES) is not None
        return cls(parts, trainer, train, held_out, digest.hexdigest(), can_enumerate, checkpoint)

    def run(self, monitor: Monitor) -> EnergyModel:
        """Train, and return the model."""
        config, trainer = self.parts.config, self.trainer
        held_out = f", {len(self.held_out)} of them held out" if len(self.held_out) else ", none of them held out"
        monitor.report(f"learning from {counted(len(self.train) + len(self.held_out), 'object')}{held_out}")
        self._resume(monitor)
        interval, ends = max(config.steps // config.validations, 1), (trainer.settles_after, config.steps)
        saved_at = time.monotonic()
        with monitor.bar("training", config.steps) as advance:
            for _ in range(trainer.n_steps):
                advance()
            while trainer.n_steps < config.steps:
                stopping.look()
                info = trainer.step()
                advance(f"loss {info.loss:.2f} gap {info.gap:.2f}")
                if is_due := trainer.n_steps % interval == 0 or trainer.n_steps in ends:
                    self._validate(monitor, {"loss": info.loss, "gap": info.gap, "share": info.share})
                if monitor.checkpoint and (is_due or time.monotonic() - saved_at >= _SAVED_EVERY_S):
                    self._save(monitor.checkpoint)
                    saved_at = time.monotonic()
        policy = trainer.learner.sampling_policy
        return EnergyModel(self.parts, trainer.energy, policy, self.history[-1], self.train, self.history)

    def _validate(self, monitor: Monitor, info: Mapping[str, float]) -> None:
        report = self.report()
        self.history.append(report)
        monitor.report(f"step {report.step} of {self.parts.config.steps}: {report}")
        monitor.log(report.step, {f"energy/{name}": value for name, value in {**report.as_metrics(), **info}.items()})
        if self.best_report is None or not report.worse_nll > self.best_report.worse_nll:
            self.best, self.best_report = self.trainer.state_dict(), report
        elif self._has_waited(report.step) or (report.step == self.trainer.settles_after and self._is_worse(report)):
            monitor.report(
                f"no better held-out likelihood since step {self.best_report.step if self.best_report else 0}: the "
                "energy goes back there and stays as it is, and the sampler catches up"
            )
            self.has_stopped = True
            assert self.best is not None
            self.trainer.load_state_dict(self.best)
            self.trainer.settle()
            if self.best_report and self.trainer.n_steps == self.parts.config.steps:  # there is nothing left to settle
                self.history.append(self.best_report)

    def _has_waited(self, step: int) -> bool:
        """Return whether the training is to stop early."""
        patience = self.parts.config.patience
        if not patience or self.has_stopped or self.trainer.is_settling or self.best_report is None:
            return False
        return sum(report.step > self.best_report.step for report in self.history) >= patience

    @torch.no_grad()
    def _is_worse(self, report: EnergyReport) -> bool:
        """Return whether the energy is worse than the best one by more than the standard error of the difference."""
        assert self.best is not None
        assert self.best_report is not None
        energy, states = self.trainer.energy, self.held_out[:_MOST_COMPARED].to(self.trainer.device)
        best: Tensor = functional_call(energy, self.best["energy"], (states,))
        loss = (best.double() - self.best_report.log_z) - (energy(states).double() - report.log_z)
        error = math.hypot(float(loss.std()) / len(loss) ** 0.5, report.log_z_error, self.best_report.log_z_error)
        return float(loss.mean()) > error

    def report(self) -> EnergyReport:
        """Return the current state."""
        trainer, environment = self.trainer, self.parts.environment
        policy, log_z, step = trainer.learner.sampling_policy, float(trainer.learner.log_z), trainer.n_steps
        if self.can_enumerate:
            return exact_report(environment, trainer.energy, policy, self.held_out, log_z, step)
        generator = torch.Generator(trainer.device).manual_seed(derive_seed(self.parts.config.seed, "report"))
        backward = self.parts.config.sampler.backward
        return estimated_report(
            environment, trainer.energy, policy, self.held_out, log_z, step, backward=backward, generator=generator
        )

    # -- checkpoints ---------------------------------------------------------------------------------------------------

    def _save(self, path: Path) -> None:
        content = {
            "identity": self.identity,
            "trainer": self.trainer.state_dict(),
            "history": [vars(report) for report in self.history],
            "best": self.best,
            "best_report": None if self.best_report is None else vars(self.best_report),
            "has_stopped": self.has_stopped,
        }
        write_model(path, _CHECKPOINT, content)

    def _resume(self, monitor: Monitor) -> None:
        """Continue from the checkpoint, if there is one."""
        content, self.checkpoint = self.checkpoint, None
        if content is None:
            return
        self.trainer.load_state_dict(content["trainer"])
        self.history = [EnergyReport(**entry) for entry in content["history"]]
        self.best, self.has_stopped = content["best"], content["has_stopped"]
        self.best_report = None if content["best_report"] is None else EnergyReport(**content["best_report"])
        monitor.report(f"resuming after step {self.trainer.n_steps} from {monitor.checkpoint}")


def _checkpoint_of(identity: str, monitor: Monitor) -> dict[str, Any] | None:
    """Return the content of the checkpoint of a training, if there is one.

    Raises:
        ConfigError: it cannot be read, or is of another training.
    """
    path = monitor.checkpoint
    if path is None or not path.exists():
        return None
    try:
        content: dict[str, Any] = read_model(path, _CHECKPOINT)
    except ConfigError as error:
        raise ConfigError(f"{error}; remove it to start anew") from None
    if content.get("identity") != identity:
        raise ConfigError(
            f"{path} is the checkpoint of another training, with other data or settings; remove it to start anew, or "
            "choose another output"
        )
    return content


def _learn_base(parts: EnergyParts, data: LiveData, policy: Policy, monitor: Monitor) -> None:
    """Train a policy by maximum likelihood; of ten evaluations, it keeps the weights of the best.

    Args:
        parts: the parts, with a config that has a base.
        data: the training data.
        policy: the policy, which is trained in place.
        monitor: whom to report to.
    """
    config = parts.config
    rows = data.states
    if data.is_weighted:  # in proportion to the weights
        chooser = torch.Generator().manual_seed(derive_seed(config.seed, "base data"))
        rows = data.rows(_N_OF_WEIGHTED * len(rows), chooser)
    settings = PretrainingSettings(
        steps=config.base_steps,
        batch_size=config.data_batch,
        lr=config.sampler.lr,
        validation=_HELD_OUT_OF_BASE if len(rows) >= _FEWEST_HELD_OUT / _HELD_OUT_OF_BASE else 0.0,
        decay=_DECAY_OF_BASE,
    )
    with monitor.bar("base", config.base_steps) as advance:
        result = pretrain(
            parts.environment,
            EncodedObjects(rows.cpu(), 0, ""),
            policy,
            settings,
            seed=derive_seed(config.seed, "base"),
            on_step=lambda step, loss: advance(f"loss {loss:.2f}"),
        )
    found = f": {result.validation_nll:.3f} nats per held-out object" if result.validation else ""
    monitor.report(f"base after step {result.step} of {config.base_steps}{found}")


def _held_out(states: Tensor, share: float, seed: int) -> Tensor:
    """Return a mask of the held-out rows, which are a random sample; at least one row is to train on."""
    n = len(states)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(derive_seed(seed, "validation")))
    is_held_out = torch.zeros(n, dtype=torch.bool)
    is_held_out[order[: min(math.ceil(share * n), n - 1)]] = True
    return is_held_out
