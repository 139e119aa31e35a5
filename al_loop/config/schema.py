"""What a campaign is: a YAML file with ``key=value`` overrides, validated before anything runs."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from al_loop.config import plugins as parts
from al_loop.errors import ConfigError
from al_loop.oracles.base import Fidelity, Goal, Objective, Oracle

if TYPE_CHECKING:
    from al_loop.environments.base import Environment
    from al_loop.gflownet.policies.base import Policy
    from al_loop.gflownet.settings import TrainingSettings

_Path = tuple[str | int, ...]
_SECTIONS = ("environment", "oracle", "features", "surrogate", "acquisition", "selector")
#: arguments of a policy that the campaign fills in
_OF_A_POLICY = ("environment", "n_conditions")
#: what may differ between two starts of one campaign: where and how long it runs, not what it is
_NOT_IDENTITY = (
    "rounds.count",
    "rounds.close_share",
    "rounds.close_after_s",
    "rounds.keep_busy",
    "rounds.review",
    "evaluation",
    "budget",
    "stop",
    "ledger",
    "checkpoints",
    "resources",
    "sinks",
)


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Part(BaseModel):
    """An exchangeable part: a built-in one by ``kind``, or anybody's own by ``target: "package.module:Name"``.

    All other keys are the part's own arguments.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str | None = None
    target: str | None = None

    @model_validator(mode="after")
    def _one_name(self) -> Part:
        if (self.kind is None) == (self.target is None):
            raise ValueError("give either 'kind' (a built-in part) or 'target' (\"package.module:Name\")")
        return self

    @property
    def arguments(self) -> dict[str, Any]:
        """The part's own arguments."""
        return dict(self.model_extra or {})

    def factory(self, section: str) -> Any:
        """The class (or, for an oracle, the function) that this part names."""
        return parts.find(section, self.kind) if self.kind else parts.load_target(self.target or "")


class Constraint(Part):
    """Bounds on a cheap property, in the property's unit."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _some_bound(self) -> Constraint:
        _check_bounds(self.min, self.max)
        return self


def _check_bounds(low: float | None, high: float | None) -> None:
    if low is None and high is None:
        raise ValueError("give 'min', 'max' or both")
    if low is not None and high is not None and low > high:
        raise ValueError(f"min ({low}) is above max ({high})")


class OutcomeConstraint(_Frozen):
    """Bounds on a value that the oracle measures, in its unit; they hold with the probability that the model gives."""

    objective: Annotated[str, Field(description="the oracle's name of the value")]
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _some_bound(self) -> OutcomeConstraint:
        _check_bounds(self.min, self.max)
        return self


class Reward(_Frozen):
    """How acquisition values become the samplers' reward: exp(beta x standardised acquisition), scaled per round."""

    beta: Annotated[float, Field(gt=0, description="how sharply good objects are preferred")] = 4.0
    clip: Annotated[float, Field(gt=0, description="standardised acquisition is kept within +- this")] = 5.0
    feasibility: Annotated[
        float,
        Field(ge=0, description="how much P(the oracle answers) counts: to this power, beside the acquisition; 0: not"),
    ] = 0.0
    cost: Annotated[float, Field(ge=0, description="how much the expected cost of a call counts, likewise; 0: not")] = (
        0.0
    )
    cost_by: Annotated[
        Literal["cost", "seconds"], Field(description="what a call costs: in the oracle's currency, or its duration")
    ] = "cost"
    preferences: Annotated[
        bool,
        Field(
            description="of several objectives: samplers are conditioned on preferences between them; false: they are "
            "paid for the acquisition"
        ),
    ] = True


class SamplerSettings(_Frozen):
    """How the sampler is trained in each round, see ``al_loop.gflownet.Training``."""

    kind: Annotated[
        Literal["gflownet", "ppo"],
        Field(description="gflownet draws in proportion to the reward; ppo (RLlib) maximises it, as a baseline"),
    ] = "gflownet"
    steps: Annotated[int, Field(ge=1)] = 100
    batch_size: Annotated[int, Field(ge=1)] = 64
    updates: Annotated[int, Field(ge=1, description="gradient steps per draw, of batch_size trajectories each")] = 1
    staleness: Annotated[
        int,
        Field(
            ge=0,
            description="steps by which the weights that draw may be behind; as many draws more than one are on their "
            "way, so that samplers and learner need not wait for one another",
        ),
    ] = 0
    order: Annotated[
        Literal["fixed", "arrival"],
        Field(
            description="in which draws are trained on: fixed can be reproduced; by arrival no sampler ever waits, for "
            "rewards that take very different times"
        ),
    ] = "fixed"
    shares: Annotated[int, Field(ge=1, description="parts of a draw that samplers draw side by side")] = 1
    objective: Part = Part(kind="trajectory_balance")
    backward: Annotated[Literal["learned", "uniform", "maximum_entropy"], Field(description="the backward policy")] = (
        "learned"
    )
    replay_size: Annotated[int, Field(ge=0, description="objects met before, added to each step")] = 16
    replay_capacity: Annotated[int, Field(ge=1)] = 1000
    replay_priority: Annotated[Literal["reward", "recency"], Field(description="which objects are kept")] = "reward"
    measured_size: Annotated[int, Field(ge=0, description="measured objects, added to each step")] = 0
    searches: Annotated[tuple[Part, ...], Field(description="run beside the policy in every step")] = ()
    epsilon: Annotated[float, Field(ge=0, le=1)] = 0.05
    temperature: Annotated[float, Field(gt=0, description="of the policy while exploring")] = 1.0
    heads: Annotated[int, Field(ge=1, description="members of an ensemble (Thompson sampling)")] = 1
    ema: Annotated[float, Field(ge=0, lt=1, description="decay of the average that draws; 0: none")] = 0.0
    lr: Annotated[float, Field(gt=0)] = 1e-3
    lr_log_z: Annotated[float, Field(gt=0)] = 0.1
    clip_norm: Annotated[float, Field(gt=0)] | None = 10.0
    policy: Annotated[Part | None, Field(description="left out: what suits the environment")] = None
    hidden: Annotated[int, Field(ge=1)] = 128
    layers: Annotated[int, Field(ge=1)] = 2
    prior: Annotated[str | None, Field(description="a file of `al-loop pretrain`: the weights to start from")] = None
    device: Annotated[str, Field(description="cpu, cuda, cuda:1, ...")] = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"
    pool: Annotated[int, Field(ge=1, description="objects drawn for the batch to be picked from")] = 512


class Rounds(_Frozen):
    """How much is measured."""

    count: Annotated[int, Field(ge=0, description="rounds after the random first batch")] = 5
    batch_size: Annotated[int, Field(ge=1, description="objects measured in a round")] = 16
    initial: Annotated[int, Field(ge=1, description="random objects measured first")] = 16
    batch_cost: Annotated[
        float | None,
        Field(
            gt=0, description="where the fidelity is chosen: the cost at which a batch is full, if not by size before"
        ),
    ] = None
    close_share: Annotated[
        float, Field(gt=0, le=1, description="share of the answers with which the next round starts")
    ] = 1.0
    close_after_s: Annotated[
        float | None, Field(gt=0, description="seconds after which the next round starts with what has arrived")
    ] = None
    keep_busy: Annotated[
        bool, Field(description="start the next round early enough for no oracle worker to run out of candidates")
    ] = False
    review: Annotated[bool, Field(description="a batch goes out only after `al-loop review RUN_DIR --approve`")] = False


class Evaluation(_Frozen):
    """How the oracle is called."""

    workers: Annotated[int, Field(ge=1, description="oracle processes (or Ray actors) side by side")] = 2
    timeout_s: Annotated[float, Field(gt=0, description="longest single call, in seconds")] = 600.0
    memory_gb: Annotated[
        float | None, Field(gt=0, description="most memory of a worker and all that it starts, in GB")
    ] = None
    attempts: Annotated[int, Field(ge=1, description="calls of one object before a retryable failure counts")] = 2
    backoff_s: Annotated[
        float, Field(ge=0, description="before the second call of an object, in seconds; doubled for each further one")
    ] = 0.5
    cost: Annotated[
        float, Field(ge=0, description="of one call, where the oracle does not say; of the fidelity of cost 1")
    ] = 1.0
    stop_after_failures: Annotated[
        int | None, Field(ge=1, description="failures in a row after which the campaign stops; null: never")
    ] = 25
    patience_s: Annotated[
        float, Field(ge=0, description="how long a full disk or a lost database is waited for, in seconds")
    ] = 3600.0
    cache: Annotated[
        str | None,
        Field(description="a file or database URL in which campaigns share what the same oracle answered"),
    ] = None


class Budget(_Frozen):
    """What the campaign may spend; calls in flight when it is reached still count."""

    calls: Annotated[int | None, Field(ge=1, description="calls of the oracle, retries included")] = None
    cost: Annotated[float | None, Field(gt=0, description="in the oracle's currency, see evaluation.cost")] = None


class Stop(_Frozen):
    """When a campaign ends before its last round; nothing that was decided on is left unmeasured."""

    reached: Annotated[
        float | None,
        Field(description="the best value is as good as this (in its unit; of several objectives: the hypervolume)"),
    ] = None
    no_progress: Annotated[int | None, Field(ge=1, description="rounds in a row without a better value")] = None
    expected_improvement: Annotated[
        float | None,
        Field(gt=0, description="the next batch is expected to improve on the best value by less (in its unit)"),
    ] = None
    probability: Annotated[
        float | None, Field(gt=0, lt=1, description="the next batch improves on the best value with less probability")
    ] = None


class Role(_Frozen):
    """What each Ray actor of a role asks for."""

    num_cpus: Annotated[float, Field(ge=0)] = 1.0
    num_gpus: Annotated[float, Field(ge=0, description="also a part of one; without any, the role runs on the CPU")] = (
        0.0
    )
    memory_gb: Annotated[float | None, Field(gt=0)] = None
    custom: Annotated[
        dict[str, Annotated[float, Field(gt=0)]], Field(description="Ray's custom resources, by name")
    ] = {}
    labels: Annotated[dict[str, str], Field(description="labels that its node must have")] = {}

    @field_validator("num_gpus")
    @classmethod
    def _whole_if_many(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError("a part of one GPU, or a whole number of them")
        return value


class SamplerRole(Role):
    """The samplers, which draw side by side; how many there are changes no result."""

    count: Annotated[int, Field(ge=1, description="samplers; see sampler.staleness and sampler.shares")] = 1


class Resources(_Frozen):
    """Threads of the campaign's processes, and what each Ray actor asks for (without Ray that means nothing)."""

    threads: Annotated[
        int,
        Field(
            ge=1, description="of torch; small networks gain nothing from more, and results stay the same to the bit"
        ),
    ] = 1
    sampler: SamplerRole = SamplerRole()
    learner: Annotated[Role, Field(description="trains on what the samplers draw")] = Role(num_cpus=0)
    surrogate: Annotated[Role, Field(description="fits the models, once a round, on its GPU if it has one")] = Role(
        num_cpus=0
    )
    oracle: Annotated[Role, Field(description="each of the evaluation.workers")] = Role()
    wait_s: Annotated[
        float, Field(ge=0, description="how long the cluster may take to have a place for each role (an autoscaler)")
    ] = 0.0


class CampaignConfig(_Frozen):
    """A whole campaign."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: Annotated[int, Field(ge=0)] = 0
    environment: Part
    oracle: Part
    goal: Goal | None = Field(None, description="maximise or minimise; left out: what the oracle usually wants")
    optimise: str | tuple[str, ...] | None = Field(
        None,
        description="the objective that is optimised, or a list of them, where the oracle measures several; "
        "all are recorded",
    )
    reference_point: dict[str, float] | None = Field(
        None,
        description="of several objectives, the worst value of each that is of interest, in its unit; left out: "
        "a tenth of the range of the best trade-offs below the worst of them",
    )
    constraints: tuple[Constraint, ...] = ()
    outcome_constraints: tuple[OutcomeConstraint, ...] = ()
    transform: Annotated[
        Literal["none", "yeo_johnson", "rank"],
        Field(description="of the optimised values before the surrogate learns them, for skewed ones"),
    ] = "none"
    recalibrate: Annotated[
        bool, Field(description="widen or narrow the surrogate's uncertainty by how far earlier predictions were off")
    ] = True
    features: Part | None = Field(None, description="left out: what suits the environment's objects")
    surrogate: Part = Part(kind="gp")
    acquisition: Part = Part(kind="ucb")
    selector: Part = Part(kind="diverse")
    reward: Reward = Reward()
    sampler: SamplerSettings = SamplerSettings()
    rounds: Rounds = Rounds()
    stop: Stop = Stop()
    evaluation: Evaluation = Evaluation()
    budget: Budget = Budget()
    resources: Resources = Resources()
    ledger: str | None = Field(None, description="a database URL; left out: sqlite in the run directory")
    checkpoints: str | None = Field(
        None,
        description="a folder, or a URL that fsspec knows (s3://, gs://, ...), for the learner's state after each "
        "round; left out: in the run directory",
    )
    sinks: tuple[Part, ...] = Field((), description="who else is told the numbers while it runs: mlflow, wandb, ...")
    _folders: tuple[str, ...] = ()

    def part(self, section: str) -> Part:
        """The part of a section (not the constraints)."""
        part = getattr(self, section)
        assert isinstance(part, Part), section
        return part

    def build(self, section: str, **defaults: Any) -> Any:
        """Builds the part of a section; defaults fill arguments that the config leaves out."""
        return build(section, self.part(section), **defaults)

    def build_oracle(self) -> Oracle:
        """The oracle, with the campaign's goal; the same in every process."""
        oracle = oracle_of(self.oracle)
        if self.goal:
            if self.has_several_objectives:
                raise ConfigError(
                    f"goal: {self.goal!r} cannot hold for several objectives; leave it out, the oracle says of each "
                    "which way is good"
                )
            chosen = self.objective_of(oracle.objectives)
            oracle.objectives = tuple(
                Objective(o.name, o.unit, self.goal if i == chosen else o.goal) for i, o in enumerate(oracle.objectives)
            )
        return oracle

    @property
    def has_several_objectives(self) -> bool:
        """Whether a front of trade-offs is looked for rather than a best value."""
        return isinstance(self.optimise, tuple) and len(self.optimise) > 1

    @property
    def chooses_fidelities(self) -> bool:
        """Whether the campaign chooses at which of the oracle's fidelities each object is measured."""
        return bool(getattr(self.acquisition.factory("acquisition"), "chooses_fidelities", False))

    def fidelities_of(self, oracle: Oracle) -> tuple[Fidelity, ...]:
        """The fidelities that the campaign chooses among, cheapest first and the oracle's own last; none: there is one.

        Raises:
            ConfigError: it is to choose, but the oracle has none below its own.
        """
        if not self.chooses_fidelities:
            return ()
        own = [f for f in oracle.fidelities if f.name == oracle.fidelity]
        below = sorted((f for f in oracle.fidelities if own and f.cost < own[0].cost), key=lambda f: f.cost)
        if not below:
            names = ", ".join(f"{f.name} (cost {f.cost:g})" for f in oracle.fidelities) or "none"
            raise ConfigError(
                f"acquisition: {self.acquisition.kind or self.acquisition.target!r} chooses among fidelities, but the "
                f"oracle has none that costs less than its own ({oracle.fidelity or 'unnamed'}); it has {names}"
            )
        return (*below, own[0])

    def objectives_of(self, objectives: Sequence[Objective]) -> tuple[int, ...]:
        """Which of the oracle's objectives the campaign optimises.

        Raises:
            ConfigError: it measures several and the config does not say which, or names one that it does not measure.
        """
        names = [o.name for o in objectives]
        if self.optimise is None and len(names) == 1:
            return (0,)
        if not self.optimise:
            raise ConfigError(f"optimise: missing; the oracle measures {', '.join(names)}")
        wanted = (self.optimise,) if isinstance(self.optimise, str) else self.optimise
        return tuple(_position(name, names, "optimise") for name in wanted)

    def objective_of(self, objectives: Sequence[Objective]) -> int:
        """The first of ``objectives_of``."""
        return self.objectives_of(objectives)[0]

    def bounds_of(self, objectives: Sequence[Objective]) -> tuple[tuple[int, float | None, float | None], ...]:
        """The outcome constraints: which of the oracle's objectives, and its bounds."""
        names = [o.name for o in objectives]
        return tuple(
            (_position(c.objective, names, f"outcome_constraints.{i}.objective"), c.min, c.max)
            for i, c in enumerate(self.outcome_constraints)
        )

    def build_training(self, device: str | None = None) -> TrainingSettings:
        """The settings of sampler training, with the parts that they name; device: another than the config's."""
        from al_loop.gflownet.conditioning import Conditioning
        from al_loop.gflownet.settings import TrainingSettings

        is_conditioned = self.has_several_objectives and self.reward.preferences
        here = ("kind", "objective", "searches", "policy", "prior", "pool")
        settings = {name: value for name, value in self.sampler if name not in here}
        settings["device"] = device or self.sampler.device
        return TrainingSettings(
            **settings,
            objective=build("objective", self.sampler.objective),
            searches=tuple(build("search", part) for part in self.sampler.searches),
            conditioning=Conditioning(objectives=len(self.optimise or "") if is_conditioned else 1),
        )

    def build_policy(self, environment: Environment, training: TrainingSettings) -> Policy:
        """The policy network, with fresh weights from torch's global generator."""
        from al_loop.gflownet.policies import make_policy

        settings: dict[str, Any] = {
            "hidden": training.hidden,
            "layers": training.layers,
            "heads": training.heads,
            "n_conditions": training.conditioning.n_values,
        }
        if self.sampler.policy is None:
            return make_policy(environment, **settings)
        policy: Policy = build("policy", self.sampler.policy, environment=environment, **settings)
        return policy

    @property
    def folders(self) -> tuple[str, ...]:
        """Where the modules of ``target:`` parts are looked for, besides the installed packages."""
        return self._folders

    def oracle_identity(self, oracle: Oracle) -> str:
        """Equal where two oracles give the same answers: same part, arguments, versions, and code of one's own."""
        content: dict[str, Any] = {"part": self.oracle.model_dump(mode="json"), "version": oracle.version}
        content["objectives"] = [o.name for o in oracle.objectives]
        content["libraries"] = {name: metadata.version(name) for name in oracle.libraries}
        if self.oracle.target:
            source = inspect.getsourcefile(inspect.unwrap(self.oracle.factory("oracle")))
            content["code"] = hashlib.sha256(Path(source).read_bytes()).hexdigest() if source else None
        return json.dumps(content, sort_keys=True)

    def fingerprint_with(self, oracle: Oracle) -> str:
        """The fingerprint of a campaign with this oracle, whose version tells whether it still answers as before."""
        return hashlib.sha256(f"{self.fingerprint}-{oracle.version}".encode()).hexdigest()[:16]

    @property
    def fingerprint(self) -> str:
        """Equal for two configs of one campaign, whatever its length, workers, ledger and resources."""
        content = self.model_dump(mode="json")
        for path in _NOT_IDENTITY:
            section, _, key = path.partition(".")
            if key:
                content[section].pop(key)
            else:
                content.pop(section)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def oracle_of(part: Part) -> Oracle:
    """The oracle of a part: a built-in one, or a function or class of anybody's own."""
    factory = part.factory("oracle")
    if inspect.isclass(factory) and issubclass(factory, Oracle) and part.kind:
        oracle = build("oracle", part)
    else:
        from al_loop.oracles.wrap import oracle_from

        oracle = oracle_from(factory, **part.arguments)
    assert isinstance(oracle, Oracle)
    return oracle


def _position(name: str, names: Sequence[str], key: str) -> int:
    if name not in names:
        raise ConfigError(f"{key}: {name!r} is not one of them; the oracle measures {', '.join(names)}")
    return names.index(name)


def build(section: str, part: Part, **defaults: Any) -> Any:
    """Builds a part from its arguments, checked and converted by its constructor's signature.

    Raises:
        ConfigError: an argument is unknown, missing, of the wrong type, or refused by the part.
    """
    factory = part.factory(section)
    accepted = inspect.signature(factory).parameters
    arguments = {k: v for k, v in defaults.items() if k in accepted} | part.arguments
    try:
        checked = parts.arguments_model(factory).model_validate(arguments)
    except ValidationError as error:
        raise ConfigError("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())) from None
    try:
        return factory(**{name: getattr(checked, name) for name in arguments})
    except ValueError as error:
        raise ConfigError(str(error)) from error


# ---- reading -----------------------------------------------------------------------------------------------------


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> CampaignConfig:
    """Reads and validates a YAML config; the folder of the file is put on the import path, for ``target:`` modules.

    Args:
        path: the YAML file.
        overrides: ``a.b=value`` each, the value in YAML.

    Raises:
        ConfigError: anything wrong with it, with file, line, key, value and remedy.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read the config {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the config {path} is not a text file in UTF-8") from None
    try:
        content = yaml.load(text, Loader=_UniqueKeys)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"the config {path} is not YAML: {_yaml_reason(error)}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"the config {path} must be a mapping of keys to values, see configs/quickstart.yaml")
    where = _Locations(str(path), node)
    for override in overrides:
        _apply(content, override, where)
    folders = (str(path.resolve().parent), str(Path.cwd()))
    add_to_path(folders)
    config = parse_config(content, where)
    config._folders = folders
    return config


def add_to_path(folders: Sequence[str]) -> None:
    """Lets the modules of ``target:`` parts be found in these folders, too."""
    sys.path += [folder for folder in dict.fromkeys(folders) if folder not in sys.path]


def parse_config(content: Mapping[str, Any], where: _Locations | None = None) -> CampaignConfig:
    """Validates a config that is already a mapping.

    Raises:
        ConfigError: all that is wrong with it, a line each.
    """
    where = where or _Locations("config", None)
    try:
        config = CampaignConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError("\n".join(_messages(error, (), where, CampaignConfig))) from None
    problems = [
        message for section, part, path in _parts_of(config) for message in _part_problems(section, part, path, where)
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    _refuse_impossible(config, where)
    return config


def json_schema() -> dict[str, Any]:
    """The JSON schema of a config file, with the arguments of every built-in part."""
    schema = CampaignConfig.model_json_schema()
    definitions = schema["$defs"]
    sampler = definitions["SamplerSettings"]["properties"]
    for section in _SECTIONS:
        schema["properties"][section] = {"anyOf": _part_schemas(section, definitions, {})}
    schema["properties"]["features"]["anyOf"].append({"type": "null"})
    sampler["objective"] = {"anyOf": _part_schemas("objective", definitions, {})}
    sampler["searches"]["items"] = {"anyOf": _part_schemas("search", definitions, {})}
    sampler["policy"] = {"anyOf": [*_part_schemas("policy", definitions, {}, given=_OF_A_POLICY), {"type": "null"}]}
    number = {"anyOf": [{"type": "number"}, {"type": "null"}]}
    bounds = {"min": number, "max": number}
    schema["properties"]["sinks"]["items"] = {"anyOf": _part_schemas("sink", definitions, {})}
    schema["properties"]["constraints"]["items"] = {"anyOf": _part_schemas("property", definitions, bounds)}
    return schema


def _part_schemas(
    section: str, definitions: dict[str, Any], extra: dict[str, Any], given: Sequence[str] = ()
) -> list[dict[str, Any]]:
    schemas: list[dict[str, Any]] = []
    for info in parts.built_in(section):
        arguments = parts.arguments_model(parts.find(section, info.kind), without=given)
        schema = arguments.model_json_schema(ref_template="#/$defs/{model}", by_alias=True)
        definitions.update(schema.pop("$defs", {}))
        schema["properties"] = {"kind": {"const": info.kind}, **schema.get("properties", {}), **extra}
        schema["required"] = ["kind", *schema.get("required", [])]
        schema["description"] = info.summary
        schemas.append(schema)
    own = {"type": "object", "properties": {"target": {"type": "string"}, **extra}, "required": ["target"]}
    return [*schemas, own]


class _UniqueKeys(yaml.SafeLoader):
    """YAML that refuses a key given twice, of which PyYAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a word", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _yaml_reason(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{error.problem} (line {mark.line + 1}, column {mark.column + 1})"
    return str(error).splitlines()[0]


class _Locations:
    """Where each key of a config was written."""

    def __init__(self, file: str, node: yaml.Node | None) -> None:
        self._file = file
        self._lines: dict[_Path, int] = {}
        self.overridden: dict[_Path, str] = {}
        if node is not None:
            self._walk(node, ())

    def _walk(self, node: yaml.Node, path: _Path) -> None:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self._lines[(*path, key.value)] = key.start_mark.line + 1
                self._walk(value, (*path, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for i, value in enumerate(node.value):
                self._walk(value, (*path, i))

    def of(self, path: _Path) -> str:
        """``(file, line n)`` of a key, or of the nearest key around it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.overridden:
                return f"(from {self.overridden[path[:length]]!r} on the command line)"
            if length and path[:length] in self._lines:
                below = [repr(text) for key, text in self.overridden.items() if key[: len(path)] == path]
                changed = f", with {', '.join(below)} on the command line" if below else ""
                return f"({self._file}, line {self._lines[path[:length]]}{changed})"
        return f"({self._file})"


def _apply(content: dict[str, Any], override: str, where: _Locations) -> None:
    name, equals, text = override.partition("=")
    path = tuple(int(p) if p.isdecimal() else p for p in name.split("."))
    if not equals or not all(str(p) for p in path):
        raise ConfigError(f"{override!r} is not of the form key=value or a.b=value")
    try:
        value = yaml.load(text, Loader=_UniqueKeys)
    except yaml.YAMLError as error:
        raise ConfigError(f"{override!r}: the value is not YAML: {_yaml_reason(error)}") from None
    target: Any = content
    for key in path[:-1]:
        if isinstance(key, int):
            if not isinstance(target, list) or key >= len(target):
                raise ConfigError(f"{override!r}: there is no item {key} in the config to change")
            target = target[key]
        elif isinstance(target, list):
            raise ConfigError(f"{override!r}: there is no item {key} in the config to change; items are counted from 0")
        else:
            if target.get(key) is None:
                target[key] = {}
            target = target[key]
        if not isinstance(target, dict | list):
            raise ConfigError(f"{override!r}: {key!r} holds {target!r} in the config, not keys of its own")
    if isinstance(target, list) and not (isinstance(path[-1], int) and path[-1] < len(target)):
        raise ConfigError(f"{override!r}: there is no item {path[-1]} in the config to change")
    target[path[-1]] = value
    where.overridden[path] = override


def _messages(error: ValidationError, at: _Path, where: _Locations, model: type[BaseModel] | None) -> Iterator[str]:
    """A line for each thing that pydantic found: key, value, what was expected, and where it stands."""
    for item in error.errors():
        path: _Path = (*at, *item["loc"])
        key = ".".join(map(str, path))
        place = where.of(path)
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            known = _known_keys(model, item["loc"][:-1])
            yield f"{key}: unknown key{_nearest(str(path[-1]), known)}; known here: {', '.join(known)} {place}"
        elif item["type"] == "missing":
            yield f"{key}: missing; add it to the config {place}"
        else:
            value = item["input"]
            shown = "" if isinstance(value, dict) else f"{value!r} is not valid: "
            yield f"{key or 'config'}: {shown}{message[0].lower()}{message[1:]} {place}"


def _known_keys(model: Any, path: Sequence[str | int]) -> list[str]:
    for key in path:
        if not (inspect.isclass(model) and issubclass(model, BaseModel)):
            return []
        model = model.model_fields[str(key)].annotation if str(key) in model.model_fields else model
    return sorted(model.model_fields) if inspect.isclass(model) and issubclass(model, BaseModel) else []


def _nearest(key: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _parts_of(config: CampaignConfig) -> Iterator[tuple[str, Part, _Path]]:
    for section in _SECTIONS:
        part = getattr(config, section)
        if part is not None:
            yield section, part, (section,)
    yield "objective", config.sampler.objective, ("sampler", "objective")
    if config.sampler.policy is not None:
        yield "policy", config.sampler.policy, ("sampler", "policy")
    for i, search in enumerate(config.sampler.searches):
        yield "search", search, ("sampler", "searches", i)
    for i, constraint in enumerate(config.constraints):
        yield "property", constraint, ("constraints", i)
    for i, sink in enumerate(config.sinks):
        yield "sink", sink, ("sinks", i)


def _part_problems(section: str, part: Part, path: _Path, where: _Locations) -> Iterator[str]:
    name = "kind" if part.kind else "target"
    try:
        factory = part.factory(section)
    except ConfigError as error:
        yield f"{'.'.join(map(str, path))}.{name}: {error} {where.of((*path, name))}"
        return
    if section == "oracle" and not (inspect.isclass(factory) and issubclass(factory, Oracle) and part.kind):
        try:  # a function's first argument is the object, which oracle_from knows
            from al_loop.oracles.wrap import oracle_from

            oracle_from(factory, **part.arguments)
        except ConfigError as error:
            yield f"oracle: {error} {where.of(path)}"
        return
    model = parts.arguments_model(factory)
    arguments = part.arguments
    try:
        model.model_validate(arguments)
    except ValidationError as error:
        # what the campaign fills in by itself is not missing
        errors = [e for e in error.errors() if not (section in ("features", "policy") and e["type"] == "missing")]
        if errors:
            yield from _messages(error, path, where, model)
        return
    if section == "policy":  # it needs the environment
        return
    try:
        build(section, part)
    except ConfigError as error:
        yield f"{'.'.join(map(str, path))}: {error} {where.of(path)}"


def _refuse_objectives(config: CampaignConfig, where: _Locations) -> None:
    """An acquisition of one objective for several, the other way round, or a loss that cannot be conditioned."""
    is_of_several = _is_of_several(config.acquisition.factory("acquisition"))
    name = config.acquisition.kind or config.acquisition.target
    if config.has_several_objectives != is_of_several:
        several = [i.kind for i in parts.built_in("acquisition") if _is_of_several(parts.find("acquisition", i.kind))]
        raise ConfigError(
            f"acquisition: {name!r} {'weighs several objectives' if is_of_several else 'knows one objective'}, but "
            f"'optimise' names {len(config.optimise) if isinstance(config.optimise, tuple) else 1}; "
            + ("name several, or take another acquisition" if is_of_several else f"take {' or '.join(several)}")
            + f" {where.of(('acquisition',))}"
        )
    _refuse_fidelities(config, where)
    if config.has_several_objectives and config.reward.preferences:
        objective = config.sampler.objective
        if not build("objective", objective).uses_log_z:
            raise ConfigError(
                f"sampler.objective: {objective.kind or objective.target!r} has no log Z for each preference; take "
                f"trajectory_balance, or set reward.preferences=false {where.of(('sampler', 'objective'))}"
            )


def _refuse_fidelities(config: CampaignConfig, where: _Locations) -> None:
    """Surrogate and acquisition of several fidelities go together, and with one objective."""
    is_modelled = getattr(config.surrogate.factory("surrogate"), "is_of_fidelities", False)
    if is_modelled != config.chooses_fidelities:
        wanted = "acquisition multi_fidelity_mes or multi_fidelity_ei" if is_modelled else "surrogate multi_fidelity"
        given = config.surrogate if is_modelled else config.acquisition
        section = "surrogate" if is_modelled else "acquisition"
        raise ConfigError(
            f"{section}: {given.kind or given.target!r} is of several fidelities and needs {wanted} "
            f"{where.of((section,))}"
        )


def _is_of_several(factory: Any) -> bool:
    from al_loop.acquisitions.multi_objective import MultiObjectiveAcquisition

    return inspect.isclass(factory) and issubclass(factory, MultiObjectiveAcquisition)


def _refuse_impossible(config: CampaignConfig, where: _Locations) -> None:
    """Combinations of parts that are right by themselves but cannot work together."""
    kind = getattr(
        config.build("environment"), "object_type", "other"
    )  # an instance's: a pool holds what its file holds
    for section, part, path in _parts_of(config):
        wanted = getattr(part.factory(section), "object_type", None)
        if section != "environment" and wanted not in (None, kind):
            made_by = config.environment.kind or config.environment.target
            raise ConfigError(
                f"{'.'.join(map(str, path))}: {part.kind or part.target!r} works on {wanted}s, but the environment "
                f"{made_by!r} makes {kind}s; change one of them {where.of(path)}"
            )
    _refuse_objectives(config, where)
    if config.features is None and kind not in ("molecule", "sequence"):
        raise ConfigError(
            f"features: missing, and there are none by default for the objects of this environment; name one of "
            f"{', '.join(p.kind for p in parts.built_in('features'))} or a target {where.of(())}"
        )
    if config.sampler.kind == "ppo" and (found := ppo_cannot(config)) is not None:
        path, reason = found
        raise ConfigError(f"{'.'.join(path)}: {reason} {where.of(path)}")
    if config.sampler.pool < config.rounds.batch_size:
        raise ConfigError(
            f"sampler.pool: {config.sampler.pool} is below rounds.batch_size ({config.rounds.batch_size}), so that no "
            f"full batch could be picked; raise it {where.of(('sampler', 'pool'))}"
        )


def ppo_cannot(config: CampaignConfig) -> tuple[tuple[str, ...], str] | None:
    """What of a config the reward-maximising baseline cannot do: the key, and why; None: it can do all of it."""
    if config.has_several_objectives and config.reward.preferences:
        return ("sampler", "kind"), "ppo maximises one value; of several objectives it needs reward.preferences=false"
    if config.sampler.searches:
        return ("sampler", "searches"), "ppo learns from its own draws alone; leave them out"
    return None
