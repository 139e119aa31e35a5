"""Samplers that suit a model's posteriors."""

from __future__ import annotations

import torch
from botorch.sampling.base import MCSampler
from botorch.sampling.get_sampler import get_sampler
from botorch.sampling.normal import SobolQMCNormalSampler
from torch import Tensor

from al_loop.surrogates.base import SurrogateModel


def sampler_of(model: SurrogateModel, X: Tensor, n_samples: int, seed: int) -> MCSampler:
    """Return a sampler with fixed base samples, quasi-random normal ones where posteriors are normal.

    Args:
        model: the model whose posteriors are sampled.
        X: n x d features, n >= 1, of which the first row shows the posterior's type.
        n_samples: number of samples.
        seed: of the samples.
    """
    shape = torch.Size([n_samples])
    if model.has_normal_posterior:
        return SobolQMCNormalSampler(shape, seed=seed)
    return get_sampler(model.posterior(X[:1]), shape, seed=seed)
