"""The parts that a config names, built once and shared by all that need them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from al_loop.campaign import building
from al_loop.campaign.oracle_description import describe_oracle
from al_loop.config import BuildContext, CampaignConfig, build
from al_loop.config.energy_terms import energy_items
from al_loop.config.space_defaults import former_blocks_note
from al_loop.errors import ConfigError
from al_loop.modelling.fidelities import Fidelities
from al_loop.modelling.objective_names import check_objective_names
from al_loop.modelling.objectives import CampaignObjectives, campaign_objectives, oracle_objectives
from al_loop.oracles.base import Objective, Oracle
from al_loop.seeding import derive_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from al_loop.acquisitions.base import Acquisition
    from al_loop.campaign.seeds import Seeds
    from al_loop.energy.terms import EnergySum
    from al_loop.environments.base import Environment
    from al_loop.evolution.base import Evolution
    from al_loop.features.base import Features
    from al_loop.gflownet.policies.base import Policy
    from al_loop.modelling.constraints import Constraints
    from al_loop.modelling.fitter import ModelFitter
    from al_loop.selectors.base import Selector
    from al_loop.surrogates.base import Surrogate

_N_REFERENCE = 256  # random objects that set the scale of rewards


@dataclass(frozen=True, eq=False)
class CampaignParts:
    """Everything that a campaign consists of. Each part is built when it is first used, and only once.

    So whoever needs the oracle's objectives alone loads neither torch nor a chemistry library.

    Args:
        config: the campaign's config.
        built_oracle: the oracle, where it is built already.

    Raises:
        ConfigError: on first use of a part whose arguments are refused, or that does not fit the others.
    """

    config: CampaignConfig
    built_oracle: Oracle | None = None

    # -- the oracle, without torch -------------------------------------------------------------------------------------

    @cached_property
    def oracle(self) -> Oracle:
        """The oracle; if it is a user's class, without its measurements, since its constructor runs in workers only."""
        return self.built_oracle or describe_oracle(self.config)

    @cached_property
    def oracle_objectives(self) -> tuple[Objective, ...]:
        """Everything that the oracle measures, with the campaign's goal."""
        return oracle_objectives(self.config, self.oracle)

    @cached_property
    def objectives(self) -> CampaignObjectives:
        """The oracle's values that are optimised, and those that are bounded."""
        return campaign_objectives(self.config, self.oracle)

    @cached_property
    def fidelities(self) -> Fidelities:
        """The fidelities at which objects are measured, with the cost of a call at each."""
        unit = self.config.evaluation.cost
        choice = building.fidelities_of(self.config, self.oracle)
        if not choice:
            choice = tuple(f for f in self.oracle.fidelities if f.name == self.oracle.fidelity)
        if not choice:
            return Fidelities((self.oracle.fidelity,), (unit,))
        return Fidelities(tuple(f.name for f in choice), tuple(f.cost * unit for f in choice))

    # -- the space of objects ------------------------------------------------------------------------------------------

    @cached_property
    def environment(self) -> Environment:
        """The space of objects."""
        return building.build_environment(self.config)

    @cached_property
    def seeds(self) -> Seeds:
        """The objects from which the campaign starts."""
        from al_loop.campaign.seeds import Seeds, read_seeds

        if not self.config.seeds:
            return Seeds()
        try:
            return read_seeds(self.environment, self.config.seeds)
        except ConfigError as error:
            note = former_blocks_note(self.config)
            raise ConfigError(f"{error}{note and '; '}{note}") from None

    def details(self, objects: Sequence[str]) -> list[dict[str, Any]]:
        """Return what the library says about each object, except values that the oracle measures."""
        measured = {o.name for o in self.oracle_objectives}
        entries = self.environment.details(objects)
        return [{k: v for k, v in (entry or {}).items() if k not in measured} for entry in entries]

    @property
    def has_sampler(self) -> bool:
        """Whether candidates are drawn by a sampler, rather than listed by the environment."""
        return self.environment.objects is None

    @cached_property
    def features(self) -> Features:
        """The features of objects."""
        return building.build_features(self.config, self.environment)

    @cached_property
    def constraints(self) -> Constraints:
        """The bounds on cheap properties."""
        from al_loop.modelling.constraints import Constraints, PropertyBound

        if not self.config.constraints:
            return Constraints()
        context = BuildContext(
            alphabet=self.environment.letters(), lengths=self.environment.lengths(), seeds=self.seeds.references or None
        )
        return Constraints(
            tuple(PropertyBound(build("property", c, context), c.min, c.max) for c in self.config.constraints)
        )

    @cached_property
    def reference(self) -> tuple[str, ...]:
        """Random objects, the same in all rounds."""
        import torch

        from al_loop.features.base import describable
        from al_loop.gflownet.random_objects import random_objects

        generator = torch.Generator().manual_seed(derive_seed(self.config.seed, "reference"))
        drawn = random_objects(self.environment, _N_REFERENCE, generator)
        reference = describable(self.features, drawn)
        if not reference:
            reasons = "; ".join(dict.fromkeys(self.features.refused.values()))
            raise ConfigError(f"features: none of {_N_REFERENCE} random objects has features: {reasons:.300}")
        return tuple(reference)

    @cached_property
    def energies(self) -> EnergySum | None:
        """The energies of the reward; None if there are none."""
        from al_loop.energy.terms import EnergySum

        settings = energy_items(self.config.reward.energy)
        if settings and not self.has_sampler:
            raise ConfigError(
                f"reward.energy: the environment {self.environment.name} lists all objects, which are scored by the "
                "acquisition without a sampler; remove reward.energy"
            )
        return EnergySum.load(settings, self.environment) if settings else None

    @cached_property
    def first_source(self) -> Callable[[int, int], list[str]] | None:
        """A function of a number and a seed that draws objects for the first batch; None: they are random."""
        from al_loop.energy.model import load
        from al_loop.gflownet.priors import is_prior

        if self.config.rounds.initial_from != "energy":
            return None
        energies = self.energies
        if energies is not None and energies.has_wanted:
            return energies.draw
        assert self.config.sampler.prior is not None
        if is_prior(self.config.sampler.prior):
            return self._draw_from_prior
        try:
            model = load(self.config.sampler.prior, self.environment)
        except ConfigError as error:
            raise ConfigError(f"rounds.initial_from: {error}") from None
        return lambda n, seed: model.draw(n, seed=seed)

    def _draw_from_prior(self, n: int, seed: int) -> list[str]:
        """Return n objects that the prior draws."""
        import torch

        from al_loop.gflownet.random_objects import drawn_objects

        conditioning = building.training_settings(self.config).conditioning
        generator = torch.Generator().manual_seed(seed)
        return drawn_objects(self.environment, self._prior_policy, n, generator, conditioning)

    @cached_property
    def _prior_policy(self) -> Policy:
        """A policy with the weights of the prior, built once: it computes the features of all blocks."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # of weights that the prior replaces
            return self.build_policy()

    @cached_property
    def evolution(self) -> Evolution | None:
        """The genetic algorithm on the acquisition; None if there is none."""
        part = self.config.sampler.evolution
        if part is None:
            return None
        evolution: Evolution = build("evolution", part, BuildContext(alphabet=self.environment.letters()))
        return evolution

    # -- models and selection ------------------------------------------------------------------------------------------

    @cached_property
    def surrogate(self) -> Surrogate:
        """The surrogate, for these features and fidelities."""
        return building.build_surrogate(self.config, self.features, len(self.fidelities))

    @cached_property
    def acquisition(self) -> Acquisition:
        """The acquisition."""
        acquisition: Acquisition = build("acquisition", self.config.acquisition)
        return acquisition

    @cached_property
    def selector(self) -> Selector:
        """The selector."""
        selector: Selector = build("selector", self.config.selector)
        return selector

    @cached_property
    def fitter(self) -> ModelFitter:
        """The fitter of surrogate, acquisition and reward."""
        from al_loop.modelling.fitter import ModelFitter
        from al_loop.modelling.reward import ObjectSpace
        from al_loop.modelling.transforms import TRANSFORMS

        return ModelFitter(
            self.surrogate,
            self.acquisition,
            ObjectSpace(self.features, self.constraints, self.reference, self.energies),
            self.objectives,
            self.fidelities,
            TRANSFORMS[self.config.transform],
            self.config.reward,
        )

    # -- the sampler ---------------------------------------------------------------------------------------------------

    def build_policy(self) -> Policy:
        """Build a policy network with the weights of the config's prior, or fresh ones from torch's global generator.

        Raises:
            ConfigError: the prior is missing or does not fit.
        """
        from al_loop.gflownet.priors import load_prior, read_prior

        policy = building.build_policy(self.config, self.environment, building.training_settings(self.config))
        prior = read_prior(self.config.sampler.prior)
        if prior is not None:
            load_prior(self.environment, policy, prior)
        return policy

    # -- checks --------------------------------------------------------------------------------------------------------

    def check_device(self) -> None:
        """Check that this machine has ``sampler.device``.

        Raises:
            ConfigError: it has not.
        """
        if self.config.sampler.device == "cpu":
            return
        from al_loop.gflownet.device import find_device

        try:
            find_device(self.config.sampler.device)
        except ValueError as error:
            raise ConfigError(f"sampler.{error}") from None

    def check(self, *, is_new: bool = True) -> None:
        """Check what a campaign needs before it starts, without loading more than that takes.

        Args:
            is_new: whether it has not begun yet; the names of its objectives are checked only then, since early runs
                with names that are reserved today go on.

        Raises:
            ConfigError: objectives or fidelities do not fit the oracle or the tables of a run, a program or file of
                the oracle is missing, the prior is missing or does not fit, or objects have to be decoded.
        """
        _ = self.objectives, self.fidelities
        if is_new:
            check_objective_names(self.oracle_objectives, self.oracle.fidelities)
        self.oracle.check()
        building.training_settings(self.config)
        if self.config.sampler.prior is not None:
            self.build_policy()
        if self.config.reward.energy:
            _ = self.energies
        if self.config.seeds:
            _ = self.seeds
        if self.config.rounds.initial_from != "random":
            _ = self.first_source
        _ = self.evolution
        if self.config.reward.decode == "never":
            self._check_without_decoding()
        has_prompts = self.config.environment.declared("environment", "random_policy", "") != ""
        if has_prompts and self.config.sampler.kind == "ppo":
            raise ConfigError("sampler.kind: ppo reads no prompts; use gflownet with this environment")
        if self.config.reward.prior is not None and not has_prompts:
            raise ConfigError("reward.prior: a likelihood requires a language model; use environment: {kind: tokens}")

    def _check_without_decoding(self) -> None:
        from al_loop.modelling.graph_reward import OF_ENERGIES, requires_decoding

        reason = OF_ENERGIES if self.energies else requires_decoding(self.environment, self.features)
        if self.config.sampler.kind == "ppo":
            reason = "ppo is rewarded for objects"
        if reason is not None:
            raise ConfigError(f"reward.decode: never is impossible, since {reason}; set reward.decode to auto")


def prepare(config: CampaignConfig) -> CampaignParts:
    """Return the parts of a campaign.

    Args:
        config: the campaign's config.
    """
    return CampaignParts(config)
