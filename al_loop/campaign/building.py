"""Functions that build what a campaign consists of from its config: oracle, features, policy, training settings."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from al_loop.config import BuildContext, CampaignConfig, Part, build
from al_loop.config.given import GivenPart
from al_loop.errors import ConfigError
from al_loop.oracles.base import Fidelity, Oracle
from al_loop.outgoing import remember_secrets_of
from al_loop.system.alphabets import as_text

if TYPE_CHECKING:
    from al_loop.environments.base import Environment
    from al_loop.features.base import Features
    from al_loop.gflownet.policies.base import Policy
    from al_loop.gflownet.settings import TrainingSettings
    from al_loop.surrogates.base import Surrogate

#: keys of the config's ``sampler`` that are not fields of the training settings under the same name and type
_NOT_TRAINING_SETTINGS = ("kind", "objective", "searches", "evolution", "policy", "prior", "pool")


def build_environment(config: CampaignConfig) -> Environment:
    """Build the environment that a config names.

    Raises:
        ConfigError: its arguments are refused.
    """
    environment: Environment = build("environment", config.environment)
    return environment


def build_oracle(config: CampaignConfig) -> Oracle:
    """Build the oracle that a config names; the same in every process.

    Raises:
        ConfigError: its arguments are refused.
    """
    remember_secrets_of(config.model_dump(mode="json"))  # what the oracle prints is without them
    oracle: Oracle = build("oracle", config.oracle)
    return oracle


def oracle_identity(config: CampaignConfig, oracle: Oracle) -> str:
    """Return a text that is equal for two oracles which give the same values.

    Two oracles are the same if their part, arguments, version, libraries and, for a user's own oracle, its source file
    and the files that it uses are the same.

    Args:
        config: the campaign's config.
        oracle: the oracle that was built from it.
    """
    from al_loop.campaign.provenance import oracle_files  # loads SQLAlchemy, which an oracle worker does without

    content: dict[str, Any] = {"part": config.oracle.model_dump(mode="json"), "version": oracle.version}
    content["objectives"] = [o.name for o in oracle.objectives]
    content["libraries"] = {name: metadata.version(name) for name in oracle.libraries}
    if isinstance(config.oracle, GivenPart):
        content["code"] = config.oracle.content_hash
    elif config.oracle.target:
        source = _source_file(config.oracle.factory("oracle"))
        content["code"] = hashlib.sha256(Path(source).read_bytes()).hexdigest() if source else None
    if files := oracle_files(config):
        content["files"] = files
    return json.dumps(content, sort_keys=True)


def _source_file(thing: Any) -> str | None:
    """Return the file of a function, a class, a functools.partial, a method or an instance; None if it has none."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    try:
        return inspect.getsourcefile(inspect.unwrap(thing))
    except TypeError:  # an instance, or something written in C
        return None if isinstance(thing, type) else _source_file(type(thing))


def campaign_fingerprint(config: CampaignConfig, oracle: Oracle) -> str:
    """Return the fingerprint of a campaign: of its config, and of the version of the oracle's values.

    Args:
        config: the campaign's config.
        oracle: the oracle that was built from it.
    """
    return hashlib.sha256(f"{config.fingerprint}-{oracle.version}".encode()).hexdigest()[:16]


def fidelities_of(config: CampaignConfig, oracle: Oracle) -> tuple[Fidelity, ...]:
    """Return the fidelities among which a campaign chooses, cheapest first and the oracle's own (the target) last.

    Args:
        config: the campaign's config.
        oracle: the oracle that was built from it.

    Returns:
        The fidelities; empty if the campaign measures everything at the oracle's own.

    Raises:
        ConfigError: the campaign chooses fidelities, but the oracle has none that is cheaper than its own.
    """
    if not config.acquisition.declared("acquisition", "chooses_fidelities", False):
        return ()
    target = [f for f in oracle.fidelities if f.name == oracle.fidelity]
    cheaper = sorted((f for f in oracle.fidelities if target and f.cost < target[0].cost), key=lambda f: f.cost)
    if not cheaper:
        names = ", ".join(f"{f.name} (cost {f.cost:g})" for f in oracle.fidelities) or "none"
        raise ConfigError(
            f"acquisition: {config.acquisition.name!r} chooses among fidelities, but the "
            f"oracle has none that costs less than its own ({oracle.fidelity or 'unnamed'}); it has {names}"
        )
    return (*cheaper, target[0])


def training_settings(config: CampaignConfig, device: str | None = None) -> TrainingSettings:
    """Return the settings of sampler training, with the parts that they name.

    Args:
        config: the campaign's config.
        device: a torch device in place of the config's.

    Raises:
        ConfigError: a setting is out of range, or cannot be combined with the others.
    """
    from al_loop.gflownet.conditioning import Conditioning
    from al_loop.gflownet.execution.choice import check_execution
    from al_loop.gflownet.settings import TrainingSettings

    objective = build("objective", config.sampler.objective)
    is_conditioned = config.has_several_objectives and config.reward.preferences
    settings = {name: value for name, value in config.sampler if name not in _NOT_TRAINING_SETTINGS}
    settings["device"] = device or config.sampler.device
    searches = tuple(build("search", part) for part in config.sampler.searches)
    try:
        training = TrainingSettings(
            **settings,
            objective=objective,
            searches=searches,
            conditioning=Conditioning(objectives=len(config.optimise or "") if is_conditioned else 1),
            per_condition=min(
                config.environment.declared("environment", "trajectories_per_condition", 1), config.sampler.batch_size
            ),
        )
        if config.sampler.kind == "gflownet":
            check_execution(config.sampler.execution, training.device)
            training.check_objective(objective)
    except ValueError as error:
        raise ConfigError(f"sampler.{error}") from None
    return training


def build_policy(config: CampaignConfig, environment: Environment, settings: TrainingSettings) -> Policy:
    """Build the policy network, with fresh weights from torch's global generator.

    Args:
        config: the campaign's config.
        environment: the environment whose actions the policy chooses.
        settings: the settings of sampler training, see ``training_settings``.

    Raises:
        ConfigError: the policy of the config contradicts the settings.
    """
    from al_loop.gflownet.policies import make_policy
    from al_loop.gflownet.policy_checks import check_policy

    arguments: dict[str, Any] = {
        "hidden": settings.hidden,
        "layers": settings.layers,
        "heads": settings.heads,
        "n_conditions": settings.conditioning.n_values,
    }
    if config.sampler.policy is None:
        return make_policy(environment, **arguments)
    policy: Policy = build("policy", config.sampler.policy, BuildContext(environment=environment, **arguments))
    try:
        check_policy(policy, environment, settings)
    except ValueError as error:
        raise ConfigError(f"sampler.{error}") from None
    return policy


def build_features(config: CampaignConfig, environment: Environment) -> Features:
    """Build the config's features, or if it names none those that suit the environment's objects.

    Args:
        config: the campaign's config.
        environment: the environment whose objects they describe.
    """
    part = config.features
    if part is None and environment.object_type == "molecule":
        part = Part.model_validate(config.surrogate.declared("surrogate", "default_features", {"kind": "morgan"}))
    part = part or Part(kind="one_hot")
    context = BuildContext(alphabet=as_text(environment.alphabet), length=environment.length)
    features: Features = build("features", part, context)
    return features


def build_surrogate(config: CampaignConfig, features: Features, n_fidelities: int | None = None) -> Surrogate:
    """Build the surrogate, for the features that it is to be fitted on.

    Args:
        config: the campaign's config.
        features: the features of the objects.
        n_fidelities: among how many fidelities the campaign chooses; None: not known.
    """
    context = BuildContext(kernel=features.kernel, layout=features.layout, n_fidelities=n_fidelities)
    surrogate: Surrogate = build("surrogate", config.surrogate, context)
    return surrogate
