"""Priors: files with the weights of a policy trained on data, as a starting point for samplers."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.errors import ConfigError
from al_loop.gflownet.policies.base import Policy
from al_loop.storage.files import write_whole

_DATA = Path(__file__).parent / "data"
#: included priors by name
NAMED_PRIORS = {"zinc": _DATA / "prior_zinc.pt", "zinc_selfies": _DATA / "prior_zinc_selfies.pt"}


class Prior(dict[str, Tensor]):
    """The weights of a policy, read from a file.

    Args:
        weights: the state of the policy.
        path: the file.
        metadata: a description of the training and of the environment; see ``save_prior``.
    """

    def __init__(self, weights: Mapping[str, Tensor], path: str, metadata: Mapping[str, Any]) -> None:
        super().__init__(weights)
        self.path, self.metadata = path, metadata


def environment_metadata(environment: Environment) -> dict[str, str]:
    """Return a description of an environment, and a fingerprint of the meaning of its actions."""
    content = json.dumps([environment.name, environment.vocabulary()])
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    return {"environment": environment.describe(), "vocabulary": digest}


def save_prior(path: str | Path, policy: Policy, metadata: Mapping[str, Any]) -> None:
    """Write the weights of a policy to a file, completely or not at all.

    Args:
        path: the file; an existing one is replaced.
        policy: the policy.
        metadata: plain values to store with the weights. If they include ``environment_metadata``, ``load_prior``
            rejects the prior for another environment.

    Raises:
        ConfigError: the file cannot be written.
    """
    weights = {name: weight.detach().cpu() for name, weight in policy.trainable_state().items()}
    buffer = io.BytesIO()
    torch.save({"weights": weights, "facts": {"policy": type(policy).__name__, **metadata}}, buffer)
    try:
        write_whole(Path(path), buffer.getvalue())
    except OSError as error:
        raise ConfigError(f"cannot write the prior {path}: {error.strerror}") from None


def read_prior(path: str | Path | None) -> Prior | None:
    """Read a file that ``save_prior`` wrote.

    Args:
        path: the file, or the name of an included prior; None: there is no prior.

    Raises:
        ConfigError: the file cannot be read, or is not a prior.
    """
    if path is None:
        return None
    path = NAMED_PRIORS.get(str(path), path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        prior = Prior(content["weights"], str(path), dict(content["facts"]))
    except OSError as error:
        raise ConfigError(f"sampler.prior: cannot read {path}: {error.strerror or error}") from None
    except Exception:  # a corrupt file raises almost anything
        raise _not_a_prior(path) from None
    if not all(isinstance(weight, Tensor) for weight in prior.values()):
        raise _not_a_prior(path)
    return prior


def is_prior(path: str | Path) -> bool:
    """Return whether a file is a prior, rather than a model of another kind; False if it cannot be read."""
    try:
        return read_prior(path) is not None
    except ConfigError:
        return False


def _not_a_prior(path: str | Path) -> ConfigError:
    return ConfigError(f"sampler.prior: {path} was not written by `al-loop pretrain`, or is corrupt")


def load_prior(environment: Environment, policy: Policy, prior: Mapping[str, Tensor]) -> None:
    """Load the weights of a prior into a policy.

    Args:
        environment: the environment in which the policy acts.
        policy: the policy, which remains unchanged if the prior does not fit.
        prior: the weights; a ``Prior`` is checked against the environment, too.

    Raises:
        ConfigError: the prior is for another environment or another policy.
    """
    path, metadata = (prior.path, prior.metadata) if isinstance(prior, Prior) else ("the prior", {})
    expected = environment_metadata(environment)
    if metadata.get("vocabulary", expected["vocabulary"]) != expected["vocabulary"]:
        raise ConfigError(
            f"sampler.prior: {path} was trained for the environment {metadata.get('environment')}, whose letters, "
            f"blocks or actions differ from this {expected['environment']}; train one for it with `al-loop pretrain`"
        )
    weights = policy.trainable_state()
    if isinstance(prior, Prior):  # which was trained without conditions: at first, they change nothing
        unmoved = {name: torch.zeros_like(x) for name, x in weights.items() if name.startswith("condition.")}
        prior = Prior({**unmoved, **prior}, prior.path, prior.metadata)
    problems = [
        f"{name} is {_shape(prior.get(name))}, not {_shape(weights.get(name))}"
        for name in dict.fromkeys([*weights, *prior])
        if _shape(prior.get(name)) != _shape(weights.get(name))
    ]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        origin = f", trained with {metadata['policy']}," if "policy" in metadata else ""
        raise ConfigError(
            f"sampler.prior: {path}{origin} does not fit the policy {type(policy).__name__} of these settings: "
            f"{problems[0]}{more}; use the policy, hidden, layers and heads of the prior, or train another with "
            "`al-loop pretrain`"
        )
    policy.load_trainable_state(prior)


def _shape(weight: Tensor | None) -> str:
    return "missing" if weight is None else " x ".join(map(str, weight.shape)) or "a number"
