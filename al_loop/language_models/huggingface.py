"""Causal language models of Hugging Face: a folder, an id of the hub, or a GGUF file."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from al_loop.errors import ConfigError, summary
from al_loop.language_models.base import FrozenFile, LanguageModel, Memory
from al_loop.language_models.tokenizers import Tokenizer

#: endings of the attention layers' names in the families of models
_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "c_attn", "query_key_value", "out_proj", "Wqkv")
_WEIGHTS = ("*.safetensors", "*.bin")


def _require(package: str) -> Any:
    """Import a package of the extra ``language``.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError:
        raise ConfigError(f"model: this requires the package {package}; pip install 'al-loop[language]'") from None


class _HuggingFaceTokens(Tokenizer):
    """A tokenizer of Hugging Face.

    Tokenizers in the manner of SentencePiece put a space before a text that begins, and drop it in decoding. A
    continuation does not begin: it is encoded and decoded after a short text, whose tokens are removed.
    """

    def __init__(self, tokenizer: Any, size: int, end: int | None) -> None:
        self._tokenizer, self.size = tokenizer, size
        end = tokenizer.eos_token_id if end is None else end
        if end is None:
            raise ConfigError("model: its tokenizer has no token that ends a text")
        self.end = int(end)
        # a vocabulary may be padded with ids that are no tokens
        unused = set(range(size)) - set(tokenizer.get_vocab().values())
        self.special = frozenset(unused | {int(token) for token in tokenizer.all_special_ids})
        self._start = [] if tokenizer.bos_token_id is None else [int(tokenizer.bos_token_id)]
        # the text after which a continuation stands; empty where a tokenizer treats it like a text that begins
        self._before = next((text for text in ("\n", ",", ".", "a", "1") if self._marks_begin(text)), "")
        self._before_tokens = self._encode_whole(self._before) if self._before else []
        self._decoded_before = self._decode_whole(self._before_tokens) if self._before else ""

    def _marks_begin(self, before: str) -> bool:
        """Return whether a text is encoded otherwise where it follows another one, whose tokens stay the same."""
        alone, text = self._encode_whole(before), "b2"
        whole = self._encode_whole(before + text)
        return whole[: len(alone)] == alone and whole[len(alone) :] != self._encode_whole(text)

    def _encode_whole(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def _decode_whole(self, tokens: Sequence[int]) -> str:
        kept = [token for token in tokens if token not in self.special]
        return str(self._tokenizer.decode(kept, clean_up_tokenization_spaces=False))

    def encode(self, text: str) -> list[int]:
        whole, n = self._encode_whole(self._before + text), len(self._before_tokens)
        return whole[n:] if whole[:n] == self._before_tokens else self._encode_whole(text)

    def decode(self, tokens: Sequence[int]) -> str:
        whole = self._decode_whole([*self._before_tokens, *tokens])
        if whole.startswith(self._decoded_before):
            return whole[len(self._decoded_before) :]
        return self._decode_whole(tokens)

    def decode_prompt(self, tokens: Sequence[int]) -> str:
        return self._decode_whole(tokens)

    def encode_prompt(self, text: str) -> list[int]:
        # the tokenizer's own way, which puts a start before the text where the model expects one
        tokens = list(self._tokenizer.encode(text)) or self._start
        if not tokens:
            raise ValueError("a prompt is empty, and the model has no token that stands before a text")
        return tokens


class _HuggingFaceMemory(Memory):
    """A cache of keys and values, and which of its places are tokens."""

    def __init__(self, cache: Any, is_token: Tensor) -> None:
        self.cache, self.is_token = cache, is_token

    def pick(self, rows: Tensor) -> _HuggingFaceMemory:
        cache = _require("transformers").DynamicCache()
        for number, layer in enumerate(self.cache.layers):
            cache.update(layer.keys[rows], layer.values[rows], number)
        return _HuggingFaceMemory(cache, self.is_token[rows])


class HuggingFaceModel(LanguageModel):
    """A causal language model of the transformers library.

    Args:
        model: the model with its head, such as an ``AutoModelForCausalLM``.
        tokenizer: its tokenizer.
        file: the identity of its weights.
    """

    def __init__(self, model: Any, tokenizer: Any, file: FrozenFile | None = None) -> None:
        super().__init__()
        self._model, self.file = model, file
        config = model.config.get_text_config()
        self.width = int(self.head.in_features)
        self.context = getattr(config, "max_position_embeddings", None)
        self.tokenizer = _HuggingFaceTokens(tokenizer, int(config.vocab_size), None)
        parameters = inspect.signature(model.base_model.forward).parameters
        kinds = set(getattr(config, "layer_types", None) or ())
        has_cache = bool({"cache", "past_key_values"} & set(parameters))
        if not has_cache or "linear_attention" in kinds or not all(kind.endswith("attention") for kind in kinds):
            raise ConfigError(
                f"model: {config.model_type} has layers that are not attention, whose memory cannot be shared among "
                "continuations; use a model of attention layers alone, such as Llama or GPT-2"
            )
        self._takes_positions = "position_ids" in parameters
        self._cache_name = "cache" if "cache" in parameters else "past_key_values"  # renamed in 5.x
        names = {name.rpartition(".")[2] for name, layer in model.base_model.named_modules() if _is_linear(layer)}
        self.adapter_targets = tuple(sorted(names & set(_ATTENTION))) or tuple(sorted(names))
        # functions of the logits in the families Gemma, Cohere and Granite
        self._softcap = getattr(config, "final_logit_softcapping", None)
        self._factor = float(getattr(config, "logit_scale", None) or 1) / float(
            getattr(config, "logits_scaling", None) or 1
        )

    @property
    def head(self) -> nn.Linear:
        return cast("nn.Linear", self._model.get_output_embeddings())

    def adjust(self, logits: Tensor) -> Tensor:
        logits = logits if self._factor == 1 else logits * self._factor
        return logits if self._softcap is None else self._softcap * torch.tanh(logits / self._softcap)

    def read_prompts(self, tokens: Tensor, is_token: Tensor) -> tuple[Memory, Tensor]:
        memory = _HuggingFaceMemory(_require("transformers").DynamicCache(), is_token[:, :0])
        return memory, self._read(memory, tokens, is_token)[:, -1]

    def read(self, memory: Memory, tokens: Tensor) -> Tensor:
        assert isinstance(memory, _HuggingFaceMemory)
        return self._read(memory, tokens, torch.ones_like(tokens, dtype=torch.bool))

    def _read(self, memory: _HuggingFaceMemory, tokens: Tensor, is_token: Tensor) -> Tensor:
        memory.is_token = torch.cat([memory.is_token, is_token], 1)
        extra: dict[str, Any] = {}
        if self._takes_positions:
            positions = (memory.is_token.long().cumsum(1) - 1).clamp(min=0)
            extra["position_ids"] = positions[:, -tokens.shape[1] :]
        output = self._model.base_model(
            input_ids=tokens,
            attention_mask=memory.is_token.long(),
            use_cache=True,
            **{self._cache_name: memory.cache},
            **extra,
        )
        hidden: Tensor = output.last_hidden_state
        return hidden.float()


def _is_linear(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear) or type(layer).__name__ == "Conv1D"


def load_gguf(path: Path, name: str, dtype: torch.dtype) -> HuggingFaceModel:
    """Return the model of a GGUF file, with its weights dequantised.

    Args:
        path: the file.
        name: the name by which the user asked for it.
        dtype: dtype of the weights.

    Raises:
        ConfigError: a package is missing, or the file cannot be read.
    """
    _require("gguf")
    return _load(path.parent, FrozenFile.of(name, [path]), dtype, gguf_file=path.name)


def load_folder(path: Path, name: str, dtype: torch.dtype) -> HuggingFaceModel:
    """Return the model of a folder with a ``config.json``.

    Args:
        path: the folder.
        name: the name by which the user asked for it.
        dtype: dtype of the weights.

    Raises:
        ConfigError: a package is missing, or the folder has no model.
    """
    files = sorted(file for pattern in _WEIGHTS for file in path.glob(pattern))
    if not files:
        raise ConfigError(f"model: the folder {path} has no weights; expected {' or '.join(_WEIGHTS)}")
    return _load(path, FrozenFile.of(name, files), dtype)


def load_from_hub(name: str, dtype: torch.dtype) -> HuggingFaceModel:
    """Return a model of the hub, from its local cache if it is there.

    Args:
        name: the model's id, such as ``HuggingFaceTB/SmolLM2-135M``.
        dtype: dtype of the weights.

    Raises:
        ConfigError: a package is missing, or the model cannot be downloaded.
    """
    _require("transformers")
    hub = _require("huggingface_hub")
    try:
        try:
            folder = hub.snapshot_download(name, local_files_only=True)
        except Exception:  # not in the cache
            folder = hub.snapshot_download(name)
    except Exception as error:  # whatever a network or the hub may raise
        raise ConfigError(
            f"model: {name!r} is neither a file, a folder nor an installed model, and cannot be downloaded from "
            f"Hugging Face: {summary(error):.200}"
        ) from None
    return load_folder(Path(folder), name, dtype)


def _load(folder: Path, file: FrozenFile, dtype: torch.dtype, **source: str) -> HuggingFaceModel:
    transformers = _require("transformers")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        # a bar of its own for the tensors of a GGUF file
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **source)
            model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **source)
    except Exception as error:  # whatever a damaged file causes
        raise ConfigError(f"model: cannot load {file.name}: {summary(error):.300}") from None
    return HuggingFaceModel(model.eval(), tokenizer, file)
