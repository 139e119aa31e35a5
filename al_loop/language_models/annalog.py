r"""The SMILES-to-analogues transformer of the package annalog (MIT), written anew for its published weights.

An encoder reads a molecule, and a causal decoder writes an analogue of it. The vocabulary is a list here, since the
package has it as a pickle, which could run any code.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import torch
from torch import Tensor, nn

from al_loop.errors import ConfigError
from al_loop.language_models.attention import Attention, KeysAndValues
from al_loop.language_models.base import FrozenFile, LanguageModel, Memory
from al_loop.language_models.tokenizers import ListedTokens

SHA256 = "9e22e755b5d47da3c678bc19073e4f4af12ae061c91a7e5382cea67e30fad97b"
_TOKENS = (  # noqa: SIM905
    r"<unk> <pad> <sos> <eos> c C ( ) 1 O 2 = N 3 n 4 F - [C@H] [C@@H] Cl / S [nH] 5 o s [C@] # [C@@] Br \ [O-] [N+] 6 "
    r"[n+] [S+] 7 [N-] [C-] [O] [s+] [S@+] . 8 [S@@+] [o+] [n-] [N@@+] [N@] [N@@] [N@+] [S@@] [S@] 9 [C+] %10 %11 %12"
).split()
_WIDTH, _LAYERS, _HEADS, _INNER, _PLACES = 256, 3, 8, 512, 102
#: the package's names of the layers -> ours
_NAMES = (
    (r"fc_q", "query"),
    (r"fc_k", "key"),
    (r"fc_v", "value"),
    (r"fc_o", "mix"),
    (r"self_attention", "own"),
    (r"encoder_attention", "cross"),
    (r"self_attn_layer_norm", "own_norm"),
    (r"enc_attn_layer_norm", "cross_norm"),
    (r"ff_layer_norm", "think_norm"),
    (r"positionwise_feedforward\.fc_1", "think.0"),
    (r"positionwise_feedforward\.fc_2", "think.2"),
    (r"tok_embedding", "embedding"),
    (r"pos_embedding", "position"),
    (r"decoder\.fc_out", "output"),
)


class _Layer(nn.Module):
    """A transformer layer, normalised after each part."""

    def __init__(self, is_decoder: bool) -> None:
        super().__init__()
        self.own, self.own_norm = Attention(_WIDTH, _HEADS), nn.LayerNorm(_WIDTH)
        if is_decoder:
            self.cross, self.cross_norm = Attention(_WIDTH, _HEADS), nn.LayerNorm(_WIDTH)
        self.think = nn.Sequential(nn.Linear(_WIDTH, _INNER), nn.ReLU(), nn.Linear(_INNER, _WIDTH))
        self.think_norm = nn.LayerNorm(_WIDTH)


class _Half(nn.Module):
    """The encoder or the decoder."""

    def __init__(self, is_decoder: bool) -> None:
        super().__init__()
        self.embedding, self.position = nn.Embedding(len(_TOKENS), _WIDTH), nn.Embedding(_PLACES, _WIDTH)
        self.layers = nn.ModuleList([_Layer(is_decoder) for _ in range(_LAYERS)])

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        x: Tensor = self.embedding(tokens) * math.sqrt(_WIDTH) + self.position(positions)
        return x


class Annalog(LanguageModel):
    """The model of the package annalog: a molecule is the prompt, an analogue of it the continuation."""

    object_type = "molecule"
    adapter_targets = ("query", "key", "value", "mix")

    def __init__(self) -> None:
        super().__init__()
        self.tokenizer = ListedTokens(
            _TOKENS, start="<sos>", end="<eos>", special=["<unk>", "<pad>"], ends_prompts=True
        )
        self._start = _TOKENS.index("<sos>")
        self.width, self.max_prompt, self.max_tokens = _WIDTH, _PLACES, _PLACES - 1
        self.encoder, self.decoder = _Half(is_decoder=False), _Half(is_decoder=True)
        self.output = nn.Linear(_WIDTH, len(_TOKENS))

    @property
    def head(self) -> nn.Linear:
        return self.output

    def read_prompts(self, tokens: Tensor, is_token: Tensor) -> tuple[Memory, Tensor]:
        positions = (is_token.long().cumsum(1) - 1).clamp(min=0)
        x = self.encoder.embed(tokens, positions)
        mask = is_token[:, None, None]
        for layer in self.encoder.layers:
            assert isinstance(layer, _Layer)
            x = layer.own_norm(x + layer.own(x, *layer.own.keys_and_values(x), mask))
            x = layer.think_norm(x + layer.think(x))
        pairs = [layer.cross.keys_and_values(x) for layer in self.decoder.layers if isinstance(layer, _Layer)]
        memory = KeysAndValues(
            [], [], is_token[:, :0], tuple(k for k, _ in pairs), tuple(v for _, v in pairs), is_token
        )
        start = torch.full((len(tokens), 1), self._start, device=tokens.device)
        return memory, self.read(memory, start)[:, -1]

    def read(self, memory: Memory, tokens: Tensor) -> Tensor:
        assert isinstance(memory, KeysAndValues)
        assert memory.is_source is not None
        positions, mask = memory.extend(torch.ones_like(tokens, dtype=torch.bool))
        x = self.decoder.embed(tokens, positions)
        for number, layer in enumerate(self.decoder.layers):
            assert isinstance(layer, _Layer)
            x = layer.own_norm(x + layer.own.attend(x, memory, number, mask))
            source = memory.source_keys[number], memory.source_values[number]
            x = layer.cross_norm(x + layer.cross(x, *source, memory.is_source[:, None, None]))
            x = layer.think_norm(x + layer.think(x))
        return x.float()


def load_annalog(path: Path, dtype: torch.dtype) -> Annalog:
    """Return the model with its published weights.

    Args:
        path: the package's file of weights.
        dtype: dtype of the weights.

    Raises:
        ConfigError: the file is not the one that this module was written for.
    """
    file = FrozenFile.of("annalog", [path])
    if file.sha256 != SHA256:
        raise ConfigError(
            f"model: {path} has the checksum {file.sha256}, expected {SHA256}; pip install annalog==1.0.6"
        )
    weights = torch.load(path, map_location="cpu", weights_only=True)
    renamed = {}
    for name, weight in weights.items():
        for old, new in _NAMES:
            name = re.sub(rf"\b{old}\b", new, name)
        renamed[name] = weight
    model = Annalog()
    model.load_state_dict(renamed)
    model.file = file
    return model.to(dtype).eval()
