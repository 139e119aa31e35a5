"""Sequences as a reader sees them: an alignment, and how often each letter is at each place."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

GAP = "-"
_MATCH, _MISMATCH, _GAP_COST = 2, -1, -2
_LONGEST = 400  # letters of a sequence that is aligned


def align(sequences: Sequence[str]) -> list[str]:
    """Return sequences with gaps, all of the same length, each aligned with the first (Needleman and Wunsch 1970).

    Sequences of one length are returned as they are. A letter for which the first sequence has no place opens a gap in
    the others. Above 400 letters, gaps are added at the end alone.

    Args:
        sequences: at least one.
    """
    if len({len(s) for s in sequences}) == 1 or max(map(len, sequences)) > _LONGEST:
        longest = max(map(len, sequences))
        return [s.ljust(longest, GAP) for s in sequences]
    reference = sequences[0]
    pairs = [_pair(reference, s) for s in sequences]
    # the most letters that any sequence inserts before each letter of the reference, and after the last
    widths = [max(len(inserted[i]) for inserted, _ in pairs) for i in range(len(reference) + 1)]
    rows = []
    for inserted, letters in pairs:
        row = [part.ljust(width, GAP) for part, width in zip(inserted, widths, strict=True)]
        rows.append("".join(part + letter for part, letter in zip(row, [*letters, ""], strict=True)))
    return rows


def _pair(a: str, b: str) -> tuple[list[str], list[str]]:
    """Return what b inserts before each letter of a (and at the end), and its letter or a gap at each letter of a."""
    score = [[_GAP_COST * j for j in range(len(b) + 1)]]
    for i in range(1, len(a) + 1):
        row = [_GAP_COST * i]
        for j in range(1, len(b) + 1):
            same = score[i - 1][j - 1] + (_MATCH if a[i - 1] == b[j - 1] else _MISMATCH)
            row.append(max(same, score[i - 1][j] + _GAP_COST, row[j - 1] + _GAP_COST))
        score.append(row)
    inserted, letters = [""] * (len(a) + 1), [GAP] * len(a)
    i, j = len(a), len(b)
    while i or j:
        if i and j and score[i][j] == score[i - 1][j - 1] + (_MATCH if a[i - 1] == b[j - 1] else _MISMATCH):
            letters[i - 1] = b[j - 1]
            i, j = i - 1, j - 1
        elif i and score[i][j] == score[i - 1][j] + _GAP_COST:
            i -= 1
        else:
            inserted[i] = b[j - 1] + inserted[i]
            j -= 1
    return inserted, letters


def logo(aligned: Sequence[str]) -> list[list[tuple[str, float]]]:
    """Return the letters at each place with their heights in bits, tallest first (Schneider and Stephens 1990).

    The heights at a place add up to its information: log2 of the number of letters less the entropy, so that a place
    where all sequences agree is tall. No correction for few sequences is made.

    Args:
        aligned: sequences of one length.
    """
    letters = {letter for s in aligned for letter in s} - {GAP}
    most = math.log2(max(len(letters), 2))
    places = []
    for column in zip(*aligned, strict=True):
        counts = Counter(letter for letter in column if letter != GAP)
        total = sum(counts.values())
        shares = {letter: n / total for letter, n in counts.items()}
        entropy = -sum(p * math.log2(p) for p in shares.values())
        information = max(most - entropy, 0.0) * total / len(column)
        places.append([(letter, p * information) for letter, p in sorted(shares.items(), key=lambda e: (-e[1], e[0]))])
    return places
