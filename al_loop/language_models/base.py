"""The interface of all language models."""

from __future__ import annotations

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn

from al_loop.datafiles.object_columns import ObjectType
from al_loop.language_models.tokenizers import Tokenizer

_Module = TypeVar("_Module", bound=nn.Module)


@dataclass(frozen=True)
class FrozenFile:
    """The file or folder of weights that training never changes.

    Args:
        name: the name by which ``load_language_model`` finds it.
        sha256: SHA-256 of its content, in hexadecimal digits.
    """

    name: str
    sha256: str

    @classmethod
    def of(cls, name: str, files: Sequence[Path]) -> FrozenFile:
        """Return the identity of weights that are in files, in this order."""
        digest = hashlib.sha256()
        for file in files:
            with file.open("rb") as stream:
                while block := stream.read(1 << 22):
                    digest.update(block)
        return cls(name, digest.hexdigest())


class Memory(ABC):
    """What a model keeps of the n texts that it has read so far, such as keys and values of attention."""

    @abstractmethod
    def pick(self, rows: Tensor) -> Memory:
        """Return a memory of the texts at these indices, which may repeat."""


class LanguageModel(nn.Module, ABC):
    """A causal language model: hidden states of tokens, and a linear head for the next token.

    Prompts are read first, each of them once; continuations are read from the memory of their prompts.
    """

    #: type of the objects that its texts are
    object_type: ObjectType = "other"
    #: endings of the names of the linear layers that adapters change
    adapter_targets: tuple[str, ...] = ()
    #: dtypes that the arithmetic may have
    dtypes: ClassVar[tuple[torch.dtype, ...]] = (torch.float32, torch.bfloat16)

    tokenizer: Tokenizer
    #: the weights' file; None: they are not in a file
    file: FrozenFile | None = None
    #: length of a hidden state
    width: int
    #: largest number of tokens of a continuation; None: unlimited
    max_tokens: int | None = None
    #: largest number of tokens of a prompt, special ones included; None: unlimited
    max_prompt: int | None = None
    #: largest number of tokens of a prompt and what follows it together; None: unlimited
    context: int | None = None

    def has_room(self, n_prompt: int, n_after: int) -> bool:
        """Return whether a prompt and what follows it are short enough to be read, by their numbers of tokens."""
        total = n_prompt + n_after
        pairs = ((n_prompt, self.max_prompt), (n_after, self.max_tokens), (total, self.context))
        return all(limit is None or n <= limit for n, limit in pairs)

    def checksum(self) -> str:
        """Return the SHA-256 of the weights, in hexadecimal digits: that of their file, if they are in one."""
        return self.weights_checksum() if self.file is None else self.file.sha256

    def weights_checksum(self) -> str:
        """Return the SHA-256 of the weights in memory, in hexadecimal digits."""
        digest = hashlib.sha256()
        for name, weight in sorted(self.state_dict().items()):
            digest.update(f"{name} {weight.dtype} {tuple(weight.shape)} ".encode())
            digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()

    @abstractmethod
    def read_prompts(self, tokens: Tensor, is_token: Tensor) -> tuple[Memory, Tensor]:
        """Read n prompts.

        Args:
            tokens: token ids, shape n x t, padded on the left.
            is_token: mask of the tokens that are not padding, shape n x t; the last column is True.

        Returns:
            The memory of the prompts, and the hidden states from which their next tokens follow, shape n x width,
            float32.
        """

    @abstractmethod
    def read(self, memory: Memory, tokens: Tensor) -> Tensor:
        """Read further tokens, and add them to the memory.

        Args:
            memory: the memory of n texts, which is modified in place.
            tokens: token ids, shape n x t.

        Returns:
            The hidden states after each of the tokens, shape n x t x width, float32.
        """

    @property
    @abstractmethod
    def head(self) -> nn.Linear:
        """The layer that turns hidden states into logits of the tokens."""

    def adjust(self, logits: Tensor) -> Tensor:
        """Return the model's own function of the head's outputs; by default, they are the logits."""
        return logits

    def logits(self, hidden: Tensor) -> Tensor:
        """Return logits of all tokens, float32.

        Args:
            hidden: hidden states, shape ... x width.
        """
        head = self.head
        bias = None if head.bias is None else head.bias.float()
        return self.adjust(nn.functional.linear(hidden, head.weight.float(), bias))


def with_shared_weights(module: _Module) -> _Module:
    """Return a copy of a module that shares its parameters and buffers, so that layers can be changed in the copy."""
    shared = {id(tensor): tensor for tensor in [*module.parameters(), *module.buffers()]}
    return copy.deepcopy(module, shared)
