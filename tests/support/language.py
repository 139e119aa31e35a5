"""Tiny language models, with random or trained weights, that the tests make themselves."""

from functools import cache

import pytest
import torch

from al_loop.errors import ConfigError
from al_loop.language_models.loading import register, weights_in_package
from al_loop.language_models.small import SmallTransformer
from al_loop.language_models.tokenizers import ListedTokens

#: a task of few texts on the tiny model
PROMPTS = ["ab", "c"]
SMALL = {"lora": 4, "max_tokens": 2, "forbidden": ["c"], "batch_size": 16, "per_prompt": 4, "report_draws": 8}


def wanted(text):
    """Return the log-reward of a text, or None."""
    return {"a": 0.0, "b": 1.0, "ab": 2.0, "ba": 1.5}.get(text)


@cache
def tiny_model(letters="abc", width=16, layers=2, seed=0):
    """Return the name of a registered model with random weights."""
    tokenizer = ListedTokens(["<s>", "</s>", *letters], start="<s>", end="</s>")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = SmallTransformer(tokenizer, width=width, layers=layers, heads=2, places=16)
        torch.nn.init.normal_(model.output.weight, std=0.5)
    return register(model, f"tiny {letters} {width} {layers} {seed}")


def needs(name):
    """Skip a test whose language model is not installed."""
    try:
        weights_in_package(name)
    except ConfigError as error:
        pytest.skip(str(error))


def change_adapters(policy, seed=1, scale=0.3):
    """Change all trainable weights, so that adapters are not at their start, where they have no effect."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in policy.parameters():
            if weight.requires_grad:
                weight += scale * torch.randn(weight.shape, generator=generator)
    return policy
