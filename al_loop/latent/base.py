"""The interface of all latent-variable models."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from al_loop.environments.base import Environment
from al_loop.gflownet.exact_distribution import terminal_states

#: most pairs of an observation and a code that are scored at a time
_CHUNK = 200_000
#: most codes that are enumerated
_MAX_CODES = 20_000


class LatentModel(nn.Module, ABC):
    """A model p(x, z) of observations x with discrete latents z, whose p(x) sums over all z.

    Observations are rows of one width. A latent is the terminal state of an environment, ``latents()``, in which a
    GFlowNet builds it step by step.

    Args:
        arguments: the arguments of the constructor, from which a saved model is built again.
    """

    #: name in a config; not required of a model named by ``target:``
    kind: ClassVar[str] = ""
    #: whether ``log_partial`` is implemented, which forward-looking flows require
    is_partial: ClassVar[bool] = False
    #: kind of the sampler's network
    policy: ClassVar[str] = "mlp"
    #: whether ``maximise`` is implemented; otherwise the M-step follows the gradient of ``log_joint``
    has_closed_form: ClassVar[bool] = True
    #: whether observations are texts, such as sequences, rather than rows of numbers
    reads_text: ClassVar[bool] = False

    def __init__(self, **arguments: Any) -> None:
        super().__init__()
        self.arguments = arguments

    @abstractmethod
    def latents(self) -> Environment:
        """Return the space of the latents of one observation."""

    @abstractmethod
    def read(self, data: Any) -> Tensor:
        """Return observations, shape n x width, from a user's data.

        Raises:
            ValueError: the data are not observations of this model; the message names the first that is not.
        """

    def checked(self, x: Tensor) -> Tensor:
        """Return observations that a user gives as a tensor; by default, unchecked.

        Args:
            x: observations, shape n x width.

        Raises:
            ValueError: they are not observations of this model.
        """
        return x

    def rows_of(self, data: Any) -> Tensor:
        """Return observations, shape n x width, from a tensor of them or from data that ``read`` accepts.

        Raises:
            ValueError: the data are not observations of this model.
        """
        return self.checked(data) if isinstance(data, Tensor) else self.read(data)

    @abstractmethod
    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        """Return log p(x, z) of n pairs, shape n, with gradients with respect to the model's parameters.

        Args:
            x: observations, shape n x width.
            z: terminal states of their latents, shape n x k.
        """

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw n pairs from p(x, z), the latents first.

        Args:
            n: number of pairs.
            generator: source of all randomness.

        Returns:
            Observations, shape n x width, and terminal states of their latents, shape n x k.
        """

    @abstractmethod
    def initialise(self, x: Tensor, generator: torch.Generator) -> None:
        """Set the parameters to random values that suit the observations.

        Args:
            x: observations, shape n x width.
            generator: source of all randomness.
        """

    def inputs(self, x: Tensor) -> Tensor:
        """Return what the sampler's network sees of observations, shape n x d, float; by default themselves."""
        return x.float()

    def starts(self, x: Tensor) -> Tensor:
        """Return the initial states of the latents of observations, shape n x k."""
        return self.latents().initial(len(x), x.device)

    def allowed(self, x: Tensor, z: Tensor) -> Tensor | None:
        """Return a mask of the actions that may lead to latents of positive probability, or None: all of them may.

        Args:
            x: observations, shape n x width.
            z: states of their latents, shape n x k.

        Returns:
            The mask, shape n x n_actions of ``latents()``.
        """
        return None

    def log_partial(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the terms of log p(x, z) that partly built latents determine, shape n.

        Args:
            x: observations, shape n x width.
            z: states of their latents, shape n x k.
        """
        raise NotImplementedError(f"{type(self).__name__} has no log_partial")

    def maximise(self, x: Tensor, z: Tensor, weight: Tensor) -> None:
        """Set the parameters to the maximum of the weighted mean of log p(x, z).

        Args:
            x: observations, shape n x width.
            z: terminal states of their latents, shape n x k.
            weight: weights of at least 0, shape n.
        """
        raise NotImplementedError(f"{type(self).__name__} has no closed M-step")

    # -- exact inference: by enumeration, or by an algorithm of the model's own ----------------------------------------

    @property
    def is_exact(self) -> bool:
        """Whether ``log_likelihood`` is available, and ``exact_step`` if the model has a closed M-step."""
        return self.has_codes

    @cached_property
    def has_codes(self) -> bool:
        """Whether the latents of an observation are few enough to enumerate, and the same for each."""
        space = self.latents()
        n_letters = len(space.alphabet or ())
        return bool(n_letters) and space.length is not None and n_letters**space.length <= _MAX_CODES

    @cached_property
    def codes(self) -> Tensor:
        """All latents of an observation, shape n_codes x k, in the order of their letters.

        Raises:
            ValueError: they are too many.
        """
        if not self.has_codes:
            raise ValueError(f"{type(self).__name__}: its latents are too many to enumerate")
        codes: Tensor = torch.unique(terminal_states(self.latents()), dim=0)  # sorted
        return codes

    def log_joints(self, x: Tensor) -> Tensor:
        """Return log p(x, z) of each observation with every code, shape n x n_codes."""
        codes = self.codes.to(x.device)
        parts = []
        for rows in x.split(max(_CHUNK // len(codes), 1)):
            pairs = rows.repeat_interleave(len(codes), 0), codes.repeat(len(rows), 1)
            parts.append(self.log_joint(*pairs).view(len(rows), len(codes)))
        return torch.cat(parts)

    def log_evidence(self, x: Tensor) -> Tensor:
        """Return log p(x) of n observations, shape n, with gradients; by default, by enumeration.

        Args:
            x: observations, shape n x width.

        Raises:
            ValueError: there is no exact inference for this model.
        """
        return self.log_joints(x).logsumexp(1)

    @torch.no_grad()
    def log_likelihood(self, data: Any) -> Tensor:
        """Return log p(x) of n observations, shape n, exactly.

        Args:
            data: observations: a tensor, or data that ``read`` accepts.

        Raises:
            ValueError: there is no exact inference for this model.
        """
        return self.log_evidence(self.rows_of(data))

    @torch.no_grad()
    def exact_step(self, x: Tensor) -> float:
        """Make one step of exact expectation maximisation, and return the mean log-likelihood before it.

        Args:
            x: observations, shape n x width.

        Raises:
            ValueError: there is no exact inference for this model.
        """
        log_joint, codes = self.log_joints(x), self.codes
        log_likelihood = log_joint.logsumexp(1, keepdim=True)
        weight = (log_joint - log_likelihood).exp()
        self.maximise(x.repeat_interleave(len(codes), 0), codes.repeat(len(x), 1), weight.flatten())
        return float(log_likelihood.mean())

    # -- text ----------------------------------------------------------------------------------------------------------

    def read_text(self, lines: Sequence[str]) -> Tensor:
        """Return observations, shape n x width, from one text each; by default, numbers separated by commas or blanks.

        Args:
            lines: the texts.

        Raises:
            ValueError: a text is not an observation of this model.
        """
        if self.reads_text:
            return self.read(list(lines))
        try:
            rows = [[float(number) for number in line.replace(",", " ").split()] for line in lines]
        except ValueError as error:
            raise ValueError(f"expected numbers separated by commas: {error}") from None
        return self.read(rows)

    def write(self, x: Tensor) -> list[str]:
        """Return observations as one text each, which ``read_text`` reads."""
        return [",".join(f"{value:.6g}" for value in row) for row in x.tolist()]

    def summaries(self, x: Tensor, z: Tensor) -> Tensor:
        """Return what describes latents, shape n x d, of which posterior means are features; by default, the letters.

        Args:
            x: observations, shape n x width.
            z: terminal states of their latents, shape n x k.
        """
        letters = one_hot(z, len(self.latents().alphabet or ()))
        return letters.double().flatten(1)

    @torch.no_grad()
    def exact_summaries(self, x: Tensor) -> Tensor | None:
        """Return the exact posterior means of ``summaries``, shape n x d; None if they are not available.

        A model with a closed M-step that returns them has ``exact_step``, too.

        Args:
            x: observations, shape n x width.
        """
        if not self.has_codes:
            return None
        means = []
        for rows in x.split(max(_CHUNK // len(self.codes), 1)):
            weight = self.log_joints(rows).softmax(1)
            pairs = rows.repeat_interleave(len(self.codes), 0), self.codes.repeat(len(rows), 1)
            values = self.summaries(*pairs).view(len(rows), len(self.codes), -1)
            means.append(torch.einsum("nc,ncd->nd", weight, values.to(weight.dtype)))
        return torch.cat(means)

    def explain(self, x: Tensor, z: Tensor) -> list[str]:
        """Return latents as one text each; by default, their numbers.

        Args:
            x: observations, shape n x width.
            z: terminal states of their latents, shape n x k.
        """
        return ["-".join(map(str, row)) for row in z.tolist()]

    def constants(self) -> dict[str, float]:
        """Return figures for a report beside the mean log-likelihood; by default, none."""
        return {}


def log_normal(x: Tensor, mean: Tensor, sigma: float) -> Tensor:
    """Return the log-density of rows under a normal distribution with one deviation, shape n.

    Args:
        x: points, shape n x d.
        mean: means, shape n x d.
        sigma: standard deviation.
    """
    d = x.shape[-1]
    return -((x - mean) ** 2).sum(-1) / (2 * sigma**2) - d * (math.log(sigma) + 0.5 * math.log(2 * math.pi))
