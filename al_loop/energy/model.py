"""A learned energy with its sampler: scores, draws, and its file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from al_loop.config.plugins import Part
from al_loop.energy.building import EnergyParts, parse_energy, parts_from
from al_loop.energy.energies.base import Energy
from al_loop.energy.report import EnergyReport
from al_loop.environments.base import Environment
from al_loop.errors import ConfigError, counted
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.priors import environment_metadata
from al_loop.gflownet.sampler import Sampler
from al_loop.gflownet.saved_models import DrawableModel, read_model, write_model
from al_loop.seeding import derive_seed
from al_loop.system import stopping

KIND = "energy"
_CHUNK = 512  # objects drawn or scored at once
_IN_PYTHON = "an object in Python"


class EnergyModel(DrawableModel):
    """An energy and a sampler that draws from it.

    Args:
        parts: what it was built from.
        energy: the energy.
        policy: the sampler's policy.
        report: the state at the end of the training.
        data: terminal states of the training data, shape n x state_size.
        history: the reports of the training, in order.
    """

    def __init__(
        self,
        parts: EnergyParts,
        energy: Energy,
        policy: Policy,
        report: EnergyReport,
        data: Tensor,
        history: Sequence[EnergyReport] = (),
    ) -> None:
        self.parts, self.environment = parts, parts.environment
        self.energy = energy.cpu().eval().requires_grad_(False)
        self.policy = policy.cpu().eval().requires_grad_(False)
        self.report, self.history, self.data = report, tuple(history), data.cpu()
        #: the reason for each object that could not be scored
        self.refused: dict[str, str] = {}
        self.sampler = Sampler(self.environment, self.policy, backward=parts.config.sampler.backward)
        self.sampler.set_reward(self._log_reward)

    @property
    def log_z(self) -> float:
        """Log of the sum of exp(score) over all objects: exact for small spaces, otherwise an estimate."""
        return self.report.log_z

    @property
    def log_z_error(self) -> float:
        """Standard error of ``log_z``; 0 if it is exact."""
        return self.report.log_z_error

    def _log_reward(self, objects: Sequence[str]) -> Tensor:
        return self.score(objects).float()

    @torch.no_grad()
    def score(self, objects: Sequence[str], on_object: Callable[[], None] = lambda: None) -> Tensor:
        """Return the scores of objects: log p up to one constant, ``log_z``.

        Args:
            objects: the objects, in any notation that the environment accepts.
            on_object: called after each object.

        Returns:
            Scores, shape n, in double precision; NaN for an object that has none, with the reason in ``refused``.
        """
        parts = []
        for i in range(0, len(objects), _CHUNK):
            stopping.look()
            names = list(objects[i : i + _CHUNK])
            parts.append(self._score(names))
            for _ in names:
                on_object()
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.float64)

    def _score(self, names: list[str]) -> Tensor:
        scores = torch.full((len(names),), math.nan, dtype=torch.float64)
        rows = [i for i, name in enumerate(names) if name not in self.refused]
        features = self.energy.features
        # objects outside the environment's space have features, too, but no likelihood under a base
        if features is not None and self.energy.base is None:
            known = set(features.describable([names[i] for i in rows]))
            self.refused.update({name: features.refused[name] for name in set(names) & set(features.refused)})
            rows = [i for i in rows if names[i] in known]
            if rows:
                scores[rows] = self.energy.scores(features([names[i] for i in rows]).float()).double()
            return scores
        states = []
        for i in list(rows):
            try:
                states.append(self.environment.encode([names[i]]))
            except ValueError as error:
                self.refused[names[i]] = str(error)
                rows.remove(i)
        if rows:
            scores[rows] = self.energy(torch.cat(states)).double()
        return scores

    def draw(self, n: int, *, seed: int = 0) -> list[str]:
        """Return n objects drawn by the sampler.

        Args:
            n: number of objects.
            seed: source of all randomness.
        """
        objects: list[str] = []
        while len(objects) < n:
            stopping.look()
            size = min(_CHUNK, n - len(objects))
            draw = self.sampler.draw(size, seed=derive_seed(seed, len(objects)), is_scored=False)
            objects += draw.objects or []
        return objects

    def draw_table(self, n: int, *, seed: int, prompt: str | None = None) -> Mapping[str, Sequence[Any]]:
        if prompt is not None:
            raise ConfigError("--prompt: an energy has none; leave it out")
        objects = self.draw(n, seed=seed)
        scores = self.score(objects)
        return {"object": objects, "score": scores.tolist(), "log_p": (scores - self.log_z).tolist()}

    def save(self, path: str | Path) -> None:
        """Write the model to a file, which is also a prior for a campaign's sampler.

        Args:
            path: the file; an existing one is replaced.

        Raises:
            ConfigError: the file cannot be written.
        """
        config = self.parts.config.model_dump(mode="json", exclude={"sinks", "resources"})
        if not self.parts.is_named:
            config["environment"] = {"kind": _IN_PYTHON}
        metrics = self.report.as_metrics()
        facts = {"policy": type(self.policy).__name__, **environment_metadata(self.environment), **metrics}
        content = {
            "weights": dict(self.policy.state_dict()),
            "facts": facts,
            "energy": dict(self.energy.state_dict()),
            "config": config,
            "report": vars(self.report),
            "history": [vars(report) for report in self.history],
            "data": self.data.int(),
        }
        write_model(path, KIND, content)


def load(path: str | Path, environment: Environment | None = None) -> EnergyModel:
    """Load a model that ``EnergyModel.save`` wrote.

    Args:
        path: the file.
        environment: the space in which it is to be used; None: that which its config names.

    Raises:
        ConfigError: the file cannot be read, is no energy, does not name its environment, or is for another one.
    """
    content = read_model(path, KIND)
    try:
        config, facts = dict(content["config"]), dict(content["facts"])
        is_named = config["environment"].get("kind") != _IN_PYTHON
        if not is_named:
            if environment is None:
                raise ConfigError(
                    f"{path} was learned for {facts.get('environment')}, {_IN_PYTHON}; pass it: "
                    "energy.load(path, environment=...), or learn the energy with a config, which names its environment"
                )
            config["environment"] = {"kind": "sequence", "alphabet": "AC", "length": 1}  # a stand-in
        parts = parts_from(parse_energy(config), environment)
        section = content["config"]["environment"] if is_named else {"kind": facts.get("environment")}
        other = ConfigError(_other_environment(path, section, parts.environment))
        if facts.get("vocabulary") != environment_metadata(parts.environment)["vocabulary"]:
            raise other
        energy, policy = parts.energy(), parts.policy()
        try:
            energy.load_state_dict(content["energy"])
            policy.load_state_dict(content["weights"])
        except RuntimeError:  # objects of other lengths have the same letters
            if environment is None:
                raise
            raise other from None
        report = EnergyReport(**content["report"])
        history = [EnergyReport(**entry) for entry in content["history"]]
        data = content["data"].long()
    except (KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise ConfigError(f"{path} is not an energy that this version can read ({type(error).__name__})") from error
    return EnergyModel(parts, energy, policy, report, data, history)


def _other_environment(path: str | Path, section: Mapping[str, Any], environment: Environment) -> str:
    """Return the message on an energy that was learned for another environment."""
    name = section.get("kind") or section.get("target")
    details = [f"{key}: {value!s:.60}" for key, value in section.items() if key not in ("kind", "target")]
    learned = f"{name} ({', '.join(details)})" if details else str(name)
    length = "" if environment.length is None else f" of length {environment.length}"
    return (
        f"{path} was learned for the environment {learned}, whose letters, blocks, actions or sizes differ from "
        f"this {environment.describe()}{length}; learn one for it with `al-loop learn-energy`"
    )


def named_part(value: str | Mapping[str, Any] | Part) -> Part:
    """Return a part that is given by its kind, its section or as it is."""
    return value if isinstance(value, Part) else Part.model_validate(value if isinstance(value, str) else dict(value))


def describe(model: EnergyModel) -> str:
    """Return what a model is in one line: energy, environment, data."""
    return (
        f"{model.parts.config.energy.name} energy of {model.environment.describe()}, learned from "
        f"{counted(len(model.data), 'object')}: {model.report}"
    )
