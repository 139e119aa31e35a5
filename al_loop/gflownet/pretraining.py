"""Training of policies on data by maximum likelihood, as a starting point for samplers."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from al_loop.environments.base import Environment
from al_loop.errors import ConfigError
from al_loop.gflownet.backward_rollout import backward_rollout
from al_loop.gflownet.conditioning import Conditioning
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.trajectory_terms import log_probabilities
from al_loop.system import stopping

_N_VALIDATIONS = 10  # validations per training
_VALIDATION_BATCH = 256
MOST_HELD_OUT = 5_000  # more would cost more than they tell: the mean of 5,000 is known to a hundredth of their spread


@dataclass(frozen=True)
class PretrainingSettings:
    """Settings of maximum-likelihood training.

    Args:
        steps: number of gradient steps.
        batch_size: objects per step.
        lr: learning rate (Adam).
        validation: held-out share of the objects, at least 0 and below 1; at most ``MOST_HELD_OUT`` are held out. Of
            ten evaluations, the weights with the highest held-out likelihood are returned.
        backward: the backward policy that draws the histories; the policy's own backward half is not trained.
        clip_norm: largest norm of the gradient.
        decay: share of the steps, the last ones, in which the learning rate falls to 0.

    Raises:
        ConfigError: a share is out of range.
    """

    steps: int = 1000
    batch_size: int = 64
    lr: float = 1e-3
    validation: float = 0.1
    backward: Literal["uniform", "maximum_entropy"] = "uniform"
    clip_norm: float = 10.0
    decay: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.validation < 1:
            raise ConfigError(f"validation: must be at least 0 and below 1, got {self.validation}")
        if not 0 <= self.decay <= 1:
            raise ConfigError(f"decay: must be between 0 and 1, got {self.decay}")


@dataclass(frozen=True)
class EncodedObjects:
    """Objects of a data set as terminal states.

    Args:
        states: terminal states of the objects in the space, shape n x state_size.
        n_skipped: number of objects that are not in the space.
        reason: the reason why the first of them is not; empty if all are.
    """

    states: Tensor
    n_skipped: int
    reason: str


@dataclass(frozen=True)
class PretrainingResult:
    """The outcome of maximum-likelihood training.

    Args:
        n_train: number of training objects.
        n_validation: number of held-out objects.
        n_skipped: number of objects that are not in the space.
        validation: pairs of the number of steps and the negative log-likelihood in nats per held-out object; empty if
            none is held out.
        step: number of steps after which the weights were best; the policy has these weights.
        loss: loss of the last step, in nats.
    """

    n_train: int
    n_validation: int
    n_skipped: int
    validation: list[tuple[int, float]]
    step: int
    loss: float

    @property
    def validation_nll(self) -> float:
        """Held-out negative log-likelihood of the best weights, in nats; NaN if nothing is held out."""
        return min((nll for _, nll in self.validation), default=math.nan)


def encode_objects(
    environment: Environment, objects: Sequence[str], on_object: Callable[[], None] | None = None
) -> EncodedObjects:
    """Return terminal states of the objects that are in the space.

    Args:
        environment: the space.
        objects: the objects, in any notation that the environment accepts.
        on_object: called after each object.

    Raises:
        ConfigError: no object is in the space.
    """
    rows, reasons = [], []
    for name in objects:
        stopping.look()
        try:
            rows.append(environment.encode([name]))
        except ValueError as error:
            reasons.append(str(error))
        if on_object is not None:
            on_object()
    if not rows:
        first = f"; the first: {reasons[0]}" if reasons else ""
        raise ConfigError(f"data: none of {len(objects)} objects is in the space of the environment{first}")
    return EncodedObjects(torch.cat(rows), len(reasons), reasons[0] if reasons else "")


def pretrain(
    environment: Environment,
    objects: Sequence[str] | EncodedObjects,
    policy: Policy,
    settings: PretrainingSettings | None = None,
    *,
    seed: int = 0,
    conditioning: Conditioning | None = None,
    on_step: Callable[[int, float], None] | None = None,
    on_validation: Callable[[int, float], None] | None = None,
) -> PretrainingResult:
    """Train a policy, in place, to draw objects like those of a data set.

    The backward policy draws a history of each object, and the likelihood of its actions is maximised. The negative
    log-likelihoods are those of the histories, which equal the object's if it has a single history, and are an upper
    bound otherwise.

    Args:
        environment: the space.
        objects: the data set; objects that are not in the space are skipped.
        policy: the policy, on the device to compute on.
        settings: the settings; None: the defaults.
        seed: source of all randomness.
        conditioning: the conditions of the policy, which are drawn at random for each object.
        on_step: called after each step with its number and its loss, in nats.
        on_validation: called with the number of steps and the negative log-likelihood of the held-out objects.

    Raises:
        ConfigError: no object is in the space, or the loss is not finite.
    """
    settings, conditioning = settings or PretrainingSettings(), conditioning or Conditioning()
    data = objects if isinstance(objects, EncodedObjects) else encode_objects(environment, objects)
    device = next(policy.parameters()).device
    order = torch.Generator().manual_seed(seed)
    states = data.states[torch.randperm(len(data.states), generator=order)].to(device)
    n_validation = min(math.ceil(settings.validation * len(states)), len(states) - 1, MOST_HELD_OUT)
    held_out, train = states[:n_validation], states[n_validation:]
    generator = torch.Generator(device).manual_seed(seed)

    def nll(rows: Tensor, generator: torch.Generator) -> Tensor:
        n = len(rows)
        values = conditioning.sample(n, generator)
        head = torch.randint(policy.heads, (n,), generator=generator, device=device) if policy.heads > 1 else None
        context = Context(values if conditioning.n_values else None, head)
        backward = settings.backward
        history = backward_rollout(environment, policy, rows, generator=generator, backward=backward, context=context)
        log_pf, _ = log_probabilities(environment, policy, history, backward=backward, context=context)
        return -log_pf.sum(0)

    optimizer = torch.optim.Adam(policy.parameters(), lr=settings.lr)
    interval = max(settings.steps // _N_VALIDATIONS, 1)
    validation: list[tuple[int, float]] = []
    best: dict[str, Tensor] | None = None
    loss = math.nan
    for step in range(settings.steps):
        stopping.look()
        batch = train[torch.randint(len(train), (settings.batch_size,), generator=order).to(device)]
        mean = nll(batch, generator).mean()
        if settings.decay:
            left = (settings.steps - step) / (settings.decay * settings.steps)
            optimizer.param_groups[0]["lr"] = settings.lr * min(left, 1.0)
        optimizer.zero_grad()
        torch.autograd.backward(mean)
        nn.utils.clip_grad_norm_(policy.parameters(), settings.clip_norm)
        optimizer.step()
        loss = float(mean.detach())
        if not math.isfinite(loss):
            raise ConfigError(f"lr: the loss of step {step} is not finite with lr={settings.lr:g}; use a smaller lr")
        if on_step is not None:
            on_step(step, loss)
        is_due = (step + 1) % interval == 0 or step + 1 == settings.steps
        if n_validation and is_due:
            fixed_generator = torch.Generator(device).manual_seed(seed)  # the same histories each time
            with torch.no_grad():
                nlls = torch.cat([nll(rows, fixed_generator) for rows in held_out.split(_VALIDATION_BATCH)])
            validation.append((step + 1, float(nlls.mean())))
            if validation[-1][1] == min(value for _, value in validation):
                best = copy.deepcopy(policy.trainable_state())
            if on_validation is not None:
                on_validation(*validation[-1])
    if best is not None:
        policy.load_trainable_state(best)
    best_step = min(validation, key=lambda pair: pair[1])[0] if validation else settings.steps
    return PretrainingResult(len(train), n_validation, data.n_skipped, validation, best_step, loss)
