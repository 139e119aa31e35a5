"""Alphabets by name, and what their letters mean."""

from __future__ import annotations

from collections.abc import Sequence

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
