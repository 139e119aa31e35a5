"""The default method of a campaign, ``method: auto``: concrete parts in place of those that the config leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from al_loop.config.build import build
from al_loop.config.frozen import Frozen
from al_loop.config.given import GivenPart
from al_loop.config.plugins import Part
from al_loop.errors import ConfigError

#: sections that consist of one part, which the method chooses
_PARTS = ("features", "surrogate", "acquisition", "selector")
#: smaller batches have too few places for shares of several boldness
_LEAST_SHARED_BATCH = 8
_DESCRIBED_AS = {
    "kind": "joined",
    "parts": [{"kind": "morgan"}, {"kind": "morgan", "roles": True}, {"kind": "descriptors"}],
}
#: the best of each group of alike molecules, and a share that the surrogate does not choose, in case it is wrong
_BRANCHED = {
    "kind": "mixed",
    "share": 0.3,
    "by": "random",
    "selector": {"kind": "leader", "threshold": 0.65},
}

Content = Mapping[str, Any]


def resolved(content: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a config's content in which the method's choices stand where it leaves a part out, and what was chosen.

    The choices depend on the kind of objects, on whether they are listed or made, and on the size of a batch. How many
    data there are is decided anew in each round, by the surrogate. What the config sets itself stays. A later version
    may choose otherwise, so a run goes on with the choices that it recorded (see ``CampaignConfig.assumed``).

    Args:
        content: sections and keys, before their validation.

    Returns:
        The content, and the names of the sections and ``section.key`` that were chosen.
    """
    is_whole = content.get("method") == "auto"
    asked = [name for name in _PARTS if _is_auto(content.get(name)) and (is_whole or name != "surrogate")]
    if not is_whole and not asked:
        return content, ()
    choices = _choices(content)
    result, chosen = dict(content), []
    for name in _PARTS if is_whole else asked:
        if name in choices and (content.get(name) is None or _is_auto(content[name])):
            result[name] = choices[name]
        elif name in asked:
            result.pop(name)
        else:
            continue
        chosen.append(name)
    if is_whole:
        for name in ("sampler", "reward"):
            own = content.get(name, {})
            if isinstance(own, Mapping) and name in choices:
                result[name] = {**choices[name], **own}
                chosen += [f"{name}.{key}" for key in choices[name] if key not in own]
    return result, tuple(chosen)


def described(config: Frozen) -> str:
    """Return one line about the parts of a config, for the user.

    Args:
        config: a campaign's config.
    """
    content = config.model_dump(mode="json", exclude_unset=True)
    parts = [f"{name} {content[name]['kind']}" for name in _PARTS if isinstance(content.get(name), Mapping)]
    return f"method auto: {', '.join(parts)}"


def _is_auto(part: Any) -> bool:
    if isinstance(part, str):
        return part == "auto"
    return isinstance(part, Mapping) and dict(part) == {"kind": "auto"}


def _choices(content: Content) -> dict[str, Any]:
    """Return the method's sections for the space and the batch size of a config."""
    object_type, is_listed = _space(content.get("environment"))
    rounds = content.get("rounds", {})
    batch_size = rounds.get("batch_size", 16) if isinstance(rounds, Mapping) else 16
    is_shared = isinstance(batch_size, int) and batch_size >= _LEAST_SHARED_BATCH
    if is_listed:  # every object is scored, so that nothing has to keep the sampler's pool apart
        features = {"features": _DESCRIBED_AS} if object_type == "molecule" else {}
        return {
            **features,
            "surrogate": {"kind": "auto"},
            "acquisition": {"kind": "ucb", "kappa": 2.0},
            "selector": {"kind": "greedy"},
        }
    if object_type == "sequence":
        return {
            "features": {"kind": "one_hot"},
            "surrogate": {"kind": "sequence"},
            "acquisition": {"kind": "ucb", "kappa": 1.0},
            "selector": {"kind": "graded" if is_shared else "diverse"},
            "reward": {"feasibility": 15, "feasibility_by": "auto"},  # in spreads of the acquisition at random
            "sampler": {
                "steps": 50,
                "pool": 512,
                "searches": [{"kind": "genetic", "size": 32}],
                "evolution": {"kind": "letters", "generations": 20, "children": 250},
            },
        }
    choices: dict[str, Any] = {
        "surrogate": {"kind": "auto"},
        "acquisition": {"kind": "ucb", "kappa": 0.5},
        "selector": {"kind": "diverse"},
    }
    if object_type == "molecule":
        if is_shared:
            choices["selector"] = _BRANCHED
        # children of measured molecules alone: of their own children the surrogate knows too little
        evolution = {"kind": "graph_edits", "children": 750, "generations": 1, "population": 200}
        choices["sampler"] = {"evolution": evolution}
    return choices


def _space(part: Any) -> tuple[str | None, bool]:
    """Return the type of a space's objects, and whether it lists them all; errors are those of the validation."""
    if isinstance(part, GivenPart) or not isinstance(part, Mapping | str):
        return None, False
    try:
        environment = build("environment", Part.model_validate(part))
    except (ConfigError, ValueError):
        return None, False
    return environment.object_type, environment.objects is not None
