"""Tuning a language model to sample from a posterior, by GFlowNet fine-tuning (Hu et al. 2024)."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from al_loop.environments.tokens import Tokens
from al_loop.errors import ConfigError, counted
from al_loop.gflownet.learner import Learner
from al_loop.gflownet.pipeline import InlineSampler, PipelineStats, SamplerGroup, pipeline
from al_loop.gflownet.policies.language import LanguagePolicy
from al_loop.gflownet.reward import Diverged, StateReward
from al_loop.gflownet.sampler import Sampler
from al_loop.language.buffer import TextBuffer
from al_loop.language.checked import Checked
from al_loop.language.convergence import Report, convergence
from al_loop.language.rewards import LanguageReward
from al_loop.language.settings import TuneSettings, is_texts
from al_loop.language.tuned import TunedModel, check_seed, digest
from al_loop.language_models.base import LanguageModel
from al_loop.language_models.loading import register
from al_loop.seeding import derive_seed
from al_loop.sinks.base import Sink
from al_loop.storage.files import write_whole
from al_loop.system import stopping

_LEAST_RATE = 0.1  # share of the learning rate that is left at the end
_SAVED_EVERY_S = 60.0  # longest time between two checkpoints


@dataclass(frozen=True)
class TuneOptions:
    """What ``tune`` does besides training.

    Args:
        held_out: prompts of the reports of convergence; empty: those of the training. An ``Infill`` has gaps for the
            prompts of its own only.
        seeds: texts that the buffer starts with, each with its prompt, or None for every prompt; see ``read_seeds``.
        checkpoint: a file that keeps the state, from which an interrupted training resumes: at every report, once a
            minute, and where the training is stopped or a reward fails.
        sinks: what receives the numbers of the reports.
        on_step: called with the loss of each step.
        on_report: called with each report, and the sampler as it is then.
        on_line: called with lines of text for the user, such as that seeds are not in the space.
        samplers: makes the samplers that draw, such as actors of a Ray cluster; None: one in this process.
    """

    held_out: Sequence[str] = ()
    seeds: Sequence[tuple[str | None, str]] = ()
    checkpoint: str | Path | None = None
    sinks: Sequence[Sink] = ()
    on_step: Callable[[float], object] | None = None
    on_report: Callable[[Report, TunedModel], object] | None = None
    on_line: Callable[[str], object] | None = None
    samplers: Callable[[Tokens, TuneSettings], SamplerGroup] | None = None


def tune(
    model: str | Path | LanguageModel,
    prompts: str | Sequence[str],
    reward: LanguageReward | Callable[..., float | None],
    *,
    seed: int = 0,
    settings: TuneSettings | None = None,
    options: TuneOptions | None = None,
    **changes: Any,
) -> TunedModel:
    """Tune a language model to draw continuations of prompts in proportion to a reward.

    Args:
        model: the model, or its name or path; see ``load_language_model``.
        prompts: the prompts of the training, or a single one.
        reward: the log-reward of a continuation; a function of its text is ``Checked`` with the defaults.
        seed: seed of the adapters and of every draw.
        settings: the settings; None: the defaults.
        options: reports, checkpoints and so on; None: none of them.
        **changes: settings by name, such as ``lora=16`` or ``steps=500``.

    Returns:
        The sampler.

    Raises:
        ConfigError: a setting is unknown or out of range, the model is missing, a prompt does not fit it, or the
            training runs away.
    """
    options = TuneOptions() if options is None else options
    settings = TuneSettings() if settings is None else settings
    for name, value, kind in (("settings", settings, TuneSettings), ("options", options, TuneOptions)):
        if not isinstance(value, kind):
            raise ConfigError(f"{name}: expected {kind.__name__}(...), got {value!r:.80}")
    names = [field.name for field in fields(TuneSettings)]
    if unknown := sorted(set(changes) - set(names)):
        raise ConfigError(f"{unknown[0]}: not a setting of tune; expected one of {', '.join(names)}")
    try:
        settings = replace(settings, **changes)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    prompts = [prompts] if isinstance(prompts, str) else prompts
    prompts = list(prompts) if isinstance(prompts, Iterable) else prompts
    _check_texts(prompts, options)
    reward = reward if isinstance(reward, LanguageReward) else Checked(reward)
    environment = make_environment(_name_of(model), prompts, settings)
    return _Tuning(environment, reward, settings, options, seed).run()


def _check_texts(prompts: object, options: TuneOptions) -> None:
    """Check the types of the texts that are given to ``tune``.

    Raises:
        ConfigError: prompts are not texts, or seeds are not pairs.
    """
    for name, texts in (("prompts", prompts), ("held_out", options.held_out)):
        if not is_texts(texts):
            raise ConfigError(f"{name}: expected a list of texts, got {texts!r:.80}")
    for pair in options.seeds:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not is_texts([pair[0] or "", pair[1]]):
            raise ConfigError(f"seeds: expected pairs of a prompt (or None) and a text, got {pair!r:.80}")


def _name_of(model: str | Path | LanguageModel) -> str:
    """Return the name of a model, after registering one that is in memory.

    Raises:
        ConfigError: it is no model.
    """
    if isinstance(model, LanguageModel):
        return register(model)
    if not isinstance(model, str | Path):
        raise ConfigError(f"model: expected a language model, or its name or path, got {model!r:.80}")
    return str(model)


def make_environment(model: str, prompts: list[str], settings: TuneSettings) -> Tokens:
    """Return the space of the continuations.

    Args:
        model: name or path of the model.
        prompts: the prompts.
        settings: the settings.

    Raises:
        ConfigError: the model is missing, or a setting or a prompt does not fit it.
    """
    try:
        return Tokens(model, prompts, **settings.space)
    except ValueError as error:
        raise ConfigError(str(error)) from None


class _Tuning:
    """One training, from its start or a checkpoint to its end."""

    def __init__(
        self, environment: Tokens, reward: LanguageReward, settings: TuneSettings, options: TuneOptions, seed: int
    ) -> None:
        self._environment, self._reward, self._options, self._seed = environment, reward, options, seed
        if settings.staleness and options.samplers is None:
            self._say("staleness: without Ray no sampler lags behind; 0 is used")
            settings = replace(settings, staleness=0)
        self._settings = settings
        if not isinstance(seed, int):
            raise ConfigError(f"seed: expected a whole number, got {seed!r:.80}")
        check_seed(seed)
        reward.bind(environment)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "adapters"))
            policy = LanguagePolicy(environment, lora=settings.lora)
        self._learner = Learner(environment, settings.training(settings.steps), seed, policy)
        self._live = StateReward(reward, is_live=True)
        capacity, distance = settings.buffer_capacity, settings.buffer_distance
        self._buffer = TextBuffer(environment, reward, capacity, distance, self._learner.device)
        if settings.n_from_buffer:
            self._learner.add_source(self._buffer, settings.n_from_buffer)
        elif options.seeds:
            raise ConfigError(
                f"seeds: no continuation of a step comes from the buffer (buffer_share={settings.buffer_share:g}, "
                f"batch_size={settings.batch_size}); use a larger buffer_share or batch_size, or no seeds"
            )
        metadata = {"reward": reward.describe(), "seed": seed, "steps": settings.steps}
        self._tuned = TunedModel(environment, policy, reward, metadata)
        self._reported = self._report_on()
        self._saved_at = time.monotonic()

    def _seed_buffer(self) -> None:
        """Add the given texts to the buffer, and say how many of them are not in the space."""
        refused = self._buffer.seed(self._options.seeds)
        if refused:
            text, reason = next(iter(refused.items()))
            n = counted(len(refused), "text is", "texts are")
            self._say(f"seeds: {n} not in the space and left out; the first, {text!r:.60}: {reason:.200}")

    def _say(self, line: str) -> None:
        if self._options.on_line is not None:
            self._options.on_line(line)

    def _report_on(self) -> tuple[TunedModel, LanguageReward]:
        """Return the sampler and the reward for the prompts of the reports."""
        held_out = list(self._options.held_out)
        if not held_out:
            return self._tuned, self._reward
        if not self._reward.has_any_prompt:
            raise ConfigError("held_out: an infill has gaps for its own prompts only; leave held_out empty")
        try:
            environment = self._environment.with_prompts(held_out)
        except ConfigError as error:
            raise ConfigError(f"held_out: {str(error).removeprefix('prompts: ')}") from None
        reward = self._reward.for_environment(environment)
        return TunedModel(environment, self._tuned.policy, reward), reward

    def run(self) -> TunedModel:
        """Train, and return the sampler."""
        if stopping.current_request() is not None:
            return self._run()
        with stopping.stop_on_unhandled_signals(stopping.StopRequest()):
            return self._run()

    def _run(self) -> TunedModel:
        self._learner.start(self._live)
        begun, stats = self._resume(), PipelineStats()
        try:
            if not begun:
                self._seed_buffer()
            self._train(begun, stats)
        except Diverged as error:
            raise ConfigError(
                f"lr: the training runs away at step {begun + stats.steps} ({error}) with lr={self._settings.lr:g}; "
                "use a smaller lr"
            ) from None
        except (Exception, stopping.Stopped):
            # the reward of a step fails before the weights change, and a first stop waits for the end of a step
            request = stopping.current_request()
            if request is None or not request.is_urgent:
                self._keep_at_the_end(begun + stats.steps)
            raise
        self._reward.set_step(self._settings.steps)
        return self._tuned

    def _train(self, begun: int, stats: PipelineStats) -> None:
        """Train from a step on.

        Args:
            begun: number of steps of the checkpoint.
            stats: has the number of steps since then, also where the training fails.
        """
        settings, options, learner = self._settings, self._options, self._learner
        for sink in options.sinks:
            sink.begin("tune-language", digest(self._environment.prompts), vars(settings))
        make = options.samplers or self._inline
        samplers = make(self._environment, settings)
        every = settings.report_every or max(settings.steps // 10, 1)
        losses: list[float] = []
        step = begun
        try:
            self._prepare(step)
            samplers.set_reward(self._live)
            learner.training = settings.training(settings.steps - begun)
            seeds = partial(self._seed_of, begun)
            for loss in pipeline(learner, samplers, seed=seeds, stats=stats):
                losses.append(loss)
                step += 1
                if options.on_step is not None:
                    options.on_step(loss)
                if step % every == 0 or step == settings.steps:
                    self._report(step, sum(losses) / len(losses))
                    losses = []
                elif time.monotonic() - self._saved_at >= _SAVED_EVERY_S:
                    self._keep(step)
                stopping.look()
                self._prepare(step)
        finally:
            samplers.close()
            for sink in options.sinks:
                sink.end("finished" if step == settings.steps else "stopped")

    def _seed_of(self, begun: int, purpose: str, step: int) -> int:
        return derive_seed(self._seed, purpose, begun + step)

    def _inline(self, environment: Tokens, settings: TuneSettings) -> SamplerGroup:
        return InlineSampler(Sampler(environment, self._learner.sampling_policy))

    def _prepare(self, step: int) -> None:
        """Set the reward's temperature and the learning rate of a step."""
        self._reward.set_step(step)
        settings = self._settings
        growing = (step + 1) / max(settings.warmup, 1)
        falling = (settings.steps - step) / max(settings.decay * settings.steps, 1e-9)
        self._learner.scale_rates(min(growing, 1.0) * min(max(falling, _LEAST_RATE), 1.0))

    def _report(self, step: int, loss: float) -> None:
        tuned, reward = self._reported
        reward.set_step(step)
        seed = derive_seed(self._seed, "report", step) % (1 << 31)
        report = convergence(tuned, reward, self._settings.report_draws, step=step, loss=loss, seed=seed)
        for sink in self._options.sinks:
            sink.log(step, report.metrics())
        if self._options.on_report is not None:
            self._options.on_report(report, self._tuned)
        self._keep(step)

    # -- checkpoints ---------------------------------------------------------------------------------------------------

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must agree with."""
        settings = {k: v for k, v in vars(self._settings).items() if k not in ("steps", "report_every", "report_draws")}
        return {
            "settings": settings | {"device": ""},
            "prompts": digest(self._environment.prompts),
            "seed": self._seed,
            "model": self._environment.language_model.checksum(),
            "reward": _digest(self._reward.identity()),
            "seeds": _digest([list(pair) for pair in self._options.seeds]),
        }

    def _keep_at_the_end(self, step: int) -> None:
        """Write a checkpoint of a training that fails or is stopped, unless nothing has been done yet."""
        if step or self._reward.state_of_values().get("paid"):
            with suppress(ConfigError):  # the error that ends the training says more
                self._keep(step)

    def _keep(self, step: int) -> None:
        if self._options.checkpoint is None:
            return
        buffer = io.BytesIO()
        content = {
            "step": step,
            "identity": self._identity(),
            # a reward may fail in the first step, after the learner has begun it
            "learner": self._learner.state_dict() | {"is_fresh": step == 0},
            "code": self._reward.code(),
            "values": self._reward.state_of_values(),
        }
        torch.save(content, buffer)
        path = Path(self._options.checkpoint)
        try:
            write_whole(path, buffer.getvalue())
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}") from None
        self._saved_at = time.monotonic()

    def _resume(self) -> int:
        """Return the step of the checkpoint, after loading it; 0 without one."""
        path = self._options.checkpoint
        if path is None or not Path(path).exists():
            return 0
        try:
            content = torch.load(path, map_location=self._learner.device, weights_only=True)
            step, identity = int(content["step"]), dict(content["identity"])
        except Exception:  # a damaged file raises almost anything
            raise ConfigError(f"checkpoint: {path} is not a checkpoint of tune, or is corrupt; remove it") from None
        if changed := _differences(identity, self._identity()):
            raise ConfigError(
                f"checkpoint: {path} is of another training, with other {', '.join(changed)}; remove it to start anew, "
                "or choose another output"
            )
        if step > self._settings.steps:
            raise ConfigError(
                f"steps: {path} has made {step} steps already, more than {self._settings.steps}; remove it to start "
                "anew, or choose another output"
            )
        self._learner.load_state_dict(content["learner"])
        if content.get("code") == self._reward.code():
            self._reward.load_values(content["values"])
        elif "code" in content:
            self._say("the code of the reward has changed since the checkpoint; rewards are computed anew")
            self._buffer.recompute()
        return step


def _digest(value: Any) -> str:
    """Return a hash of plain values."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Return the names of what differs between two identities; an older one has fewer entries."""
    names = []
    for key, value in expected.items():
        other = found.get(key, value)
        if isinstance(value, dict) and isinstance(other, dict):
            names += [f"{key}.{name}" for name in value if other.get(name, value[name]) != value[name]]
        elif other != value:
            names.append(key)
    return names
