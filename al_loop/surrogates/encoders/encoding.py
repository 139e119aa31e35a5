"""The choice of the encoder for a layout of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from al_loop.features.row_layout import GraphLayout, Layout, SequenceLayout
from al_loop.surrogates.encoders.base import Trunk
from al_loop.surrogates.encoders.convolution import Convolution, StrandConvolution
from al_loop.surrogates.encoders.graph import MessagePassing
from al_loop.surrogates.encoders.perceptron import Perceptron
from al_loop.surrogates.encoders.reverse_complement import reverse_complement
from al_loop.surrogates.encoders.transformer import Transformer

Kind = Literal["auto", "mlp", "cnn", "transformer", "graph"]


class _Form(NamedTuple):
    """A form of networks, the layout that it requires, and the features that have it."""

    form: Callable[..., Trunk]
    needs: type
    features: str


_FORMS = {
    "cnn": _Form(Convolution, SequenceLayout, "one_hot"),
    "transformer": _Form(Transformer, SequenceLayout, "one_hot"),
    "graph": _Form(MessagePassing, GraphLayout, "graph"),
}


class Encoding:
    """The encoder for rows of a layout.

    Args:
        encoder: its kind; ``auto`` is cnn on sequences, graph on molecules as graphs, else mlp.
        layout: structure of the rows; None: plain vectors.
        reverse_complement: whether a DNA or RNA word and its reverse complement are the same object.

    Raises:
        ValueError: the encoder does not support such rows.
    """

    def __init__(self, encoder: Kind, layout: Layout | None, reverse_complement: bool) -> None:
        self.layout = layout
        natural = {SequenceLayout: "cnn", GraphLayout: "graph"}.get(type(layout), "mlp")
        self.kind = natural if encoder == "auto" else encoder
        if self.kind in _FORMS and not isinstance(layout, _FORMS[self.kind].needs):
            raise ValueError(
                f"surrogate.encoder: {encoder!r} requires the features {_FORMS[self.kind].features}; set "
                "features.kind, or use the encoder mlp"
            )
        if reverse_complement and not (isinstance(layout, SequenceLayout) and layout.complements):
            raise ValueError(
                "surrogate.reverse_complement: true requires the features one_hot with the alphabet A, C, G and T "
                "(or U); remove it"
            )
        self.is_tied = reverse_complement

    def trunk(
        self, X: Tensor, n_members: int, hidden: int, n_layers: int, generator: torch.Generator
    ) -> tuple[Trunk, float]:
        """Return networks for rows like X, and the root mean square of the rows' norms.

        Args:
            X: n x d example rows.
            n_members: number of networks.
            hidden: units of a layer.
            n_layers: hidden layers.
            generator: of the weights.

        Raises:
            ValueError: the rows do not have the columns of the layout.
        """
        norm = float(X.double().square().sum(-1).mean().sqrt()) or 1.0
        if self.layout is not None and X.shape[1] != self.layout.d:
            raise ValueError(f"X must have the {self.layout.d} columns of {self.layout}, got {X.shape[1]}")
        if self.kind == "mlp":
            return Perceptron(X.shape[1], norm, n_members, hidden, n_layers, generator), norm
        form = StrandConvolution if self.is_tied and self.kind == "cnn" else _FORMS[self.kind].form
        return form(self.layout, n_members, hidden, n_layers, generator), norm  # type: ignore[arg-type]

    def n_flat(self, X: Tensor) -> int:
        """Return the number of columns for kernels: those before a graph."""
        return self.layout.n_bits if isinstance(self.layout, GraphLayout) else X.shape[1]

    def inputs_of(self, trunk: Trunk, inputs: Tensor) -> list[Tensor]:
        """Return the rows whose encodings by a trunk are averaged: both strands, unless it sees both itself."""
        return [inputs] if trunk.sees_strands else self.strands(inputs)

    def strands(self, inputs: Tensor) -> list[Tensor]:
        """Return the rows, and those of the reverse complements if these are the same objects."""
        if not self.is_tied:
            return [inputs]
        assert isinstance(self.layout, SequenceLayout)
        return [inputs, reverse_complement(inputs, self.layout)]
