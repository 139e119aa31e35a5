"""Defaults for a config that does not name the blocks of its molecules or the prior of its sampler.

These defaults changed between versions. They are written into the config when it is read, so that a run records them;
which of them a config did not name itself is kept beside it (``CampaignConfig.assumed``), so that a run that began with
others goes on with those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

#: the blocks of a config that names none (see ``al_loop.environments.fragments.vocabulary_file``)
_VOCABULARY, _FORMER_VOCABULARY = "zinc", "bengio72"
#: included vocabularies of patterns, for which there is an included prior
_WITH_PRIOR = ("zinc", "zinc_small", "zinc_large")
#: the included priors (see ``al_loop.gflownet.priors``), and the policy and the length of words of the second
_PRIOR, _SELFIES_PRIOR = "zinc", "zinc_selfies"
_SELFIES_POLICY, _SELFIES_LENGTH = "transformer", 60
_FORMER_POLICIES = ("fragments", "fragment_transformer")


def with_space_defaults(content: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a config's content with the blocks and the prior that it does not name, and the keys that were added.

    Args:
        content: sections and keys, with parts in the long form.
    """
    found, added = dict(content), []
    environment = _part(found.get("environment"))
    sampler = found.get("sampler")
    sampler = dict(sampler) if isinstance(sampler, Mapping) else {} if sampler is None else None
    if sampler is None or environment is None:
        return found, ()
    kind = environment.get("kind")
    if kind == "fragments":
        if environment.get("vocabulary") == _FORMER_VOCABULARY:
            del environment["vocabulary"]  # as runs of earlier versions have it
        elif "vocabulary" not in environment and not _needs_former_blocks(environment, sampler):
            environment["vocabulary"] = _VOCABULARY
            added.append("environment.vocabulary")
        found["environment"] = environment
    if kind == "selfies" and not environment.keys() & {"alphabet", "length", "min_length"}:
        environment["length"] = _SELFIES_LENGTH
        added.append("environment.length")
        found["environment"] = environment
    prior = _prior_for(environment)
    if sampler.get("prior") == "none":
        sampler["prior"] = None
    elif "prior" not in sampler and _is_plain(sampler) and prior is not None:
        if prior == _SELFIES_PRIOR:
            sampler["policy"] = {"kind": _SELFIES_POLICY}
            added.append("sampler.policy")
        sampler["prior"] = prior
        added.append("sampler.prior")
        rounds = found.get("rounds")
        if rounds is None or (isinstance(rounds, Mapping) and "initial_from" not in rounds):
            found["rounds"] = {**(rounds or {}), "initial_from": "energy"}
            added.append("rounds.initial_from")
    if sampler or "sampler" in found:
        found["sampler"] = sampler
    return found, tuple(added)


def _part(value: Any) -> dict[str, Any] | None:
    if isinstance(value, str):
        return {"kind": value}
    return dict(value) if isinstance(value, Mapping) else None


def _prior_for(environment: Mapping[str, Any]) -> str | None:
    """Return the name of the included prior for an environment; None: there is none."""
    if environment.get("kind") == "selfies":
        own = (environment.get("alphabet"), environment.get("length"), environment.get("min_length", 1))
        return _SELFIES_PRIOR if own == (None, _SELFIES_LENGTH, 1) else None
    return _PRIOR if environment.get("vocabulary") in _WITH_PRIOR else None


def former_blocks_note(config: BaseModel) -> str:
    """Return one line for the user if a config has the blocks of earlier versions for one of its keys; else nothing.

    Args:
        config: a campaign's config.
    """
    content = config.model_dump(mode="json", exclude_unset=True)
    environment, sampler = content["environment"], content.get("sampler") or {}
    is_former = environment.get("kind") == "fragments" and not environment.keys() & {"vocabulary", "scaffold"}
    key = _needs_former_blocks(environment, sampler) if is_former else ""
    if not key:
        return ""
    return (
        f"{key} has a meaning for the vocabulary {_FORMER_VOCABULARY} alone, the 72 blocks of earlier versions without "
        f"stereochemistry and charges, which is used; to use the default, {_VOCABULARY}, remove this key"
    )


def _needs_former_blocks(environment: Mapping[str, Any], sampler: Mapping[str, Any]) -> str:
    """Return the key and the value for which a config needs the blocks of earlier versions, or an empty text."""
    excluded = environment.get("exclude") or ()
    if isinstance(excluded, (list, tuple)):
        former = [str(smiles) for smiles in excluded if "*" not in str(smiles)]
        if former:
            return f"environment.exclude: {former[0]}"
    least = environment.get("min_fragments")
    if isinstance(least, int) and least > 2:
        return f"environment.min_fragments: {least}"
    kind = (_part(sampler.get("policy")) or {}).get("kind")
    return f"sampler.policy: {kind}" if kind in _FORMER_POLICIES else ""


def _is_plain(sampler: Mapping[str, Any]) -> bool:
    """Return whether the weights of an included prior fit a sampler."""
    usual = {"kind": "gflownet", "policy": None, "hidden": 128, "layers": 2, "heads": 1}
    return all(sampler.get(key, value) == value for key, value in usual.items())
