"""Where in a Ray cluster the roles of a campaign find a place, said before anything waits for one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray
from ray.autoscaler.sdk import request_resources

from al_loop.config import CampaignConfig, Role
from al_loop.errors import ConfigError

_LOOK_S = 1.0
_GB = 1e9
_PARTS = 10_000  # of one, to which Ray counts

Amounts = dict[str, float]


def needs_of(role: Role) -> Amounts:
    """What an actor of a role asks for, by Ray's names; memory in bytes."""
    memory = {"memory": role.memory_gb * _GB} if role.memory_gb else {}
    needs = {"CPU": role.num_cpus, "GPU": role.num_gpus, **memory, **role.custom}
    return {name: amount for name, amount in needs.items() if amount}


def options_of(role: Role) -> dict[str, Any]:
    """The options of an actor of a role."""
    needs = needs_of(role)
    options: dict[str, Any] = {"num_cpus": needs.pop("CPU", 0), "num_gpus": needs.pop("GPU", 0)}
    if "memory" in needs:
        options["memory"] = int(needs.pop("memory"))
    if needs:
        options["resources"] = needs
    if role.labels:
        options["label_selector"] = dict(role.labels)
    return options


def roles_of(config: CampaignConfig) -> list[tuple[str, Role, int]]:
    """Each role with the number of its actors."""
    resources = config.resources
    roles: list[tuple[str, Role, int]] = [("surrogate", resources.surrogate, 1), ("learner", resources.learner, 1)]
    if config.sampler.kind == "gflownet":
        roles.append(("sampler", resources.sampler, resources.sampler.count))
    return [*roles, ("oracle", resources.oracle, config.evaluation.workers)]


def placed(roles: Sequence[tuple[str, Role, int]], nodes: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many actors of each role find a place on nodes that are empty: one of each first, then the others.

    nodes: as ``ray.nodes()`` gives them.
    """
    free = [(_counted(node["Resources"]), node.get("Labels") or {}) for node in nodes if node["Alive"]]
    found = dict.fromkeys((name for name, _, _ in roles), 0)

    def place(name: str, role: Role) -> bool:
        needs = _counted(needs_of(role))
        fitting = [
            resources
            for resources, labels in free
            if all(resources.get(what, 0) >= amount for what, amount in needs.items())
            and all(labels.get(key) == value for key, value in role.labels.items())
        ]
        if not fitting:
            return False
        # where least is that it does not ask for, which others may, and where least is left over
        chosen = min(
            fitting, key=lambda r: (len(_special(r) - needs.keys()), r.get("GPU", 0), r.get("memory", 0), r["CPU"])
        )
        for what, amount in needs.items():
            chosen[what] -= amount
        found[name] += 1
        return True

    # those that ask for most, or for something special, first: they have the fewest nodes to choose from
    def rarity(wanted: tuple[str, Role, int]) -> tuple[float, ...]:
        role = wanted[1]
        return len(role.labels) + len(role.custom), role.num_gpus, role.memory_gb or 0.0, role.num_cpus

    order = sorted(roles, key=rarity, reverse=True)
    for name, role, _ in order:
        place(name, role)
    for name, role, count in order:
        while 0 < found[name] < count and place(name, role):
            pass
    return found


def _counted(amounts: Mapping[str, float]) -> dict[str, int]:
    """As Ray counts, so that parts add up to the whole."""
    return {"CPU": 0, **{name: round(amount * _PARTS) for name, amount in amounts.items()}}


def oracle_places(config: CampaignConfig) -> int:
    """How many oracle actors fit on the cluster as it is beside the other roles."""
    return placed(roles_of(config), ray.nodes())["oracle"]


def _special(resources: Mapping[str, float]) -> set[str]:
    """What not every node has."""
    usual = ("CPU", "memory", "object_store_memory")
    return {what for what, n in resources.items() if n > 0 and what not in usual and not what.startswith("node:")}


def await_places(config: CampaignConfig, on_note: Callable[[str], None]) -> None:
    """Returns when there is a place for at least one actor of each role, which an autoscaler may take a while to add.

    Raises:
        ConfigError: there is none after ``resources.wait_s``.
    """
    roles, wait_s = roles_of(config), config.resources.wait_s
    ends = time.monotonic() + wait_s
    has_asked = False
    try:
        while True:
            nodes = [node for node in ray.nodes() if node["Alive"]]
            found = placed(roles, nodes)
            lacking = [(name, role) for name, role, _ in roles if not found[name]]
            if not lacking:
                break
            if time.monotonic() >= ends:
                raise ConfigError(_told(lacking, nodes, can_wait=wait_s > 0))
            if not has_asked:
                _ask_for(roles)
                has_asked = True
                names = ", ".join(name for name, _ in lacking)
                on_note(f"the cluster has no place for: {names}; it is given {wait_s:g} s to grow")
            time.sleep(_LOOK_S)
    finally:
        if has_asked:  # the autoscaler would keep its nodes for it
            request_resources(bundles=[])
    for name, _, count in roles:
        if found[name] < count:
            on_note(f"the cluster has a place for {found[name]} of {count} {name} actors at a time; the others wait")


def _ask_for(roles: Sequence[tuple[str, Role, int]]) -> None:
    wanted = [role for _, role, count in roles for _ in range(count) if needs_of(role)]
    labels: dict[str, Any] = {}
    if any(role.labels for role in wanted):  # which earlier versions of Ray know nothing of
        labels["bundle_label_selectors"] = [dict(role.labels) for role in wanted]
    request_resources(bundles=[needs_of(role) for role in wanted], **labels)


def _told(lacking: Sequence[tuple[str, Role]], nodes: Sequence[Mapping[str, Any]], *, can_wait: bool) -> str:
    lines = [
        f"resources.{name}: {_shown(role)} is asked for, and no node has it free beside the other roles"
        for name, role in lacking
    ]
    for node in nodes:
        amounts = {k: v for k, v in node["Resources"].items() if not k.startswith(("node:", "object_store"))}
        own = {k: v for k, v in (node.get("Labels") or {}).items() if not k.startswith("ray.io/node-id")}
        lines.append(f"  node {node['NodeManagerAddress']} has {_amounts(amounts)}{_labels(own)}")
    wait = "" if can_wait else "; for a cluster that grows by itself set resources.wait_s"
    return "\n".join([*lines, f"ask for less, or add nodes{wait}"])


def _shown(role: Role) -> str:
    return f"{_amounts(needs_of(role))}{_labels(role.labels)}"


def _amounts(amounts: Mapping[str, float]) -> str:
    shown = [f"{v / _GB:.3g} GB memory" if k == "memory" else f"{v:g} {k}" for k, v in sorted(amounts.items())]
    return ", ".join(shown) or "nothing"


def _labels(labels: Mapping[str, str]) -> str:
    return f" with the labels {', '.join(f'{k}={v}' for k, v in sorted(labels.items()))}" if labels else ""
