"""The error of a molecule that is not in the space, with its reason."""

from __future__ import annotations


class NotInSpaceError(ValueError):
    """A molecule is not in the space.

    Args:
        smiles: the molecule.
        reason: why, in a few words that are the same for molecules of a kind.
        detail: the block or the number that is missing, or an empty text.
        hint: what can be made in its place, or an empty text.
    """

    def __init__(self, smiles: str, reason: str, detail: str = "", hint: str = "") -> None:
        super().__init__(f"{smiles!r} is not in the space: {reason}{detail and ': '}{detail}{hint and '; '}{hint}")
        self.reason, self.detail = reason, detail
