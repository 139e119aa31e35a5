"""Embeddings of objects by a language model that is installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from al_loop.features.base import Features
from al_loop.system.path_texts import PathOrName

if TYPE_CHECKING:
    from al_loop.language_models.base import LanguageModel


class LanguageModelFeatures(Features):
    """Hidden states of a language model that reads an object twice, averaged over the second reading.

    While a causal model reads a text for the second time, each state knows of the whole text (echo embeddings, Springer
    et al. 2024). Columns are brought to one scale by the kernel. The first use loads the model, and needs what it says
    to install.

    Args:
        model: ``annalog`` (a chemistry model) or ``smollm2``, a GGUF file, a file of a small model of al-loop,
            a folder of Hugging Face, or an id of its hub.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
    """

    kind = "language_model"
    kernel: ClassVar[str] = "matern52"

    def __init__(self, model: PathOrName, device: str = "cpu") -> None:
        super().__init__()
        self.model, self.device = model, device
        self._loaded: list[LanguageModel] = []

    def _language_model(self) -> LanguageModel:
        """Return the model, loaded when it is first needed."""
        if not self._loaded:
            from al_loop.language_models.loading import load_language_model

            self._loaded.append(load_language_model(self.model).to(self.device))
        return self._loaded[0]

    @property
    def d(self) -> int:
        return self._language_model().width

    @torch.no_grad()
    def compute(self, objects: Sequence[str]) -> Tensor:
        """Return the embeddings of n objects: n x d, float32.

        They are read one by one, since sums over a batch depend on what else is in it, to rounding.

        Raises:
            ValueError: a part of an object has no token, or it is too long for the model.
        """
        model = self._language_model()
        rows = torch.empty(len(objects), model.width)
        for row, name in enumerate(objects):
            prompt, tokens = model.tokenizer.encode_prompt(name), model.tokenizer.encode(name)
            if not model.has_room(len(prompt), len(tokens)):
                raise ValueError(f"{name:.80} has {len(tokens)} tokens, more than {self.model} can read")
            first = torch.tensor([prompt], device=self.device)
            memory, _ = model.read_prompts(first, torch.ones_like(first, dtype=torch.bool))
            rows[row] = model.read(memory, torch.tensor([tokens], device=self.device))[0].mean(0).cpu()
        return rows

    def similarity(self, X1: Tensor, X2: Tensor) -> Tensor:
        """Return the cosine of the embeddings, at least 0: n1 x n2."""
        A, B = (torch.nn.functional.normalize(X, dim=-1) for X in (X1, X2))
        return (A @ B.T).clamp(0, 1)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_loaded": []}  # other processes load it by its name
