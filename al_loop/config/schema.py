"""The schema of a campaign's config: frozen pydantic models, one for each section."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from al_loop.config.diversity_filter import DiversityFilter
from al_loop.config.frozen import Bound, Frozen, PositiveSeconds, Seconds
from al_loop.config.initial_data import InitialData, without_random_objects
from al_loop.config.plugins import Part
from al_loop.config.resources import Resources
from al_loop.config.reward_settings import Reward
from al_loop.config.seeds import Scaffold, Seeds, with_scaffold
from al_loop.oracles.base import Goal
from al_loop.system.path_texts import PathOrName, PathText

#: keys that may differ between two starts of one campaign: its location, duration and resources, not its decisions
_NOT_IDENTITY = (
    "rounds.count", "rounds.close_share", "rounds.close_after_s", "rounds.keep_busy", "rounds.review",
    "rounds.remeasure", "rounds.replicates", "rounds.initial_from", "reward.energy", "energy",  # added since
    "sampler.epochs", "sampler.backward_loss",
    "reward.decode",  # which changes the cost of a reward and not its value
    "sampler.execution",  # the same training, in another order of random numbers
    "method", "initial_data", "seeds", "scaffold",
    "evaluation", "budget", "stop", "ledger", "checkpoints", "resources", "sinks",
)  # fmt: skip

#: optional keys that campaigns of earlier versions did not have: without a value, they are no part of the identity
_ADDED_LATER = ("reward.prior", "reward.feasibility_by", "sampler.evolution", "diversity_filter")


def _check_bounds(low: float | None, high: float | None) -> None:
    if low is None and high is None:
        raise ValueError("give 'min', 'max' or both")
    if low is not None and high is not None and low > high:
        raise ValueError(f"min ({low}) is above max ({high})")


class Constraint(Part):
    """Bounds on a cheap property, in the property's unit."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> Constraint:
        _check_bounds(self.min, self.max)
        return self


class OutcomeConstraint(Frozen):
    """Bounds on a value that the oracle measures, in its unit; candidates are weighted by their P(satisfied)."""

    objective: Annotated[str, Field(description="name of the value, as the oracle declares it")]
    min: Bound | None = None
    max: Bound | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> OutcomeConstraint:
        _check_bounds(self.min, self.max)
        return self


class SamplerSettings(Frozen):
    """Training of the sampler in each round, see ``al_loop.gflownet.Training``."""

    kind: Annotated[
        Literal["gflownet", "ppo"],
        Field(
            description="gflownet samples in proportion to the reward; ppo (RLlib) maximises the reward, as a baseline"
        ),
    ] = "gflownet"
    steps: Annotated[int, Field(ge=1, description="training steps in each round")] = 100
    batch_size: Annotated[int, Field(ge=1, description="trajectories drawn for a gradient step")] = 64
    updates: Annotated[int, Field(ge=1, description="gradient steps per draw, of batch_size trajectories each")] = 1
    epochs: Annotated[
        int, Field(ge=1, description="passes over each draw; more make the most of expensive rewards (entropic_ppo)")
    ] = 1
    staleness: Annotated[
        int,
        Field(
            ge=0,
            description="most steps by which the sampling weights may lag behind the learner; this many extra draws "
            "are in flight, so that samplers and learner need not wait for each other",
        ),
    ] = 0
    order: Annotated[
        Literal["fixed", "arrival"],
        Field(
            description="order in which draws are trained on: fixed is reproducible; with arrival no sampler ever "
            "waits, which helps if the duration of rewards varies widely"
        ),
    ] = "fixed"
    shares: Annotated[int, Field(ge=1, description="parts of a draw that samplers draw in parallel")] = 1
    objective: Annotated[Part, Field(description="the loss of the training")] = Part(kind="trajectory_balance")
    backward: Annotated[Literal["learned", "uniform", "maximum_entropy"], Field(description="the backward policy")] = (
        "learned"
    )
    backward_loss: Annotated[
        Literal["balance", "likelihood"],
        Field(
            description="what trains a learned backward policy: the objective, or the likelihood of fresh trajectories "
            "(trajectory likelihood maximisation), which the objective then takes as given"
        ),
    ] = "balance"
    replay_size: Annotated[int, Field(ge=0, description="objects from the replay buffer, added to each step")] = 16
    replay_capacity: Annotated[int, Field(ge=1, description="objects in the replay buffer")] = 1000
    replay_priority: Annotated[
        Literal["reward", "recency"], Field(description="objects to retain in the replay buffer: best or newest")
    ] = "reward"
    measured_size: Annotated[int, Field(ge=0, description="measured objects, added to each step")] = 0
    searches: Annotated[
        tuple[Part, ...], Field(description="searches that run alongside the policy in every step")
    ] = ()
    evolution: Annotated[
        Part | None,
        Field(
            description="a genetic algorithm on the acquisition, from the best measured objects and draws, whose "
            "children join the candidates; they need not be objects that the environment can build"
        ),
    ] = None
    epsilon: Annotated[float, Field(ge=0, le=1, description="share of random actions in training")] = 0.05
    temperature: Annotated[float, Field(gt=0, description="temperature of the policy while exploring")] = 1.0
    heads: Annotated[int, Field(ge=1, description="members of an ensemble (Thompson sampling)")] = 1
    ema: Annotated[
        float, Field(ge=0, lt=1, description="decay of the moving average of weights used for sampling; 0: none")
    ] = 0.0
    lr: Annotated[float, Field(gt=0, description="learning rate of the policy")] = 1e-3
    lr_log_z: Annotated[float, Field(gt=0, description="learning rate of log Z")] = 0.1
    clip_norm: Annotated[
        Annotated[float, Field(gt=0)] | None, Field(description="largest norm of a gradient; null: any")
    ] = 10.0
    policy: Annotated[Part | None, Field(description="if omitted, one that suits the environment")] = None
    hidden: Annotated[int, Field(ge=1, description="width of the policy network")] = 128
    layers: Annotated[int, Field(ge=1, description="layers of the policy network")] = 2
    prior: Annotated[
        PathOrName | None,
        Field(
            description="a file written by `al-loop pretrain`, or zinc, which is included: the initial weights. Left "
            "out: zinc for fragments with an included vocabulary of patterns and a policy of the default size; none: "
            "random weights"
        ),
    ] = None
    device: Annotated[str, Field(description="cpu, cuda, cuda:1, ...")] = "cpu"
    precision: Annotated[
        Literal["auto", "float32", "tf32", "bfloat16"],
        Field(description="number type of the training; auto: tf32 on a GPU, float32 on a CPU"),
    ] = "auto"
    execution: Annotated[
        Literal["auto", "plain", "compiled", "graphed"],
        Field(
            description="compilation of the sampler, and recording as CUDA graphs; auto: graphed on a GPU, unless "
            "there are few steps, else plain"
        ),
    ] = "auto"
    pool: Annotated[int, Field(ge=1, description="objects drawn, from which the batch is selected")] = 512


class Rounds(Frozen):
    """The number and size of the rounds."""

    count: Annotated[int, Field(ge=0, description="rounds after the random first batch")] = 5
    batch_size: Annotated[int, Field(ge=1, description="objects measured in a round")] = 16
    initial: Annotated[
        int, Field(ge=0, description="random objects measured first; 0 by default if there is initial_data")
    ] = 16
    initial_from: Annotated[
        Literal["random", "energy"],
        Field(description="source of these objects: random actions, or the sampler of reward.energy or sampler.prior"),
    ] = "random"
    batch_cost: Annotated[
        float | None,
        Field(
            gt=0,
            description="if the campaign chooses fidelities: the cost at which a batch is full, unless batch_size is "
            "reached first",
        ),
    ] = None
    close_share: Annotated[
        float, Field(gt=0, le=1, description="share of the batch that must be measured before the next round starts")
    ] = 1.0
    close_after_s: Annotated[
        PositiveSeconds | None,
        Field(description="seconds after which the next round starts with the values measured so far"),
    ] = None
    keep_busy: Annotated[
        bool, Field(description="start the next round early enough that no oracle worker runs out of candidates")
    ] = False
    review: Annotated[bool, Field(description="measure a batch only after `al-loop review RUN_DIR --approve`")] = False
    remeasure: Annotated[int, Field(ge=0, description="places of a batch that measure the best objects again")] = 0
    replicates: Annotated[int, Field(ge=2, description="most measurements of one object, see rounds.remeasure")] = 3


class Evaluation(Frozen):
    """Calls of the oracle."""

    workers: Annotated[int, Field(ge=1, description="oracle processes (or Ray actors) in parallel")] = 2
    timeout_s: Annotated[PositiveSeconds, Field(description="longest single call, in seconds")] = 600.0
    build_timeout_s: Annotated[PositiveSeconds, Field(description="longest constructor of the oracle, in seconds")] = (
        3600.0
    )
    memory_gb: Annotated[
        float | None, Field(gt=0, description="memory limit of a worker and all processes that it starts, in GB")
    ] = None
    attempts: Annotated[int, Field(ge=1, description="calls for an object before a retryable failure is final")] = 2
    backoff_s: Annotated[
        Seconds,
        Field(description="pause before the second call for an object, in seconds; doubled before each later one"),
    ] = 0.5
    cost: Annotated[
        float,
        Field(ge=0, description="cost of one call (at the fidelity of relative cost 1), if the oracle reports none"),
    ] = 1.0
    stop_after_failures: Annotated[
        int | None, Field(ge=1, description="consecutive failures after which the campaign stops; null: never")
    ] = 25
    patience_s: Annotated[
        Seconds,
        Field(description="seconds to wait for a full disk, or a database or oracle that is down"),
    ] = 3600.0
    finish_calls: Annotated[
        bool,
        Field(
            description="after Ctrl-C or SIGTERM, stop once the calls that run have finished; a second one stops at "
            "once (`al-loop stop --finish-calls` asks for it once)"
        ),
    ] = False
    cache: Annotated[
        PathText | None,
        Field(description="a file or database URL in which campaigns share the values measured by the same oracle"),
    ] = None


class Budget(Frozen):
    """Limits on what the campaign may spend; calls in flight when a limit is reached still count."""

    calls: Annotated[int | None, Field(ge=1, description="calls of the oracle, retries included")] = None
    cost: Annotated[float | None, Field(gt=0, description="in the oracle's currency, see evaluation.cost")] = None


class Stop(Frozen):
    """Conditions that end a campaign before its last round; candidates already selected are still measured."""

    reached: Annotated[
        Bound | None,
        Field(description="the best value is as good as this (in its unit; with several objectives: the hypervolume)"),
    ] = None
    no_progress: Annotated[int | None, Field(ge=1, description="consecutive rounds without a better value")] = None
    expected_improvement: Annotated[
        float | None,
        Field(gt=0, description="the next batch is expected to improve on the best value by less than this value"),
    ] = None
    probability: Annotated[
        float | None,
        Field(gt=0, lt=1, description="the next batch improves on the best value with a probability below this"),
    ] = None


class CampaignConfig(Frozen):
    """A whole campaign."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="the run directory is runs/NAME")]
    seed: Annotated[int, Field(ge=0, description="the same seed proposes the same batches")] = 0
    method: Annotated[
        Literal["auto"] | None,
        Field(
            description="auto: the parts and settings that do best in the benchmarks of discovery, wherever the "
            "config leaves them out; the run records them. If omitted: the defaults of each section"
        ),
    ] = None
    environment: Annotated[Part, Field(description="the space of objects")]
    oracle: Annotated[Part, Field(description="what measures an object")]
    goal: Goal | None = Field(None, description="maximise or minimise; if omitted, the oracle's usual goal")
    optimise: str | tuple[str, ...] | None = Field(
        None,
        description="the objective to optimise, or a list of them, if the oracle measures several; all are recorded",
    )
    reference_point: dict[str, float] | None = Field(
        None,
        description="with several objectives: the worst value of interest of each, in its unit; if omitted, "
        "the worst value on the Pareto front, worsened by a tenth of the front's range",
    )
    initial_data: InitialData = ()
    seeds: Seeds = ()
    scaffold: Scaffold = None
    constraints: Annotated[
        tuple[Constraint, ...],
        Field(description="bounds on cheap properties; objects that break one are never proposed"),
    ] = ()
    outcome_constraints: Annotated[
        tuple[OutcomeConstraint, ...], Field(description="bounds on values that the oracle measures")
    ] = ()
    transform: Annotated[
        Literal["none", "yeo_johnson", "rank"],
        Field(description="transform of the optimised values before the surrogate is fitted, for skewed values"),
    ] = "none"
    recalibrate: Annotated[
        bool, Field(description="scale the surrogate's uncertainty by the errors of its earlier predictions")
    ] = True
    features: Part | None = Field(None, description="if omitted, a default for the environment's objects")
    surrogate: Annotated[Part, Field(description="the model that predicts values")] = Part(kind="gp")
    acquisition: Annotated[Part, Field(description="scores candidates")] = Part(kind="ucb")
    selector: Annotated[Part, Field(description="picks the batch among candidates")] = Part(kind="diverse")
    diversity_filter: DiversityFilter | None = None
    reward: Reward = Reward()
    energy: Annotated[
        dict[str, Any] | str | None,
        Field(
            description="of `al-loop learn-energy`: the model (mlp, graph, pairwise) and the settings of its training"
        ),
    ] = None
    sampler: SamplerSettings = SamplerSettings()
    rounds: Rounds = Rounds()
    stop: Stop = Stop()
    evaluation: Evaluation = Evaluation()
    budget: Budget = Budget()
    resources: Resources = Resources()
    ledger: PathText | None = Field(None, description="a database URL; if omitted, sqlite in the run directory")
    checkpoints: PathText | None = Field(
        None,
        description="a folder, or a URL supported by fsspec (s3://, gs://, ...), for the learner's state after each "
        "round; if omitted, the run directory",
    )
    sinks: tuple[Part, ...] = Field((), description="services that receive metrics while it runs: mlflow, wandb, ...")
    _folders: tuple[str, ...] = ()
    _assumed: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _need_no_random_objects(cls, content: Any) -> Any:
        return without_random_objects(with_scaffold(content))

    @model_validator(mode="after")
    def _has_something_to_begin_with(self) -> CampaignConfig:
        if not self.rounds.initial and not self.initial_data:
            raise ValueError("rounds.initial: 0 requires initial_data, from which the first batch is chosen")
        return self

    @model_validator(mode="after")
    def _has_a_trajectory_for_each_replica(self) -> CampaignConfig:
        replicas, size = self.resources.learner.replicas, self.sampler.batch_size
        if replicas > size:
            raise ValueError(
                f"resources.learner.replicas: {replicas} processes cannot share a batch of {size} (sampler.batch_size)"
            )
        return self

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders searched for the modules of ``target:`` parts, besides the installed packages."""
        return self._folders

    def with_folders(self, *folders: str) -> CampaignConfig:
        """Return the same config with other ``folders``, which belong to a machine and are not written with it."""
        config = self.model_copy()
        config._folders = folders
        return config

    @property
    def assumed(self) -> tuple[str, ...]:
        """Sections and ``section.key`` that the config did not name, and that another version may choose otherwise.

        See ``space_defaults`` and ``method``.
        """
        return self._assumed

    def with_assumed(self, *keys: str) -> CampaignConfig:
        """Return the same config with other ``assumed`` keys."""
        config = self.model_copy()
        config._assumed = keys
        return config

    @property
    def has_several_objectives(self) -> bool:
        """Whether the campaign optimises several objectives, rather than one."""
        return isinstance(self.optimise, tuple) and len(self.optimise) > 1

    @property
    def fingerprint(self) -> str:
        """A hash that identifies the campaign, independent of its length, workers, ledger and resources."""
        content = self.model_dump(mode="json")
        if content["sampler"]["precision"] == "auto":  # the default, formerly named so
            content["sampler"]["precision"] = "float32"
        for path in _ADDED_LATER:
            section, _, key = path.rpartition(".")
            holder = content[section] if section else content
            if holder[key] is None:
                holder.pop(key)
        for path in _NOT_IDENTITY:
            section, _, key = path.partition(".")
            if key:
                content[section].pop(key)
            else:
                content.pop(section)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
