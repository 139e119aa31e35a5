"""A small causal transformer of our own, and its training on texts."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from al_loop.errors import ConfigError
from al_loop.language_models.attention import Attention, KeysAndValues
from al_loop.language_models.base import FrozenFile, LanguageModel, Memory
from al_loop.language_models.tokenizers import ListedTokens
from al_loop.storage.files import write_whole


class _Layer(nn.Module):
    """A transformer layer, normalised before each half."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.think = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor, memory: KeysAndValues, layer: int, mask: Tensor) -> Tensor:
        x = x + self.attention.attend(self.norm(x), memory, layer, mask)
        return x + self.think(x)  # type: ignore[no-any-return]


class SmallTransformer(LanguageModel):
    """A causal transformer over a list of tokens, which trains in seconds to minutes on a CPU.

    Args:
        tokenizer: its tokens, with a token before every prompt.
        width: width of the tokens, a multiple of ``heads``.
        layers: number of layers.
        heads: number of attention heads.
        places: largest number of tokens of a prompt and its continuation together.
        object_type: type of the objects that its texts are.
    """

    adapter_targets = ("query", "key", "value", "mix")

    def __init__(
        self,
        tokenizer: ListedTokens,
        width: int = 64,
        layers: int = 2,
        heads: int = 4,
        places: int = 64,
        object_type: str = "other",
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width: must be a multiple of heads ({heads}), got {width}")
        self.tokenizer = self._tokens = tokenizer
        self.object_type = object_type  # type: ignore[assignment]
        self._settings = {
            "width": width,
            "layers": layers,
            "heads": heads,
            "places": places,
            "object_type": object_type,
        }
        self.width, self.context = width, places
        self.embedding = nn.Embedding(tokenizer.size, width)
        self.position = nn.Embedding(places, width)
        self.layers = nn.ModuleList([_Layer(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, tokenizer.size)

    @property
    def head(self) -> nn.Linear:
        return self.output

    def read_prompts(self, tokens: Tensor, is_token: Tensor) -> tuple[Memory, Tensor]:
        memory = KeysAndValues([], [], is_token[:, :0])
        return memory, self._read(memory, tokens, is_token)[:, -1]

    def read(self, memory: Memory, tokens: Tensor) -> Tensor:
        return self._read(memory, tokens, torch.ones_like(tokens, dtype=torch.bool))

    def _read(self, memory: Memory, tokens: Tensor, is_token: Tensor) -> Tensor:
        assert isinstance(memory, KeysAndValues)
        positions, mask = memory.extend(is_token)
        if int(memory.is_token.shape[1]) > self.position.num_embeddings and bool(
            (positions >= self.position.num_embeddings).any()
        ):
            raise ValueError(
                f"a prompt and its continuation have more than {self.position.num_embeddings} tokens, the places of "
                "this model; use fewer tokens, or a model with more places"
            )
        x = self.embedding(tokens) + self.position(positions)
        for number, layer in enumerate(self.layers):
            x = layer(x, memory, number, mask)
        hidden: Tensor = self.norm(x)
        return hidden.float()

    def save(self, path: str | Path) -> None:
        """Write the model to a file that ``load_language_model`` reads.

        Args:
            path: the file, which ends in ``.pt``.
        """
        buffer = io.BytesIO()
        content = {"tokenizer": self._tokens.settings(), "settings": self._settings, "weights": self.state_dict()}
        torch.save({"small_transformer": content}, buffer)
        write_whole(Path(path), buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> SmallTransformer:
        """Return the model that ``save`` wrote.

        Raises:
            ConfigError: the file is not such a model.
        """
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)["small_transformer"]
            model = cls(ListedTokens(**content["tokenizer"]), **content["settings"])
            model.load_state_dict(content["weights"])
        except OSError as error:
            raise ConfigError(f"model: cannot read {path}: {error.strerror or error}") from None
        except Exception:  # a corrupt file raises almost anything
            raise ConfigError(
                f"model: {path} is not a language model; expected a file that SmallTransformer.save wrote, a GGUF "
                "file, or a folder of Hugging Face"
            ) from None
        model.file = FrozenFile.of(str(path), [path])
        return model


def fit(
    model: SmallTransformer,
    texts: Sequence[str],
    *,
    steps: int = 1000,
    batch_size: int = 64,
    lr: float = 3e-3,
    seed: int = 0,
) -> float:
    """Train a model to predict the next token of texts, and their end, by maximum likelihood.

    Args:
        model: the model.
        texts: the texts.
        steps: number of gradient steps.
        batch_size: texts of a step.
        lr: learning rate (Adam), which falls to 0.
        seed: source of all randomness.

    Returns:
        The loss of the last step, in nats per token.

    Raises:
        ValueError: there is no text, or one has no tokens of the model.
    """
    tokenizer = model.tokenizer
    rows = [[*tokenizer.encode_prompt(""), *tokenizer.encode(text), tokenizer.end] for text in texts]
    if not rows:
        raise ValueError("texts: expected at least one")
    longest = max(map(len, rows))
    padded = torch.tensor([row + [-1] * (longest - len(row)) for row in rows])
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    loss = torch.zeros(())
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 50, 2 * (1 - step / steps))
        batch = padded[torch.randint(len(padded), (batch_size,), generator=generator)]
        is_token = torch.ones_like(batch[:, :-1], dtype=torch.bool)
        memory = KeysAndValues([], [], is_token[:, :0])
        hidden = model._read(memory, batch[:, :-1].clamp(min=0), is_token)
        loss = nn.functional.cross_entropy(model.logits(hidden).flatten(0, 1), batch[:, 1:].flatten(), ignore_index=-1)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return float(loss.detach())
