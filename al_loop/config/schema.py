"""The schema of a campaign's config: frozen pydantic models, one for each section."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from al_loop.config.initial_data import InitialData, without_random_objects
from al_loop.config.plugins import Part
from al_loop.oracles.base import Goal
from al_loop.system.path_texts import PathText

#: keys that may differ between two starts of one campaign: its location, duration and resources, not its decisions
_NOT_IDENTITY = (
    "rounds.count", "rounds.close_share", "rounds.close_after_s", "rounds.keep_busy", "rounds.review",
    "rounds.remeasure", "rounds.replicates", "energy",  # which a campaign may begin to use
    "reward.decode",  # which changes the cost of a reward and not its value
    "sampler.execution",  # the same training, in another order of random numbers
    "initial_data", "evaluation", "budget", "stop", "ledger", "checkpoints", "resources", "sinks",
)  # fmt: skip


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


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


class OutcomeConstraint(_Frozen):
    """Bounds on a value that the oracle measures, in its unit; candidates are weighted by their P(satisfied)."""

    objective: Annotated[str, Field(description="name of the value, as the oracle declares it")]
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> OutcomeConstraint:
        _check_bounds(self.min, self.max)
        return self


class Reward(_Frozen):
    """The samplers' reward: exp(beta x standardised acquisition value), standardised in each round."""

    beta: Annotated[float, Field(gt=0, description="inverse temperature: how strongly good objects are preferred")] = (
        4.0
    )
    clip: Annotated[float, Field(gt=0, description="standardised acquisition values are clipped to [-clip, clip]")] = (
        5.0
    )
    feasibility: Annotated[
        float, Field(ge=0, description="power of P(the oracle returns a value) as a factor of the reward; 0: ignored")
    ] = 0.0
    cost: Annotated[
        float, Field(ge=0, description="power of the expected cost of a call as a divisor of the reward; 0: ignored")
    ] = 0.0
    cost_by: Annotated[
        Literal["cost", "seconds"], Field(description="cost of a call: in the oracle's currency, or its duration")
    ] = "cost"
    decode: Annotated[
        Literal["auto", "always", "never"],
        Field(
            description="whether samplers decode objects to score them; never: features and properties are computed "
            "from molecular graphs (fragments with the features morgan or circular), and only properties that require "
            "RDKit are not; auto: never on a GPU, where possible, and always on a CPU"
        ),
    ] = "auto"
    preferences: Annotated[
        bool,
        Field(
            description="with several objectives: condition the samplers on preferences between them; false: reward "
            "the acquisition value"
        ),
    ] = True


class SamplerSettings(_Frozen):
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
    replay_size: Annotated[int, Field(ge=0, description="objects from the replay buffer, added to each step")] = 16
    replay_capacity: Annotated[int, Field(ge=1, description="objects in the replay buffer")] = 1000
    replay_priority: Annotated[
        Literal["reward", "recency"], Field(description="objects to retain in the replay buffer: best or newest")
    ] = "reward"
    measured_size: Annotated[int, Field(ge=0, description="measured objects, added to each step")] = 0
    searches: Annotated[
        tuple[Part, ...], Field(description="searches that run alongside the policy in every step")
    ] = ()
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
        PathText | None, Field(description="a file written by `al-loop pretrain`: the initial weights")
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


class Rounds(_Frozen):
    """The number and size of the rounds."""

    count: Annotated[int, Field(ge=0, description="rounds after the random first batch")] = 5
    batch_size: Annotated[int, Field(ge=1, description="objects measured in a round")] = 16
    initial: Annotated[
        int, Field(ge=0, description="random objects measured first; 0 by default if there is initial_data")
    ] = 16
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
        float | None,
        Field(gt=0, description="seconds after which the next round starts with the values measured so far"),
    ] = None
    keep_busy: Annotated[
        bool, Field(description="start the next round early enough that no oracle worker runs out of candidates")
    ] = False
    review: Annotated[bool, Field(description="measure a batch only after `al-loop review RUN_DIR --approve`")] = False
    remeasure: Annotated[int, Field(ge=0, description="places of a batch that measure the best objects again")] = 0
    replicates: Annotated[int, Field(ge=2, description="most measurements of one object, see rounds.remeasure")] = 3


class Evaluation(_Frozen):
    """Calls of the oracle."""

    workers: Annotated[int, Field(ge=1, description="oracle processes (or Ray actors) in parallel")] = 2
    timeout_s: Annotated[float, Field(gt=0, description="longest single call, in seconds")] = 600.0
    build_timeout_s: Annotated[float, Field(gt=0, description="longest constructor of the oracle, in seconds")] = 3600.0
    memory_gb: Annotated[
        float | None, Field(gt=0, description="memory limit of a worker and all processes that it starts, in GB")
    ] = None
    attempts: Annotated[int, Field(ge=1, description="calls for an object before a retryable failure is final")] = 2
    backoff_s: Annotated[
        float,
        Field(
            ge=0, description="pause before the second call for an object, in seconds; doubled before each later one"
        ),
    ] = 0.5
    cost: Annotated[
        float,
        Field(ge=0, description="cost of one call (at the fidelity of relative cost 1), if the oracle reports none"),
    ] = 1.0
    stop_after_failures: Annotated[
        int | None, Field(ge=1, description="consecutive failures after which the campaign stops; null: never")
    ] = 25
    patience_s: Annotated[
        float,
        Field(ge=0, description="seconds to wait for a full disk, or a database or oracle that is down"),
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


class Budget(_Frozen):
    """Limits on what the campaign may spend; calls in flight when a limit is reached still count."""

    calls: Annotated[int | None, Field(ge=1, description="calls of the oracle, retries included")] = None
    cost: Annotated[float | None, Field(gt=0, description="in the oracle's currency, see evaluation.cost")] = None


class Stop(_Frozen):
    """Conditions that end a campaign before its last round; candidates already selected are still measured."""

    reached: Annotated[
        float | None,
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


class Role(_Frozen):
    """Resources of each Ray actor of a role."""

    num_cpus: Annotated[float, Field(ge=0, description="CPU cores")] = 1.0
    num_gpus: Annotated[
        float, Field(ge=0, description="may be a fraction of one GPU; with 0 the role runs on the CPU")
    ] = 0.0
    memory_gb: Annotated[float | None, Field(gt=0, description="memory to reserve, in GB")] = None
    custom: Annotated[
        dict[str, Annotated[float, Field(gt=0)]], Field(description="Ray's custom resources, by name")
    ] = {}
    labels: Annotated[dict[str, str], Field(description="labels that its node must have")] = {}

    @field_validator("num_gpus")
    @classmethod
    def _is_whole_above_one(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError("expected a fraction of one GPU, or a whole number of GPUs")
        return value


class SamplerRole(Role):
    """The samplers, which draw in parallel; their number does not change any result."""

    count: Annotated[int, Field(ge=1, description="samplers; see sampler.staleness and sampler.shares")] = 1


class Resources(_Frozen):
    """Threads of the campaign's processes, and resources of each Ray actor (ignored without Ray)."""

    threads: Annotated[
        int,
        Field(
            ge=1,
            description="threads of torch; small networks do not benefit from more, and results are bit-identical "
            "only with the same number",
        ),
    ] = 1
    sampler: SamplerRole = SamplerRole()
    learner: Annotated[Role, Field(description="trains on the samplers' draws")] = Role(num_cpus=0)
    surrogate: Annotated[Role, Field(description="fits the models once a round, on its GPU if it has one")] = Role(
        num_cpus=0
    )
    oracle: Annotated[Role, Field(description="each of the evaluation.workers")] = Role()
    wait_s: Annotated[
        float,
        Field(
            ge=0, description="how long to wait for the cluster to have room for each role (autoscaling), in seconds"
        ),
    ] = 0.0


class CampaignConfig(_Frozen):
    """A whole campaign."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="the run directory is runs/NAME")]
    seed: Annotated[int, Field(ge=0, description="the same seed proposes the same batches")] = 0
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
    reward: Reward = Reward()
    energy: Annotated[
        Part | None,
        Field(
            description="for `al-loop learn-energy`: the model of log p (mlp, graph or pairwise), with the settings of "
            "its training (steps, lr, negatives, ...); a campaign does not use it, see reward.energy"
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

    @model_validator(mode="before")
    @classmethod
    def _need_no_random_objects(cls, content: Any) -> Any:
        return without_random_objects(content)

    @model_validator(mode="after")
    def _has_something_to_begin_with(self) -> CampaignConfig:
        if not self.rounds.initial and not self.initial_data:
            raise ValueError("rounds.initial: 0 requires initial_data, from which the first batch is chosen")
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
    def has_several_objectives(self) -> bool:
        """Whether the campaign optimises several objectives, rather than one."""
        return isinstance(self.optimise, tuple) and len(self.optimise) > 1

    @property
    def fingerprint(self) -> str:
        """A hash that identifies the campaign, independent of its length, workers, ledger and resources."""
        content = self.model_dump(mode="json")
        if content["sampler"]["precision"] == "auto":  # the default, formerly named so
            content["sampler"]["precision"] = "float32"
        for path in _NOT_IDENTITY:
            section, _, key = path.partition(".")
            if key:
                content[section].pop(key)
            else:
                content.pop(section)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
