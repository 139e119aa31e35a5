"""Rewards for the training of samplers: functions of objects or of states."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

#: objects -> log-rewards (n, or n x objectives); any function, or a ``Reward``
LogReward = Callable[[Sequence[str]], Tensor]


class Reward(ABC):
    """A log-reward of objects that can report its uncertainty. Any other reward may be a plain function."""

    @abstractmethod
    def __call__(self, objects: Sequence[str]) -> Tensor:
        """Return log-rewards of objects, shape n or n x objectives."""

    def uncertainty(self, objects: Sequence[str]) -> Tensor | None:
        """Return the uncertainty about objects of the model behind the reward.

        Returns:
            Values of at least 0, shape n, in units of the typical spread of its predictions; None: unknown.
        """
        return None

    @property
    def preparation(self) -> Callable[[Sequence[str]], Any] | None:
        """What of the reward concerns each object by itself, as a function that other processes can evaluate.

        It can be pickled, and so can what it returns, which is then given to ``accept``. None: nothing.
        """
        return None

    def unprepared(self, objects: Sequence[str]) -> list[str]:
        """Return the distinct objects for which a result of the preparation would be of use."""
        return []

    def accept(self, objects: Sequence[str], prepared: Any) -> None:  # noqa: B027  there may be no preparation
        """Take over what the preparation has returned for objects.

        Args:
            objects: the objects.
            prepared: the result.
        """


@dataclass(frozen=True)
class StateReward:
    """A reward of states, which need not be decoded.

    Args:
        function: terminal states (n x state_size) -> log-rewards (n, or n x objectives), on the states' device.
        is_partial: whether the function also applies to unfinished states, as forward-looking flows require.
        is_live: whether the reward changes from step to step, such as an energy that is trained along. Whatever is
            trained on then gets its current log-reward, and the parameters of a function that is a ``torch.nn.Module``
            are sent to samplers with the policy's weights.
        uncertainty: terminal states (n x state_size) -> the uncertainty about them, see ``Reward.uncertainty``; None:
            unknown.
        is_recordable: whether the function is nothing but operations on tensors, none of which waits for a GPU, and
            never changes. Where roll-outs are compiled and recorded (see ``TrainingSettings.execution``), it is, too.
    """

    function: Callable[[Tensor], Tensor]
    is_partial: bool = False
    is_live: bool = False
    uncertainty: Callable[[Tensor], Tensor | None] | None = None
    is_recordable: bool = False

    @property
    def live_module(self) -> nn.Module | None:
        """The module whose parameters are sent to samplers; None if there is none, or the reward is fixed."""
        return self.function if self.is_live and isinstance(self.function, nn.Module) else None


AnyReward = LogReward | StateReward


@torch.no_grad()
def score(log_reward: AnyReward, keys: Sequence[Hashable], states: Tensor) -> Tensor:
    """Return the log-rewards of n objects, shape n or n x objectives, on the device of the states.

    Args:
        log_reward: the reward.
        keys: the objects, for a reward of objects.
        states: their terminal states, shape n x state_size.

    Raises:
        ValueError: the reward is one of objects, and a key is not one.
    """
    if isinstance(log_reward, StateReward):
        return as_log_reward(log_reward.function(states), len(states))
    if not all(isinstance(key, str) for key in keys):
        raise ValueError("a reward of objects requires the objects, and only their states are known")
    return as_log_reward(log_reward([*keys]), len(keys)).to(states.device)  # type: ignore[list-item]


def as_log_reward(log_reward: Tensor, n: int) -> Tensor:
    """Return log-rewards in their usual shape: n for a single column.

    Args:
        log_reward: what a reward returned for n objects.
        n: number of objects.

    Raises:
        ValueError: it is not a tensor of n real numbers, or of n rows of them.
    """
    expected = f"expected one log-reward for each of {n} objects"
    if not isinstance(log_reward, Tensor):
        raise ValueError(f"{expected} as a tensor, got {type(log_reward).__name__}")
    if log_reward.dtype == torch.bool or log_reward.is_complex():
        raise ValueError(f"{expected} as real numbers, got the dtype {log_reward.dtype}")
    if log_reward.dim() not in (1, 2) or len(log_reward) != n:
        raise ValueError(f"{expected}, shape ({n},) or ({n}, objectives), got shape {tuple(log_reward.shape)}")
    return log_reward[:, 0] if log_reward.dim() == 2 and log_reward.shape[1] == 1 else log_reward


class Diverged(ValueError):  # noqa: N818  it is an event more than an error
    """Raised where numbers of a training are infinite or NaN, usually because of a learning rate that is too large."""


_TOO_HIGH = "a log-reward is NaN or +inf; rewards must be finite, or 0 (a log-reward of -inf)"


def check_log_reward(log_reward: Tensor, n: int, others: Sequence[Tensor] = ()) -> None:
    """Raise an error if log-rewards cannot be trained on.

    Args:
        log_reward: log-rewards of a draw, shape n or n x objectives.
        n: number of objects.
        others: log-rewards of other objects in the batch, which may all be -inf.

    Raises:
        Diverged: a log-reward is NaN or +inf.
        ValueError: all are -inf, or their number is wrong.
    """
    if len(log_reward) != n:
        raise ValueError(f"expected one log-reward for each of {n} objects, got shape {tuple(log_reward.shape)}")
    # one synchronisation with a GPU instead of several
    is_too_high = _is_too_high(log_reward)
    for other in others:
        is_too_high |= _is_too_high(other)
    is_zero = (log_reward == -torch.inf).all()
    if not bool(is_too_high | is_zero):
        return
    if bool(is_too_high):
        raise Diverged(_TOO_HIGH)
    raise ValueError("every log-reward is -inf, so that no object is preferred to another")


def check_not_too_high(log_reward: Tensor) -> None:
    """Raise an error if log-rewards cannot be compared.

    Args:
        log_reward: log-rewards, of any shape.

    Raises:
        Diverged: a log-reward is NaN or +inf.
    """
    if bool(_is_too_high(log_reward)):
        raise Diverged(_TOO_HIGH)


def _is_too_high(log_reward: Tensor) -> Tensor:
    return log_reward.isnan().any() | (log_reward == torch.inf).any()


def check_losses(losses: Tensor) -> None:
    """Raise an error if a loss is not finite, before a gradient step ruins the weights.

    Raises:
        Diverged: a loss is infinite or NaN.
    """
    if not bool(losses.isfinite().all()):
        raise Diverged(
            "a loss is infinite or NaN, so no gradient step is made; check the log-rewards, the environment's masks "
            "and the numbers that the policy returns"
        )
