"""The contract of surrogates for deep kernels on sequences and on molecules."""

from typing import ClassVar

import numpy as np
import pytest
import torch

from al_loop.features.graph import Graph
from al_loop.features.one_hot import OneHot
from al_loop.surrogates.deep_kernel import DeepKernel
from al_loop.surrogates.testing import SurrogateContract

_KINDS = pytest.mark.parametrize("kind", ["ucb", "log_ei", "qlogei", "knowledge_gradient"])


class TestConvolutional(SurrogateContract):
    features: ClassVar[OneHot] = OneHot("ACGT", 8)
    d: ClassVar[int] = features.d

    def make(self) -> DeepKernel:
        return DeepKernel(
            kernel="hamming", encoder="cnn", layout=self.features.layout, hidden=16, latent=32, max_epochs=20
        )

    def rows(self, n: int, seed: int = 0) -> torch.Tensor:
        letters = np.random.default_rng(seed).integers(0, 3, (n, 8))
        return self.features(["".join("ACG"[i] for i in word) for word in letters])

    def strange_rows(self, n: int) -> torch.Tensor:
        return self.features(["TTTTTTTT"] * n)

    @_KINDS
    def test_acquisitions_work_on_it_with_and_without_pending_rows(self, surrogate: DeepKernel, kind: str) -> None:
        super().test_acquisitions_work_on_it_with_and_without_pending_rows(surrogate, kind)


class TestGraph(SurrogateContract):
    features: ClassVar[Graph] = Graph(max_atoms=30, n_bits=64)
    d: ClassVar[int] = features.d

    def make(self) -> DeepKernel:
        return DeepKernel(
            kernel="tanimoto", encoder="graph", layout=self.features.layout, hidden=16, latent=32, max_epochs=20
        )

    def rows(self, n: int, seed: int = 0) -> torch.Tensor:
        parts = ["C", "N", "O", "C(C)", "C(=O)", "c1ccccc1", "C(O)"]
        chains = np.random.default_rng(seed).integers(0, len(parts), (n, 3))
        return self.features(["C" + "".join(parts[i] if i != 5 else "C(c1ccccc1)" for i in chain) for chain in chains])

    def strange_rows(self, n: int) -> torch.Tensor:
        return self.features(["FC(F)(F)S(=O)(=O)Br"] * n)

    @_KINDS
    def test_acquisitions_work_on_it_with_and_without_pending_rows(self, surrogate: DeepKernel, kind: str) -> None:
        super().test_acquisitions_work_on_it_with_and_without_pending_rows(surrogate, kind)
