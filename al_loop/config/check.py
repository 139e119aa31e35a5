"""Validation of a config beyond its schema: the arguments of each part, and combinations of parts.

Every part is built once to check it, without the values that only a campaign can supply. The messages name the key,
the value, what was expected, the remedy, and where the key was set.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from pydantic import ValidationError

from al_loop.config.arguments import arguments_model, arguments_of
from al_loop.config.build import SUPPLIED, BuildContext, adapter_for, build, has_constructor
from al_loop.config.energy_terms import energy_items
from al_loop.config.given import GivenPart
from al_loop.config.locations import KeyPath, Locations
from al_loop.config.messages import messages, split_key
from al_loop.config.plugins import Part, built_in
from al_loop.config.schema import CampaignConfig
from al_loop.errors import ConfigError
from al_loop.system.alphabets import as_text

#: object types with default features
_HAS_DEFAULT_FEATURES = ("molecule", "sequence")
#: sections of the config that contain a single part
SECTIONS = ("environment", "oracle", "features", "surrogate", "acquisition", "selector")


def check_config(config: CampaignConfig, locations: Locations) -> None:
    """Check each part of a config, and then their combinations.

    Args:
        config: a config that satisfies the schema.
        locations: where each key was set, for the messages.

    Raises:
        ConfigError: a part is unknown or rejects its arguments (one line per part), or parts are incompatible.
    """
    check_parts(parts_of(config), locations)
    for check in (_check_object_types, _check_objectives, _check_fidelities, _check_sampler, _check_energies):
        check(config, locations)


def check_parts(parts: Iterable[tuple[str, Part, KeyPath]], locations: Locations) -> None:
    """Check each of some parts by itself.

    Args:
        parts: the section (a key of ``plugins.ROOMS``), the part and the key path of each.
        locations: where each key was set, for the messages.

    Raises:
        ConfigError: a part is unknown or rejects its arguments; one line per part.
    """
    problems = [message for section, part, path in parts for message in _part_problems(section, part, path, locations)]
    if problems:
        raise ConfigError("\n".join(problems))


def parts_of(config: CampaignConfig) -> Iterator[tuple[str, Part, KeyPath]]:
    """Yield the section (a key of ``plugins.ROOMS``), the part and the key path of each part in a config."""
    for section in SECTIONS:
        part = getattr(config, section)
        if part is not None:
            yield section, part, (section,)
    yield "objective", config.sampler.objective, ("sampler", "objective")
    if config.sampler.policy is not None:
        yield "policy", config.sampler.policy, ("sampler", "policy")
    for i, search in enumerate(config.sampler.searches):
        yield "search", search, ("sampler", "searches", i)
    if config.sampler.evolution is not None:
        yield "evolution", config.sampler.evolution, ("sampler", "evolution")
    for i, constraint in enumerate(config.constraints):
        yield "property", constraint, ("constraints", i)
    for i, sink in enumerate(config.sinks):
        yield "sink", sink, ("sinks", i)


def unsupported_by_ppo(config: CampaignConfig) -> tuple[tuple[str, ...], str] | None:
    """Return the first config key that PPO does not support, with the reason, or None."""
    if config.has_several_objectives and config.reward.preferences:
        return (
            ("sampler", "kind"),
            "ppo maximises a single value; for several objectives set reward.preferences=false",
        )
    if config.resources.learner.replicas > 1:
        return ("resources", "learner", "replicas"), "ppo trains in one process; remove it"
    if config.sampler.searches:
        return ("sampler", "searches"), "ppo is on-policy and cannot learn from searches; remove them"
    return None


# ---- each part by itself ---------------------------------------------------------------------------------------------


def _part_problems(section: str, part: Part, path: KeyPath, locations: Locations) -> Iterator[str]:
    key = ".".join(map(str, path))
    name = "kind" if part.kind else "target"
    try:
        factory = part.factory(section)
    except ConfigError as error:
        yield f"{key}.{name}: {error} {locations.describe((*path, name))}"
        return
    is_adapted = adapter_for(section, part, factory) is not None
    model = arguments_of(factory, is_function=True) if is_adapted else arguments_model(factory)
    # the objectives of a given oracle are the caller's, whatever arguments its function has
    arguments = {k: v for k, v in part.arguments.items() if k != "objectives" or not isinstance(part, GivenPart)}
    if model is not None:
        try:
            model.model_validate(arguments)
        except ValidationError as error:
            supplied = SUPPLIED.get(section, ())
            is_supplied = [  # an adapter knows what may be missing
                e["type"] == "missing" and e["loc"] and (is_adapted or e["loc"][0] in supplied) for e in error.errors()
            ]
            refused = [e for e, is_known in zip(error.errors(), is_supplied, strict=True) if not is_known]
            yield from messages(refused, arguments, model, path, locations)
            if not (is_adapted and all(is_supplied)):
                return  # the part cannot be built without the values that the campaign supplies
    if section in ("policy", "property", "energy"):  # these can only be built for an environment
        return
    if section == "features" and _lacks_letters(part):  # it is built with those of the environment
        return
    if section == "oracle" and has_constructor(factory):  # it is built in workers only
        return
    try:
        build(section, part)
    except ConfigError as error:
        known = () if model is None else model.model_fields
        inner, text = split_key(str(error).removeprefix(f"{key}."), known)  # a part that refuses one of its arguments
        place = (*path, *(name for name in inner if name in part.arguments))
        yield f"{'.'.join((key, *inner))}: {text if inner else error} {locations.describe(place)}"


def _lacks_letters(part: Part) -> bool:
    """Return whether features, or parts of them, may receive the environment's letters, which the config omits."""
    model = arguments_of(part.factory("features"))
    names = () if model is None else model.model_fields
    return any(name in names and name not in part.arguments for name in SUPPLIED["features"])


# ---- parts together --------------------------------------------------------------------------------------------------


def _check_object_types(config: CampaignConfig, locations: Locations) -> None:
    """Reject parts for another type of object than the environment's, and an omitted section without a default."""
    # read from an instance, since the objects of a pool depend on its file
    environment = build("environment", config.environment)
    object_type = getattr(environment, "object_type", "other")
    for section, part, path in parts_of(config):
        expected = part.declared(section, "object_type", None)
        if section != "environment" and expected not in (None, object_type):
            raise ConfigError(
                f"{'.'.join(map(str, path))}: {part.name!r} works on {expected}s, but the environment "
                f"{config.environment.name!r} produces {object_type}s; change one of them {locations.describe(path)}"
            )
    seeds = ("C",) if config.seeds else None  # only whether there are any counts here: a file is read later
    context = BuildContext(
        alphabet=environment.letters() if config.constraints else None,
        lengths=environment.lengths() if config.constraints else None,
        seeds=seeds,
    )
    for i, constraint in enumerate(config.constraints):
        where = locations.describe(("constraints", i))
        try:
            value = build("property", constraint, context)
        except ConfigError as error:
            raise ConfigError(f"constraints.{i}: {error} {where}") from error
        low, high = value.span
        of = f"{constraint.name} is {f'from {low:g} to {high:g}' if high < math.inf else f'at least {low:g}'}"
        if constraint.min is not None and constraint.min > high:
            raise ConfigError(f"constraints.{i}.min: no object has {constraint.min:g}, since {of} {where}")
        if constraint.max is not None and constraint.max < low:
            raise ConfigError(f"constraints.{i}.max: no object has {constraint.max:g}, since {of} {where}")
    if config.features is not None and _lacks_letters(config.features):
        letters = BuildContext(alphabet=as_text(environment.alphabet), length=environment.length)
        try:
            build("features", config.features, letters)
        except ConfigError as error:
            raise ConfigError(f"features: {error} {locations.describe(('features',))}") from error
    if config.features is None and object_type not in _HAS_DEFAULT_FEATURES:
        raise ConfigError(
            f"features: missing, and the objects of this environment have no default features; set features.kind to "
            f"one of {', '.join(info.kind for info in built_in('features'))}, or set features.target "
            f"{locations.describe(())}"
        )


def _check_objectives(config: CampaignConfig, locations: Locations) -> None:
    """Reject an acquisition for the wrong number of objectives, and a loss that cannot condition on preferences."""
    names = config.optimise if isinstance(config.optimise, tuple) else (config.optimise or "one",)
    is_for_several = config.acquisition.declared("acquisition", "is_multi_objective", False)
    location = locations.describe(("acquisition",))
    if is_for_several and not config.has_several_objectives:
        raise ConfigError(
            f"acquisition: {config.acquisition.name!r} requires several objectives, but the campaign optimises one; "
            f"list several in optimise, or use a single-objective acquisition {location}"
        )
    if config.has_several_objectives and not is_for_several:
        kinds = [info.kind for info in built_in("acquisition")]
        suitable = [kind for kind in kinds if Part(kind=kind).declared("acquisition", "is_multi_objective", False)]
        raise ConfigError(
            f"acquisition: {config.acquisition.name!r} supports a single objective, but the campaign optimises "
            f"{len(names)} ({', '.join(names)}); use {' or '.join(suitable)} {location}"
        )
    objective = config.sampler.objective
    if config.has_several_objectives and config.reward.preferences and not build("objective", objective).uses_log_z:
        raise ConfigError(
            f"sampler.objective: {objective.name!r} does not learn log Z, which depends on the preferences; use "
            f"trajectory_balance, or set reward.preferences=false {locations.describe(('sampler', 'objective'))}"
        )


def _check_fidelities(config: CampaignConfig, locations: Locations) -> None:
    """Reject a multi-fidelity surrogate without an acquisition that chooses fidelities, and the reverse."""
    is_modelled = config.surrogate.declared("surrogate", "models_fidelities", False)
    is_chosen = config.acquisition.declared("acquisition", "chooses_fidelities", False)
    if is_modelled and not is_chosen:
        raise ConfigError(
            f"surrogate: {config.surrogate.name!r} requires an acquisition that chooses fidelities; set "
            f"acquisition.kind to multi_fidelity_mes or multi_fidelity_ei {locations.describe(('surrogate',))}"
        )
    if is_chosen and not is_modelled:
        raise ConfigError(
            f"acquisition: {config.acquisition.name!r} requires a multi-fidelity surrogate; set surrogate.kind: "
            f"multi_fidelity {locations.describe(('acquisition',))}"
        )


def _check_energies(config: CampaignConfig, locations: Locations) -> None:
    """Reject energies that would count twice, and a first batch from an energy that is not there."""
    terms = energy_items(config.reward.energy)
    if terms and build("objective", config.sampler.objective).uses_reference:
        raise ConfigError(
            f"reward.energy: the objective {config.sampler.objective.name!r} multiplies the reward by the prior, so "
            "the data would count twice; use the energy as reward.energy with another objective, such as "
            f"trajectory_balance, or as sampler.prior without reward.energy {locations.describe(('reward', 'energy'))}"
        )
    if config.rounds.initial_from == "energy" and config.sampler.prior is None and not any(t.weight > 0 for t in terms):
        raise ConfigError(
            "rounds.initial_from: energy requires an energy to draw from: reward.energy with a weight above 0, or "
            f"sampler.prior {locations.describe(('rounds', 'initial_from'))}"
        )


def _check_sampler(config: CampaignConfig, locations: Locations) -> None:
    """Reject settings that the sampler does not support."""
    unsupported = unsupported_by_ppo(config) if config.sampler.kind == "ppo" else None
    if unsupported is not None:
        path, reason = unsupported
        raise ConfigError(f"{'.'.join(path)}: {reason} {locations.describe(path)}")
    is_language = config.environment.declared("environment", "random_policy", "") != ""
    if config.sampler.kind == "gflownet" and not is_language:
        objective, reason = build("objective", config.sampler.objective), ""
        if objective.uses_reference and config.sampler.prior is None:
            reason = "requires sampler.prior, such as a file of `al-loop pretrain`; set it, or use trajectory_balance"
        elif objective.uses_stops:
            reason = "requires a reward of unfinished objects, which language models alone have (environment: tokens); "
            reason += "use sub_trajectory_balance"
        if reason:
            where = locations.describe(("sampler", "objective"))
            raise ConfigError(f"sampler.objective: {config.sampler.objective.name!r} {reason} {where}")
    if config.sampler.pool < config.rounds.batch_size:
        raise ConfigError(
            f"sampler.pool: {config.sampler.pool} is smaller than rounds.batch_size ({config.rounds.batch_size}), too "
            f"small to select a full batch from; increase it {locations.describe(('sampler', 'pool'))}"
        )
