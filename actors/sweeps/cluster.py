"""The campaigns of a sweep on a Ray cluster: an actor supervises each campaign and holds its CPUs and GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from al_loop.actors.cluster.roles import kill_actor
from al_loop.actors.sweeps.trial import ProcessContext, TrialEvent, TrialProcess
from al_loop.config import CampaignConfig
from al_loop.errors import summary


class TrialActor:
    """The supervisor of a campaign's process, on a machine that has room for it.

    Args:
        config: The campaign's configuration.
        run_dir: The campaign's run directory, on storage that all machines share.
        context: The context of the process that started the sweep.
    """

    def __init__(self, config: CampaignConfig, run_dir: Path, context: ProcessContext) -> None:
        self._process = TrialProcess(config, run_dir, context)

    def ready(self) -> None:
        """Return when the campaign's process has been started."""

    def next_event(self) -> TrialEvent:
        """Wait for the next event of the campaign."""
        return self._process.next_event()

    def stop(self, finish_calls: bool) -> None:
        """Have the campaign stop cleanly, see ``Trial.stop``."""
        self._process.stop(finish_calls=finish_calls)


class RayTrial:
    """A campaign of a sweep on a Ray cluster; it waits for room in the cluster.

    Args:
        config: The campaign's configuration.
        run_dir: The campaign's run directory.
        context: The context of the process that started the sweep.
        needs: The CPUs and GPUs that it takes, as from ``resources.needs_of``.
    """

    def __init__(
        self, config: CampaignConfig, run_dir: Path, context: ProcessContext, needs: Mapping[str, float]
    ) -> None:
        options = {"num_cpus": needs.get("CPU", 0), "num_gpus": needs.get("GPU", 0)}
        actor = ray.remote(TrialActor).options(max_concurrency=2, **options)  # stop() while next_event() waits
        self._actor: Any = actor.remote(config, run_dir, context)
        self._ready = self._actor.ready.remote()
        self._is_stopping = False

    def next_event(self) -> TrialEvent:
        """Wait for the next event of the campaign."""
        try:
            event: TrialEvent = ray.get(self._actor.next_event.remote())
        except RayError as error:
            event = TrialEvent("stopped") if self._is_stopping else TrialEvent("failed", reason=summary(error))
        if event.kind != "round":
            kill_actor(self._actor)
        return event

    def stop(self, *, finish_calls: bool = False) -> None:
        """Have the campaign stop cleanly, see ``Trial.stop``; or not start at all."""
        self._is_stopping = True
        if ray.wait([self._ready], timeout=0)[0]:
            self._actor.stop.remote(finish_calls)
        else:
            kill_actor(self._actor)


def largest_node() -> dict[str, float]:
    """Return the largest number of CPUs and of GPUs that one machine of the cluster has."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return {name: max((node.get(name, 0.0) for node in nodes), default=0.0) for name in ("CPU", "GPU")}
