"""Similarity of the objects of a run, without its features, so that it needs neither torch nor the user's code."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from al_loop.analysis.molecules import fingerprints, parse
from al_loop.analysis.object_kinds import ObjectType

Similarities = NDArray[np.float32]

#: what the similarity of each type of objects is, for captions
MEANING = {
    "molecule": "Tanimoto similarity of Morgan fingerprints (radius 2)",
    "sequence": "share of equal letters; of words of three letters where lengths differ",
    "other": "Jaccard similarity of the words of three letters",
}


def bits(objects: Sequence[str], object_type: ObjectType) -> NDArray[np.float32]:
    """Return a row of 0 and 1 for each object, whose Jaccard similarity is that of the objects.

    Args:
        objects: the objects, n.
        object_type: what they are.
    """
    if object_type == "molecule":
        return fingerprints(parse(objects))
    lengths = {len(name) for name in objects}
    if object_type == "sequence" and len(lengths) == 1:
        words = [[f"{i}{letter}" for i, letter in enumerate(name)] for name in objects]
    else:
        words = [[f"^{name}$"[i : i + 3] for i in range(max(len(name), 1))] for name in objects]
    index = {word: i for i, word in enumerate(dict.fromkeys(word for row in words for word in row))}
    rows = np.zeros((len(objects), max(len(index), 1)), dtype=np.float32)
    for row, of_object in zip(rows, words, strict=True):
        row[[index[word] for word in of_object]] = 1
    return rows


def similarities(objects: Sequence[str], object_type: ObjectType) -> Similarities:
    """Return the similarity of all pairs of objects, n x n, from 0 to 1.

    Args:
        objects: the objects, n.
        object_type: what they are.
    """
    rows = bits(objects, object_type)
    common = rows @ rows.T
    if object_type == "sequence" and len({len(name) for name in objects}) == 1:
        return np.asarray(common / max(len(objects[0]), 1), dtype=np.float32)
    sizes = rows.sum(axis=1)
    union = sizes[:, None] + sizes[None, :] - common
    table = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    np.fill_diagonal(table, 1.0)
    return np.asarray(table, dtype=np.float32)
