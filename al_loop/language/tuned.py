"""A tuned language model: a sampler of continuations that is saved as a small file."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from al_loop.environments.tokens import Tokens
from al_loop.errors import ConfigError, summary
from al_loop.gflownet.backward_rollout import backward_rollout
from al_loop.gflownet.exact_distribution import terminal_distribution
from al_loop.gflownet.policies.language import LanguagePolicy
from al_loop.gflownet.priors import Prior, environment_metadata, load_prior
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.saved_models import DrawableModel, read_model, write_model
from al_loop.gflownet.trajectory_terms import log_probabilities
from al_loop.language.rewards import LanguageReward
from al_loop.language_models.base import LanguageModel
from al_loop.language_models.loading import locate, register

_MOST_ENUMERATED = 100_000  # continuations of a prompt
_MOST_DRAWN = 1_000_000
_DRAWN_AT_ONCE = 256  # each has a memory of its own in the model
_ROWS = 64  # continuations that are scored at a time
FILE_KIND = "language"


@dataclass(frozen=True)
class Texts:
    """Continuations of a prompt.

    Args:
        prompt: the prompt.
        objects: n texts, or canonical SMILES of molecules.
        log_prob: log-probabilities of their token sequences under the sampler, shape n.
        states: terminal states, shape n x state_size.
    """

    prompt: str
    objects: list[str]
    log_prob: Tensor
    states: Tensor


@dataclass(frozen=True)
class Posterior:
    """The exact distribution of all continuations of a prompt.

    It is unknown under the reward if the sampler has none, or has gaps for the prompts of the training only.

    Args:
        texts: all token sequences, as texts; a text occurs several times if several sequences have it.
        sampler: their probabilities under the sampler, shape n, double precision.
        exact: their probabilities under the reward, shape n; None: unknown.
    """

    texts: list[str]
    sampler: Tensor
    exact: Tensor | None

    @property
    def kl(self) -> float:
        """KL(sampler || posterior) in nats; NaN without a reward."""
        return float("nan") if self.exact is None else divergence(self.sampler, self.exact)

    @property
    def reverse_kl(self) -> float:
        """KL(posterior || sampler) in nats; NaN without a reward."""
        return float("nan") if self.exact is None else divergence(self.exact, self.sampler)


def divergence(p: Tensor, q: Tensor) -> float:
    """Return KL(p || q) in nats of two distributions, shape n each."""
    return float(torch.where(p > 0, p * (p / q).log(), 0.0).sum())


class TunedModel(DrawableModel):
    """A sampler of continuations.

    Args:
        environment: the space, with the prompts of the training.
        policy: the tuned policy.
        reward: the reward that it was tuned for; None: unknown.
        metadata: plain values that are saved with it.
    """

    def __init__(
        self,
        environment: Tokens,
        policy: LanguagePolicy,
        reward: LanguageReward | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.environment, self.policy, self.reward = environment, policy, reward
        self.metadata = metadata or {}

    @property
    def _device(self) -> torch.device:
        return self.policy.flow_head.weight.device

    def _starts(self, prompt: str, n: int) -> tuple[Tokens, Tensor]:
        """Return the space and n initial states of a prompt, which need not be one of the training."""
        prompts = self.environment.prompts
        known = prompt in prompts
        environment = self.environment if known else self.environment.with_prompts([prompt])
        index = torch.full((n,), prompts.index(prompt) if known else 0, device=self._device)
        return environment, environment.start(index)

    @torch.no_grad()
    def draw(self, prompt: str, n: int = 1, *, seed: int = 0, temperature: float = 1.0) -> Texts:
        """Return n continuations of a prompt.

        Args:
            prompt: the prompt; any text that the model reads.
            n: number of continuations.
            seed: source of all randomness.
            temperature: divisor of the sampler's logits; ``log_prob`` is that at temperature 1.

        Raises:
            ConfigError: the model does not read the prompt, n is too large, or the seed or the temperature is out of
                range.
            ValueError: n is below 1.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        if n > _MOST_DRAWN:
            raise ConfigError(f"n: at most {_MOST_DRAWN} continuations are drawn at a time, got {n}")
        if not 0 < temperature < math.inf:
            raise ConfigError(f"temperature: must be above 0 and finite, got {temperature}")
        check_seed(seed)
        environment, start = self._starts(prompt, n)
        generator = torch.Generator(self._device).manual_seed(seed)
        parts = [
            rollout(environment, self.policy, len(rows), generator=generator, temperature=temperature, start=rows)
            for rows in start.split(_DRAWN_AT_ONCE)
        ]
        states = torch.cat([part.terminal for part in parts])
        return Texts(prompt, environment.decode(states), self._log_prob(environment, states), states)

    def draw_table(self, n: int, *, seed: int, prompt: str | None = None) -> Mapping[str, Sequence[Any]]:
        prompts = self.environment.prompts
        if prompt is None and len(prompts) > 1:
            raise ConfigError(
                f"--prompt: this model continues prompts; give one, such as {prompts[0]!r:.80}, one of its training"
            )
        drawn = self.draw(prompts[0] if prompt is None else prompt, n, seed=seed)
        return {"object": drawn.objects, "prompt": [drawn.prompt] * n, "log_prob": drawn.log_prob.tolist()}

    @torch.no_grad()
    def log_prob(self, prompt: str, texts: Sequence[str]) -> Tensor:
        """Return the log-probabilities of texts as continuations of a prompt, shape n, by their usual tokens.

        Raises:
            ConfigError: the model does not read the prompt, or the texts are not a list.
            ValueError: a text is not in the space.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise ConfigError(f"texts: expected a list of texts, got {texts!r:.80}")
        if not len(texts):
            return torch.zeros(0, dtype=torch.float64)
        environment, _ = self._starts(prompt, 1)
        index = environment.prompts.index(prompt)
        states = environment.finished(texts, torch.full((len(texts),), index))
        return self._log_prob(environment, states.to(self._device))

    def _log_prob(self, environment: Tokens, states: Tensor) -> Tensor:
        parts = []
        for rows in states.split(_ROWS):
            generator = torch.Generator(rows.device).manual_seed(0)  # each text has one history
            history = backward_rollout(environment, None, rows, generator=generator)
            log_pf, _ = log_probabilities(environment, self.policy, history)
            parts.append(log_pf.double().sum(0))
        return torch.cat(parts)

    def n_continuations(self) -> int:
        """Return the number of token sequences that the space has for each prompt."""
        environment = self.environment
        lengths = range(environment.min_tokens, environment.max_tokens + 1)
        return sum((environment.n_actions - 1) ** length for length in lengths)

    @torch.no_grad()
    def posterior(self, prompt: str) -> Posterior:
        """Return the exact distribution of all continuations of a prompt, where they can be enumerated.

        Raises:
            ValueError: there are too many.
        """
        n = self.n_continuations()
        if n > _MOST_ENUMERATED:
            raise ValueError(
                f"there are about 10^{math.log10(n):.0f} continuations, at most {_MOST_ENUMERATED} can be enumerated; "
                "allow fewer tokens, or use log_prob for texts of interest"
            )
        environment, start = self._starts(prompt, 1)
        states, p = terminal_distribution(environment, self.policy, start)
        exact = None
        if self.reward is not None and environment is self.environment:
            exact = self.reward(states).double().softmax(0)
        elif self.reward is not None and self.reward.has_any_prompt:
            exact = self.reward.for_environment(environment)(states).double().softmax(0)
        return Posterior(environment.texts(states), p, exact)

    def save(self, path: str | Path) -> None:
        """Write the adapters to a file, which also serves as ``sampler.prior`` of campaigns; the model is not in it.

        Raises:
            ConfigError: the file cannot be written.
        """
        environment = self.environment
        model = environment.language_model
        content = {
            "model": environment.model_name,
            "model_sha256": model.checksum(),
            "is_in_memory": model.file is None,
            "prompts": list(environment.prompts),
            "space": environment.settings(),
            "lora": self.policy.lora,
            **environment_metadata(environment),
            **self.metadata,
        }
        weights = {name: weight.detach().cpu() for name, weight in self.policy.trainable_state().items()}
        facts = {"policy": type(self.policy).__name__, **content}
        write_model(path, FILE_KIND, {"weights": weights, "facts": facts})

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu", model: str | LanguageModel | None = None) -> TunedModel:
        """Return the sampler that ``save`` wrote.

        Args:
            path: the file.
            device: where it runs.
            model: the language model, or its name or path; None: the one that the file names, whose path may also be
                relative to the file.

        Raises:
            ConfigError: the file cannot be read, or its model is missing or has other weights.
        """
        content = read_model(path, FILE_KIND)
        try:
            weights, facts = content["weights"], content["facts"]
            prompts, space, lora, sha256 = facts["prompts"], facts["space"], facts["lora"], facts["model_sha256"]
            if model is None:
                model = locate(facts["model"], Path(path).parent)
            environment = Tokens(model if isinstance(model, str) else register(model), prompts, **space)
        except ConfigError as error:
            if model == facts["model"] and facts.get("is_in_memory", sha256 is None):
                reason = "which is in no file; pass it: TunedModel.load(path, model=...)"
            else:
                reason = f"which cannot be used: {str(error).removeprefix('model: ')}"
            raise ConfigError(f"{path} was tuned from the model {facts['model']!r}, {reason}") from None
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{path} is not a tuned model that this version can read ({type(error).__name__}: {summary(error)})"
            ) from None
        here = environment.language_model
        if sha256 != here.checksum() and sha256 != here.weights_checksum():
            raise ConfigError(
                f"{path} was tuned with other weights of {facts['model']} (SHA-256 {sha256 or 'not recorded'}, and "
                f"here {here.checksum()}); use the same version of the model"
            )
        policy = LanguagePolicy(environment, lora=lora)
        # the weights and the space are the same: the fingerprint also depends on whether the weights are in a file
        load_prior(
            environment, policy, Prior(weights, str(path), {k: v for k, v in facts.items() if k != "vocabulary"})
        )
        own = {"model", "model_sha256", "is_in_memory", "prompts", "space", "lora"}
        own |= {"environment", "vocabulary", "policy"}
        return cls(environment, policy.to(device), None, {k: v for k, v in facts.items() if k not in own})


def load_drawable(path: str | Path) -> TunedModel:
    """Return the sampler of a file, for ``al-loop draw``."""
    return TunedModel.load(path)


def digest(prompts: Sequence[str]) -> str:
    """Return a short hash of prompts, by which a checkpoint knows its own."""
    return hashlib.sha256("\0".join(prompts).encode()).hexdigest()[:16]


def check_seed(seed: int) -> None:
    """Check that a seed has at most 64 bits.

    Raises:
        ConfigError: it is out of range.
    """
    if not -(1 << 63) <= seed < 1 << 64:
        raise ConfigError(f"seed: must be below 2^64, got {seed}")
