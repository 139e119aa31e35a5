"""Several kinds of features side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from al_loop.config import BuildContext, Part, build
from al_loop.features.base import Features, check_rows
from al_loop.features.molecules.graphs import MolecularGraphs


class Joined(Features):
    """Several kinds of features side by side, each with its own kernel; the kernels are added or multiplied.

    Under a sum objects are similar if any of the kernels finds them similar (by substructures, or by size and
    polarity), under a product only if all of them do. On docking scores of Enamine10k a sum of Morgan fingerprints and
    descriptors finds more of the best molecules than either (benchmarks/campaign/pool.py).

    Args:
        parts: e.g. ``[{kind: morgan}, {kind: descriptors}]``.
        combine: whether to add or to multiply the kernels.
        alphabet: of sequences; passed on to the parts.
        length: of sequences; passed on to the parts.
    """

    kind = "joined"

    def __init__(
        self,
        parts: Annotated[Sequence[Part], Field(min_length=1)],
        combine: Literal["sum", "product"] = "sum",
        alphabet: str | None = None,
        length: int | None = None,
    ) -> None:
        super().__init__()
        context = BuildContext(alphabet=alphabet, length=length)
        self.parts: tuple[Features, ...] = tuple(build("features", part, context) for part in parts)
        kinds = {part.object_type for part in self.parts} - {None}
        if len(kinds) > 1:
            raise ValueError(
                f"features.parts: one describes {'s, another '.join(sorted(map(str, kinds)))}s; join one kind"
            )
        self.object_type = next(iter(kinds), None)  # type: ignore[misc]
        ends = [sum(part.d for part in self.parts[: i + 1]) for i in range(len(self.parts))]
        self._blocks = [slice(end - part.d, end) for end, part in zip(ends, self.parts, strict=True)]
        blocks = zip(self.parts, self._blocks, strict=True)
        terms = [_within(part.kernel, block.start, block.stop) for part, block in blocks]
        self.kernel = (" + " if combine == "sum" else " * ").join(terms)  # type: ignore[misc]

    @property
    def d(self) -> int:
        return sum(part.d for part in self.parts)

    def __call__(self, objects: Sequence[str]) -> Tensor:
        """Return the features of n objects: n x d, float64. The parts cache them, each in its own number type."""
        return check_rows(self.compute(objects), len(objects), self.d)

    def remember(self, objects: Sequence[str]) -> None:
        for part in self.parts:
            part.remember(objects)

    def knows(self, name: str) -> bool:
        return all(part.knows(name) for part in self.parts)

    def export_rows(self, objects: Sequence[str]) -> Any:
        return [part.export_rows(objects) for part in self.parts]

    def import_rows(self, objects: Sequence[str], rows: Any) -> None:
        for part, own in zip(self.parts, rows, strict=True):
            part.import_rows(objects, own)

    def refit(self, objects: Sequence[str], values: Sequence[float], seed: int) -> None:
        for part in self.parts:
            part.refit(objects, values, seed)

    def compute(self, objects: Sequence[str]) -> Tensor:
        """Return the parts' features side by side: n x d."""
        return torch.cat([part(objects) for part in self.parts], dim=1)

    def of_graphs(self, graphs: MolecularGraphs) -> Tensor | None:
        rows = [part.of_graphs(graphs) for part in self.parts]
        described = [row.double() for row in rows if row is not None]
        return torch.cat(described, dim=1) if len(described) == len(rows) else None

    def similarity(self, X1: Tensor, X2: Tensor) -> Tensor:
        """Return the similarity under the first part's features: n1 x n2."""
        return self.parts[0].similarity(X1[:, self._blocks[0]], X2[:, self._blocks[0]])


def _within(kernel: str, start: int, stop: int) -> str:
    """Return the expression of a kernel on the columns from ``start`` to ``stop``."""
    if not kernel.isidentifier():
        raise ValueError(
            f"features.parts: the kernel {kernel!r} of a part is more than a name; list its parts here instead"
        )
    return f"{kernel}[{start}:{stop}]"
