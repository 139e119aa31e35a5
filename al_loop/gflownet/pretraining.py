"""Policies that are trained on data by maximum likelihood, to start from and to be held against."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from al_loop.environments.base import Environment
from al_loop.errors import ConfigError
from al_loop.gflownet.conditioning import Conditioning
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.rollout import backward_rollout
from al_loop.gflownet.trajectory_terms import log_probabilities

_VALIDATIONS = 10  # in a training
_VALIDATION_BATCH = 256


@dataclass(frozen=True)
class Encoded:
    """Objects of a data set as terminal states.

    states: one row for each object that is in the space. n_skipped: those that are not. reason: why the first of them
    is not; empty: all are.
    """

    states: Tensor
    n_skipped: int
    reason: str


@dataclass(frozen=True)
class Pretrained:
    """What came out of maximum-likelihood training.

    n_train, n_validation: objects trained on, and held out. n_skipped: objects that are not in the space.
    validation: (steps done, negative log-likelihood) of the held-out objects, in nats; empty where none is held out.
    step: after which the weights were the best; they are those that were kept. loss: of the last step.
    """

    n_train: int
    n_validation: int
    n_skipped: int
    validation: list[tuple[int, float]]
    step: int
    loss: float

    @property
    def validation_nll(self) -> float:
        """Of the weights that were kept; NaN where nothing is held out."""
        return min((nll for _, nll in self.validation), default=math.nan)


def encode_objects(
    environment: Environment, objects: Sequence[str], on_object: Callable[[], None] | None = None
) -> Encoded:
    """Terminal states of those objects that are in the space.

    Raises:
        ConfigError: none is.
    """
    rows, reasons = [], []
    for name in objects:
        try:
            rows.append(environment.encode([name]))
        except ValueError as error:
            reasons.append(str(error))
        if on_object is not None:
            on_object()
    if not rows:
        first = f"; the first: {reasons[0]}" if reasons else ""
        raise ConfigError(f"data: none of {len(objects)} objects is in the space of the environment{first}")
    return Encoded(torch.cat(rows), len(reasons), reasons[0] if reasons else "")


def pretrain(
    environment: Environment,
    objects: Sequence[str] | Encoded,
    policy: Policy,
    *,
    steps: int = 1000,
    batch_size: int = 64,
    lr: float = 1e-3,
    seed: int = 0,
    validation: float = 0.1,
    backward: Literal["uniform", "maximum_entropy"] = "uniform",
    conditioning: Conditioning | None = None,
    clip_norm: float = 10.0,
    on_step: Callable[[int, float], None] | None = None,
    on_validation: Callable[[int, float], None] | None = None,
) -> Pretrained:
    """Trains a policy, in place, to draw objects such as those of a data set.

    Each object is built along histories that the backward policy draws, and the probability of their actions is made
    large. The negative log-likelihoods are of such histories: of the object itself where it has one history, else
    above that of the object.

    Args:
        environment: the space.
        objects: the data set; objects that are not in the space are skipped.
        policy: on the device where everything is to happen.
        steps: gradient steps.
        batch_size: objects in each.
        lr: learning rate (Adam).
        seed: of all randomness.
        validation: share of the objects that is held out. The weights that are kept are those under which it is the
            most likely, by looking ten times.
        backward: where the histories come from; the policy's own backward half is not trained.
        conditioning: what the policy is conditioned on; the data are shown under random conditions.
        clip_norm: longest gradient.
        on_step: called after each step with its number and its loss, in nats.
        on_validation: called with the steps done and the negative log-likelihood of what is held out.

    Raises:
        ConfigError: no object is in the space, or the loss is not finite.
    """
    if not 0 <= validation < 1:
        raise ConfigError(f"validation: {validation} is not a share from 0 to below 1")
    data = objects if isinstance(objects, Encoded) else encode_objects(environment, objects)
    device = next(policy.parameters()).device
    mixer = torch.Generator().manual_seed(seed)
    states = data.states[torch.randperm(len(data.states), generator=mixer)].to(device)
    n_validation = min(math.ceil(validation * len(states)), len(states) - 1)
    held_out, train = states[:n_validation], states[n_validation:]
    generator = torch.Generator(device).manual_seed(seed)
    conditioning = conditioning or Conditioning()

    def nll(rows: Tensor, generator: torch.Generator) -> Tensor:
        n = len(rows)
        values = conditioning.sample(n, generator)
        head = torch.randint(policy.heads, (n,), generator=generator, device=device) if policy.heads > 1 else None
        context = Context(values if conditioning.n_values else None, head)
        history = backward_rollout(environment, policy, rows, generator=generator, backward=backward, context=context)
        log_pf, _ = log_probabilities(environment, policy, history, backward=backward, context=context)
        return -log_pf.sum(0)

    optimizer = torch.optim.Adam(policy.parameters(), lr=lr)
    interval = max(steps // _VALIDATIONS, 1)
    found: list[tuple[int, float]] = []
    best: dict[str, Tensor] | None = None
    loss = math.nan
    for step in range(steps):
        batch = train[torch.randint(len(train), (batch_size,), generator=mixer).to(device)]
        mean = nll(batch, generator).mean()
        optimizer.zero_grad()
        torch.autograd.backward(mean)
        nn.utils.clip_grad_norm_(policy.parameters(), clip_norm)
        optimizer.step()
        loss = float(mean.detach())
        if not math.isfinite(loss):
            raise ConfigError(f"lr: with {lr:g} the loss of step {step} is not finite; take less")
        if on_step is not None:
            on_step(step, loss)
        is_time = (step + 1) % interval == 0 or step + 1 == steps
        if n_validation and is_time:
            same = torch.Generator(device).manual_seed(seed)  # the same histories each time
            with torch.no_grad():
                each = torch.cat([nll(rows, same) for rows in held_out.split(_VALIDATION_BATCH)])
            found.append((step + 1, float(each.mean())))
            if found[-1][1] == min(value for _, value in found):
                best = copy.deepcopy(policy.state_dict())
            if on_validation is not None:
                on_validation(*found[-1])
    if best is not None:
        policy.load_state_dict(best)
    kept = min(found, key=lambda pair: pair[1])[0] if found else steps
    return Pretrained(len(train), n_validation, data.n_skipped, found, kept, loss)


# ---- files -------------------------------------------------------------------------------------------------------


def vocabulary_of(environment: Environment) -> dict[str, Any]:
    """What a policy's outputs mean: the kind of environment, its letters or blocks (how many, and a fingerprint)."""
    kind = getattr(environment, "kind", type(environment).__name__)
    blocks = getattr(environment, "blocks", None)
    letters = getattr(environment, "alphabet", getattr(environment, "items", None))
    if blocks is not None:
        content: list[Any] = [[block.smiles, block.sites] for block in blocks]
    elif letters is not None:
        content = [*letters, getattr(environment, "order", "")]
    else:
        content = [environment.n_actions]
    digest = hashlib.sha256(json.dumps([kind, content]).encode()).hexdigest()[:16]
    size = f"{len(blocks)} blocks" if blocks is not None else f"{len(letters)} letters" if letters else ""
    return {"environment": f"{kind} ({size})" if size else kind, "vocabulary": digest}


class Prior(dict[str, Tensor]):
    """The weights in a file of ``al-loop pretrain``, with the file's name and what it says of them."""

    path: str
    facts: Mapping[str, Any]


def save_prior(path: str | Path, policy: Policy, facts: Mapping[str, Any]) -> None:
    """Writes the weights of a policy, whole or not at all.

    Args:
        path: the file.
        policy: whose weights.
        facts: numbers and words to keep with them; by those of ``vocabulary_of`` a prior of another environment is
            refused.

    Raises:
        ConfigError: it cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    weights = {name: weight.detach().cpu() for name, weight in policy.state_dict().items()}
    try:
        with temporary.open("wb") as file:
            torch.save({"weights": weights, "facts": {"policy": type(policy).__name__, **facts}}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write the prior {path}: {error.strerror}") from None


def read_prior(path: str | Path | None) -> Prior | None:
    """The weights that ``save_prior`` wrote; None for no file.

    Raises:
        ConfigError: the file is not there, or holds something else.
    """
    if path is None:
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        prior = Prior(content["weights"])
        prior.path, prior.facts = str(path), dict(content["facts"])
    except OSError as error:
        raise ConfigError(f"sampler.prior: cannot read {path}: {error.strerror or error}") from None
    except Exception:  # a damaged file raises almost anything
        raise ConfigError(f"sampler.prior: {path} is no file of `al-loop pretrain`, or is damaged") from None
    if not all(isinstance(weight, Tensor) for weight in prior.values()):
        raise ConfigError(f"sampler.prior: {path} is no file of `al-loop pretrain`, or is damaged")
    return prior


def load_prior(environment: Environment, policy: Policy, prior: Mapping[str, Tensor]) -> None:
    """Gives a policy the weights of a prior.

    Raises:
        ConfigError: they are of another environment, or of another policy; the policy is as it was then.
    """
    named = f"sampler.prior: {prior.path}" if isinstance(prior, Prior) else "prior: it"
    here = vocabulary_of(environment)
    if isinstance(prior, Prior) and prior.facts.get("vocabulary", here["vocabulary"]) != here["vocabulary"]:
        raise ConfigError(
            f"{named} was made for the environment {prior.facts.get('environment')}, whose letters, blocks or actions "
            f"are not those of this {here['environment']}; make one for it with `al-loop pretrain`"
        )
    own = policy.state_dict()
    problems = [
        f"{name} is {_shape(prior.get(name))}, not {_shape(own.get(name))}"
        for name in dict.fromkeys([*own, *prior])
        if _shape(prior.get(name)) != _shape(own.get(name))
    ]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        made = f", which was made with {prior.facts.get('policy')}," if isinstance(prior, Prior) else ""
        raise ConfigError(
            f"{named}{made} does not fit the policy {type(policy).__name__} of these settings: {problems[0]}{more}; "
            "use the policy, hidden, layers and heads that it was made with, or make one with `al-loop pretrain`"
        )
    policy.load_state_dict(prior)


def _shape(weight: Tensor | None) -> str:
    return "missing" if weight is None else " x ".join(map(str, weight.shape)) or "a number"
