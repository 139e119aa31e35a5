"""Log-probabilities of texts under a frozen language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from al_loop.language_models.base import LanguageModel, Memory

_ROWS = 64  # texts that are read at a time
_LOGITS_AT_ONCE = 1 << 24


@dataclass(frozen=True)
class PrefixScores:
    """Log-probabilities of all prefixes of n texts of at most t tokens, given their prompts.

    Args:
        log_p: of the first 0, 1, ..., t tokens, shape n x (t + 1).
        log_end: of the end after them, in the same shape.
    """

    log_p: Tensor
    log_end: Tensor


def padded(rows: Sequence[Sequence[int]], device: torch.device, *, on_the_left: bool) -> tuple[Tensor, Tensor]:
    """Return token ids, shape n x t, padded with 0, and the mask of those that are not padding."""
    size = max(map(len, rows), default=0)
    pads = [[0] * (size - len(row)) for row in rows]
    ones = [[1] * len(row) for row in rows]
    if on_the_left:
        tokens = [[*pad, *row] for pad, row in zip(pads, rows, strict=True)]
        is_token = [[*pad, *one] for pad, one in zip(pads, ones, strict=True)]
    else:
        tokens = [[*row, *pad] for pad, row in zip(pads, rows, strict=True)]
        is_token = [[*one, *pad] for pad, one in zip(pads, ones, strict=True)]
    return torch.tensor(tokens, dtype=torch.int64, device=device), torch.tensor(
        is_token, dtype=torch.bool, device=device
    )


def read_each_once(model: LanguageModel, prompts: Sequence[Sequence[int]]) -> tuple[Memory, Tensor]:
    """Read the distinct ones of n prompts, and return the memory of all n and the hidden states after them."""
    distinct = list(dict.fromkeys(map(tuple, prompts)))
    number = {prompt: i for i, prompt in enumerate(distinct)}
    device = model.head.weight.device
    memory, hidden = model.read_prompts(*padded(distinct, device, on_the_left=True))
    rows = torch.tensor([number[tuple(prompt)] for prompt in prompts], device=device)
    return memory.pick(rows), hidden[rows]


@torch.no_grad()
def score_prefixes(
    model: LanguageModel, prompts: Sequence[Sequence[int]], texts: Sequence[Sequence[int]], end: int
) -> PrefixScores:
    """Score all prefixes of texts from one pass over each text.

    Args:
        model: the model.
        prompts: token ids of each text's prompt.
        texts: token ids of n texts.
        end: the token that ends a text.
    """
    parts = []
    longest = max(map(len, texts), default=0)
    for i in range(0, len(texts), _ROWS):
        memory, hidden = read_each_once(model, prompts[i : i + _ROWS])
        tokens, is_token = padded(texts[i : i + _ROWS], hidden.device, on_the_left=False)
        states = hidden[:, None]
        if tokens.shape[1]:
            states = torch.cat([states, model.read(memory, tokens)], 1)
        following = torch.nn.functional.pad(tokens, (0, 1))  # what stands after each prefix, and is not used after all
        log_next, log_end = _log_probs(model, states, following, end)
        log_next = torch.where(is_token, log_next[:, :-1], 0.0)
        log_p = torch.nn.functional.pad(log_next.cumsum(1), (1, 0))
        missing = (0, longest - tokens.shape[1])
        parts.append((torch.nn.functional.pad(log_p, missing), torch.nn.functional.pad(log_end, missing)))
    return PrefixScores(torch.cat([log_p for log_p, _ in parts]), torch.cat([log_end for _, log_end in parts]))


def _log_probs(model: LanguageModel, hidden: Tensor, tokens: Tensor, end: int) -> tuple[Tensor, Tensor]:
    """Return the log-probabilities of tokens and of the end after hidden states, shape n x t each, in chunks."""
    flat, chosen = hidden.flatten(0, 1), tokens.flatten()
    size = max(_LOGITS_AT_ONCE // model.head.weight.shape[0], 1)
    parts = []
    for states, targets in zip(flat.split(size), chosen.split(size), strict=True):
        log_p = model.logits(states).log_softmax(-1)
        parts.append((log_p.gather(1, targets[:, None])[:, 0], log_p[:, end]))
    shape = tokens.shape
    return torch.cat([a for a, _ in parts]).view(shape), torch.cat([b for _, b in parts]).view(shape)
