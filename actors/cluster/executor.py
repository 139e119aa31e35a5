"""The executor that runs all roles of a campaign as actors of a Ray cluster."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray

from al_loop.actors.cluster.connect import connect
from al_loop.actors.cluster.learner import RayTraining
from al_loop.actors.cluster.metrics import RayMetrics
from al_loop.actors.cluster.oracles import RayWorker
from al_loop.actors.cluster.placement import await_places, options_of
from al_loop.actors.cluster.roles import RoleActor, device_of, kill_actor, set_threads, with_restarts
from al_loop.actors.cluster.slots import OracleSlots
from al_loop.actors.name_clashes import refuse_shadows_here
from al_loop.campaign.executor import Executor, OracleWorker, SamplerTraining
from al_loop.config import CampaignConfig
from al_loop.errors import ConfigError

if TYPE_CHECKING:
    from al_loop.ledger import Candidate, Observation
    from al_loop.modelling.fitted import FittedModels
    from al_loop.modelling.fitter import ModelFitter
    from al_loop.sinks import Sink


class SurrogateActor(RoleActor):
    """The surrogate in an actor of its own."""

    role = "surrogate"

    def __init__(self, config: CampaignConfig, path: list[str]) -> None:
        super().__init__(config, path)
        set_threads(config)

    def fit(
        self,
        fitter: ModelFitter,
        observations: Sequence[Observation],
        pending: Sequence[Candidate],
        factors: Sequence[float],
    ) -> FittedModels:
        """Fit the models of a round, see ``ModelFitter.fit``."""
        device = device_of(self._config, self._config.resources.surrogate)
        return fitter.on(device).fit(observations, pending, factors)


class RayExecutor(Executor):
    """The roles of a campaign as actors of a Ray cluster.

    Args:
        config: The campaign's configuration.
        address: ``auto`` joins the running cluster, or starts one if there is none; ``HOST:6379`` joins that cluster;
            ``local`` always starts one.
        on_note: Called with messages for the user.

    Raises:
        ConfigError: There is no such cluster, or a role fits on none of its nodes.
    """

    def __init__(
        self, config: CampaignConfig, address: str, on_note: Callable[[str], None] = lambda message: None
    ) -> None:
        if address.startswith("ray://"):  # Ray's client cannot stream, and the campaign would end with the connection
            raise ConfigError(
                f"--address: a campaign does not run over {address}; submit it as a job (al-loop submit ... --address "
                "http://HEAD:8265), or run it on a machine of the cluster with --address auto"
            )
        self._config, self._on_note = config, on_note
        self._slots = OracleSlots(config, on_note)
        self._surrogate: Any = None
        self._logs: Path | None = None
        refuse_shadows_here("by Ray's workers")
        self._has_connected = not ray.is_initialized()
        if self._has_connected:
            connect(address)
        try:
            await_places(config, on_note)
        except BaseException:
            self.close()
            raise
        self._surrogate_actor()  # starts while the first batch is measured

    def _surrogate_actor(self) -> Any:
        if self._surrogate is None:
            actor = ray.remote(SurrogateActor).options(**options_of(self._config.resources.surrogate))
            self._surrogate = actor.remote(self._config, list(sys.path))
        return self._surrogate

    def training(self) -> SamplerTraining:
        sampler, count = self._config.sampler, self._config.resources.sampler.count
        n_draws = (sampler.staleness + 1) * (sampler.shares + len(sampler.searches))
        if sampler.kind == "gflownet" and count > n_draws:
            self._on_note(
                f"there are {count} samplers, but at most {n_draws} draws at a time; to keep all samplers busy, set "
                f"sampler.staleness={2 * count - 1}"
            )
        return RayTraining(self._config, self._on_note, self._slots)

    def fit(
        self,
        fitter: ModelFitter,
        observations: Sequence[Observation],
        pending: Sequence[Candidate],
        factors: Sequence[float],
    ) -> FittedModels:
        def task() -> FittedModels:
            reference = self._surrogate_actor().fit.remote(fitter, observations, pending, factors)
            models: FittedModels = self._slots.get(reference)
            return models

        return with_restarts("surrogate", task, self._kill_surrogate, self._on_note)

    def _kill_surrogate(self) -> None:
        kill_actor(self._surrogate)
        self._surrogate = None

    def log_to(self, folder: Path) -> None:
        self._logs = folder

    def oracle_worker(self, number: int) -> OracleWorker:
        return RayWorker(self._config, number, self._slots, self._logs)

    def sinks(self) -> list[Sink]:
        return [RayMetrics(self._config.name)]

    def close(self) -> None:
        """Kill the surrogate's actor, and leave the cluster, which ends if it was started here."""
        self._kill_surrogate()
        if self._has_connected:
            ray.shutdown()
