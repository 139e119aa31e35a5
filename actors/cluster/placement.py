"""The placement of a campaign's roles on the nodes of a Ray cluster, checked before anything waits for a place.

Ray itself would accept actors that fit on no node and wait for ever; placement groups would reserve places, but neither
explain why there are none, nor let samplers and oracles share a place over time. So the nodes are packed here, as far
as is needed to refuse what cannot run, to say how many actors run at a time, and to keep idle oracles from starving the
learner and its samplers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray
from ray.autoscaler.sdk import request_resources

from al_loop.config import CampaignConfig, Role
from al_loop.errors import ConfigError
from al_loop.system import stopping

_POLL_S = 1.0
_GB = 1e9
_UNITS = 10_000  # Ray counts in ten-thousandths

Amounts = dict[str, float]


def needs_of(role: Role) -> Amounts:
    """Return the resources that an actor of a role requests, by Ray's names; memory in bytes."""
    memory = {"memory": role.memory_gb * _GB} if role.memory_gb else {}
    needs = {"CPU": role.num_cpus, "GPU": role.num_gpus, **memory, **role.custom}
    return {name: amount for name, amount in needs.items() if amount}


def options_of(role: Role) -> dict[str, Any]:
    """Return Ray's options for an actor of a role."""
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
    """Return the name, the resources and the number of actors of each role."""
    resources = config.resources
    learners = ("learner", resources.learner, resources.learner.replicas)
    roles: list[tuple[str, Role, int]] = [("surrogate", resources.surrogate, 1), learners]
    if config.sampler.kind == "gflownet":
        roles.append(("sampler", resources.sampler, resources.sampler.count))
    return [*roles, ("oracle", resources.oracle, config.evaluation.workers)]


def placed(roles: Sequence[tuple[str, Role, int]], nodes: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many actors of each role fit on empty nodes, placing those that the campaign needs before the others.

    Args:
        roles: The name, the resources and the number of actors of each role.
        nodes: The nodes, as from ``ray.nodes()``.
    """
    free = [(_in_units(node["Resources"]), node.get("Labels") or {}) for node in nodes if node["Alive"]]
    counts = dict.fromkeys((name for name, _, _ in roles), 0)

    def place(name: str, role: Role) -> bool:
        needs = _in_units(needs_of(role))
        fitting = [
            resources
            for resources, labels in free
            if all(resources.get(resource, 0) >= amount for resource, amount in needs.items())
            and all(labels.get(key) == value for key, value in role.labels.items())
        ]
        if not fitting:
            return False
        # the node with the fewest rare resources that this role does not need, then the one that is fullest
        node = min(fitting, key=lambda r: (len(_rare(r) - needs.keys()), r.get("GPU", 0), r.get("memory", 0), r["CPU"]))
        for resource, amount in needs.items():
            node[resource] -= amount
        counts[name] += 1
        return True

    # roles with the largest or rarest needs first, since they fit on the fewest nodes
    def rarity(entry: tuple[str, Role, int]) -> tuple[float, ...]:
        role = entry[1]
        return len(role.labels) + len(role.custom), role.num_gpus, role.memory_gb or 0.0, role.num_cpus

    order = sorted(roles, key=rarity, reverse=True)
    for name, role, count in order:
        for _ in range(_least(name, count)):
            place(name, role)
    for name, role, count in order:
        while 0 < counts[name] < count and place(name, role):
            pass
    return counts


def _least(name: str, count: int) -> int:
    """Return how many of the actors of a role the campaign needs; the processes of a learner wait for each other."""
    return count if name == "learner" else 1


def _in_units(amounts: Mapping[str, float]) -> dict[str, int]:
    """Return amounts in Ray's units, so that parts add up to the whole."""
    return {"CPU": 0, **{name: round(amount * _UNITS) for name, amount in amounts.items()}}


def oracle_places(config: CampaignConfig) -> int:
    """Return how many oracle actors fit on the present cluster beside the other roles."""
    return placed(roles_of(config), ray.nodes())["oracle"]


def _rare(resources: Mapping[str, float]) -> set[str]:
    """Return the resources that not every node has."""
    common = ("CPU", "memory", "object_store_memory")
    return {name for name, n in resources.items() if n > 0 and name not in common and not name.startswith("node:")}


def await_places(config: CampaignConfig, on_note: Callable[[str], None]) -> None:
    """Wait until the actors that the campaign needs fit on the cluster, which an autoscaler may have to extend.

    That is one of each role, and all processes of the learner.

    Args:
        config: The campaign's configuration; ``resources.wait_s`` is the longest wait.
        on_note: Called with messages for the user.

    Raises:
        ConfigError: A role still fits on no node; the message lists what it requests and what the nodes have.
    """
    roles, wait_s = roles_of(config), config.resources.wait_s
    deadline = time.monotonic() + wait_s
    has_requested = False
    try:
        while True:
            nodes = [node for node in ray.nodes() if node["Alive"]]
            counts = placed(roles, nodes)
            missing = [(name, role) for name, role, count in roles if counts[name] < _least(name, count)]
            if not missing:
                break
            if time.monotonic() >= deadline:
                raise ConfigError(_refusal(missing, nodes, can_wait=wait_s > 0))
            if not has_requested:
                _request(roles)
                has_requested = True
                names = ", ".join(name for name, _ in missing)
                on_note(f"the cluster has no place for: {names}; waiting up to {wait_s:g} s for it to grow")
            stopping.pause(_POLL_S)
    finally:
        if has_requested:  # otherwise the autoscaler would keep its nodes for the request
            request_resources(bundles=[])
    for name, _, count in roles:
        if counts[name] < count:
            on_note(f"the cluster has a place for {counts[name]} of {count} {name} actors at a time; the others wait")


def _request(roles: Sequence[tuple[str, Role, int]]) -> None:
    """Ask the autoscaler for the resources of all actors."""
    actors = [role for _, role, count in roles for _ in range(count) if needs_of(role)]
    labels: dict[str, Any] = {}
    if any(role.labels for role in actors):  # which earlier versions of Ray do not accept
        labels["bundle_label_selectors"] = [dict(role.labels) for role in actors]
    request_resources(bundles=[needs_of(role) for role in actors], **labels)


def _refusal(missing: Sequence[tuple[str, Role]], nodes: Sequence[Mapping[str, Any]], *, can_wait: bool) -> str:
    lines = [
        f"resources.{name}: {_describe(role)} is asked for, and no node has it free beside the other roles"
        for name, role in missing
    ]
    for node in nodes:
        amounts = {k: v for k, v in node["Resources"].items() if not k.startswith(("node:", "object_store"))}
        labels = {k: v for k, v in (node.get("Labels") or {}).items() if not k.startswith("ray.io/node-id")}
        lines.append(f"  node {node['NodeManagerAddress']} has {_amounts(amounts)}{_labels(labels)}")
    wait = "" if can_wait else "; for a cluster that grows by itself set resources.wait_s"
    return "\n".join([*lines, f"ask for less, or add nodes{wait}"])


def _describe(role: Role) -> str:
    return f"{_amounts(needs_of(role))}{_labels(role.labels)}"


def _amounts(amounts: Mapping[str, float]) -> str:
    texts = [f"{v / _GB:.3g} GB memory" if k == "memory" else f"{v:g} {k}" for k, v in sorted(amounts.items())]
    return ", ".join(texts) or "nothing"


def _labels(labels: Mapping[str, str]) -> str:
    return f" with the labels {', '.join(f'{k}={v}' for k, v in sorted(labels.items()))}" if labels else ""
