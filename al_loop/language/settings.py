"""Settings of the tuning of a language model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from al_loop.gflownet.device import find_device
from al_loop.gflownet.objectives import make_objective
from al_loop.gflownet.settings import TrainingSettings
from al_loop.language_models.loading import DtypeName
from al_loop.system.checks import is_number, is_whole

_NO_FLOOR = 1e6  # log-rewards of long texts are far apart


def is_texts(value: object) -> bool:
    """Return whether a value is a list or tuple of texts."""
    return isinstance(value, list | tuple) and all(isinstance(text, str) for text in value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


#: annotation of a setting -> what its values are, and in words
_TYPES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "int": (is_whole, "a whole number"),
    "float": (is_number, "a number"),
    "str": (_is_text, "a text"),
    "list[str]": (is_texts, "a list of texts"),
    "Literal['calculator']": (("calculator",).__contains__, "'calculator'"),
    "DtypeName": (get_args(DtypeName).__contains__, f"one of {', '.join(get_args(DtypeName))}"),
}


@dataclass(frozen=True)
class TuneSettings:
    """Settings of ``tune``.

    Args:
        lora: rank of the adapters; None: all weights are trained, which a small model allows.
        steps: number of gradient steps.
        batch_size: continuations in a step.
        per_prompt: continuations of each prompt that are drawn together.
        objective: ``modified_sub_trajectory_balance``, ``sub_trajectory_balance``, ``trajectory_balance``,
            ``log_partition_variance`` (VarGrad), ``detailed_balance`` or ``flow_matching``.
        lr: learning rate (Adam).
        warmup: number of steps in which the learning rate grows to ``lr``.
        decay: share of the steps, the last ones, in which it falls to a tenth.
        buffer_share: share of a step's continuations that come from the buffer, once it contains any.
        buffer_capacity: continuations of each prompt in the buffer.
        buffer_distance: smallest edit distance between two of them, as a share of the length of the worse one.
        sampling_temperature: divisor of the sampler's logits while training.
        max_tokens: largest number of tokens of a continuation.
        min_tokens: smallest number.
        end: text of the token that ends a continuation; None: the model's own.
        allowed: texts of the only tokens that may occur; None: all but special ones.
        forbidden: texts of tokens that must not occur.
        tool: ``calculator``: after each "=" that follows an expression of integers, its value is written, not drawn.
        dtype: dtype of the frozen weights.
        device: ``cpu``, ``cuda``, ...
        staleness: most steps by which samplers on Ray may lag behind; without Ray, 0 is used.
        report_every: steps between reports of convergence; 0: a tenth of the steps.
        report_draws: continuations of each prompt in a report.

    Raises:
        ValueError: a setting has another type or is out of range, the objective is unknown or does not fit, or the
            device is not available.
    """

    lora: int | None = 16
    steps: int = 300
    batch_size: int = 32
    per_prompt: int = 8
    objective: str = "modified_sub_trajectory_balance"
    lr: float = 1e-3
    warmup: int = 5
    decay: float = 0.5
    buffer_share: float = 0.5
    buffer_capacity: int = 50
    buffer_distance: float = 0.25
    sampling_temperature: float = 1.0
    max_tokens: int = 30
    min_tokens: int = 1
    end: str | None = None
    allowed: list[str] | None = None
    forbidden: list[str] | None = None
    tool: Literal["calculator"] | None = None
    dtype: DtypeName = "float32"
    device: str = "cpu"
    staleness: int = 0
    report_every: int = 0
    report_draws: int = 32

    def __post_init__(self) -> None:
        for field in fields(self):
            value, kind = getattr(self, field.name), str(field.type)
            is_valid, expected = _TYPES[kind.removesuffix(" | None")]
            if not is_valid(value) and not (value is None and kind.endswith(" | None")):
                raise ValueError(f"{field.name}: expected {expected}, got {value!r:.80}")
        for name in ("steps", "batch_size", "per_prompt", "buffer_capacity", "report_draws", "max_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1, got {getattr(self, name)}")
        for name in ("warmup", "staleness", "report_every", "buffer_distance", "min_tokens"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: must be at least 0, got {getattr(self, name)}")
        for name in ("lr", "sampling_temperature"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: must be above 0 and finite, got {getattr(self, name)}")
        if not 0 <= self.decay <= 1:
            raise ValueError(f"decay: must be between 0 and 1, got {self.decay}")
        if not 0 <= self.buffer_share < 1:
            raise ValueError(f"buffer_share: must be at least 0 and below 1, got {self.buffer_share}")
        if self.min_tokens > self.max_tokens:
            raise ValueError(f"min_tokens: must be at most max_tokens ({self.max_tokens}), got {self.min_tokens}")
        if self.lora is not None and self.lora < 0:
            raise ValueError(f"lora: must be at least 0, or null to train all weights, got {self.lora}")
        self._check_engine()

    def _check_engine(self) -> None:
        """Check the settings that the engine knows.

        Raises:
            ValueError: the objective is unknown or does not fit, or the device is not available.
        """
        find_device(self.device)
        objective = make_objective(self.objective)
        self.training(self.steps).check_objective(objective)
        if objective.uses_reference:
            raise ValueError(
                f"objective: {self.objective} multiplies the reward by the model's likelihood; use another one, such "
                "as trajectory_balance, with this likelihood in the reward (Checked with likelihood: 1)"
            )

    @property
    def space(self) -> dict[str, Any]:
        """The arguments of ``Tokens`` among the settings."""
        names = ("max_tokens", "min_tokens", "end", "allowed", "forbidden", "tool", "dtype")
        return {name: getattr(self, name) for name in names}

    @property
    def n_from_buffer(self) -> int:
        """Continuations of a step that come from the buffer."""
        return min(round(self.batch_size * self.buffer_share), self.batch_size - 1)

    def training(self, steps: int) -> TrainingSettings:
        """Return the settings of the engine for a number of steps."""
        return TrainingSettings(
            steps=steps,
            batch_size=self.batch_size - self.n_from_buffer,
            objective=self.objective,
            replay_size=0,
            epsilon=0.0,
            temperature=self.sampling_temperature,
            per_condition=min(self.per_prompt, self.batch_size - self.n_from_buffer),
            floor=_NO_FLOOR,
            lr=self.lr,
            clip_norm=1.0,
            staleness=self.staleness,
            device=self.device,
        )
