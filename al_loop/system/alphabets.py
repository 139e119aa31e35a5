"""Alphabets by name, and what their letters mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: alphabets by name; the names are recognised in upper and lower case
ALPHABETS = {"dna": "ACGT", "rna": "ACGU", "protein": "ACDEFGHIKLMNPQRSTVWY"}


def letters_of(alphabet: str | list[str]) -> str | list[str]:
    """Return the letters of an alphabet, which may be given by name: ``dna``, ``rna`` or ``protein``.

    Args:
        alphabet: a name, the letters as a text, or a list of letters.

    Raises:
        ValueError: there is no letter, or one is empty or occurs twice.
    """
    if isinstance(alphabet, str) and alphabet.lower() in ALPHABETS:
        return ALPHABETS[alphabet.lower()]
    letters = list(alphabet)
    twice = sorted({letter for letter in letters if letters.count(letter) > 1})
    if twice or not letters or "" in letters:
        fault = f" ({twice[0]!r} may occur only once)" if twice else ""
        raise ValueError(
            f"alphabet: {alphabet!r} must contain at least one letter, none empty and none twice{fault}, or be one of "
            f"the names {', '.join(ALPHABETS)}"
        )
    return alphabet


def as_text(letters: Sequence[str] | None) -> Sequence[str] | None:
    """Return letters of one character each as one text, and others as they are."""
    return "".join(letters) if letters and all(len(letter) == 1 for letter in letters) else letters


def are_nucleotides(alphabet: Sequence[str]) -> bool:
    """Return whether all letters of an alphabet are nucleotides (A, C, G, T, U, or N for any), in any case."""
    return all(letter.upper() in ("A", "C", "G", "T", "U", "N") for letter in alphabet)


def codes_of(words: Sequence[str], alphabet: str, length: int) -> NDArray[np.int64] | None:
    """Return the positions in the alphabet of the letters of words: n x length, followed by the alphabet's length.

    Args:
        words: n words.
        alphabet: letters of one character each, each once.
        length: the length of the longest word.

    Returns:
        The codes; None if a word is longer, or has a letter outside the alphabet.
    """
    import numpy as np

    sizes = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
    characters = np.frombuffer("".join(words).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    points = [ord(letter) for letter in alphabet]
    table = np.full(max(points) + 2, -1)
    table[points] = np.arange(len(points))
    letters = table[np.minimum(characters, max(points) + 1)]
    if (sizes > length).any() or (letters < 0).any():
        return None
    codes = np.full((len(words), length), len(alphabet))
    codes[np.arange(length) < sizes[:, None]] = letters
    return codes
