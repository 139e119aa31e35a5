"""Vocabularies of patterns: blocks, which of their sites may be bonded, and the file in which they are stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from al_loop.datafiles.text_files import read_content
from al_loop.environments.fragments.blocks import SHIPPED_VOCABULARY, Block
from al_loop.errors import ConfigError

_DATA = SHIPPED_VOCABULARY.parent
_FORMAT = "al-loop vocabulary 2"
#: the 72 blocks of earlier versions, with sites that may remain free
BENGIO_72 = "bengio72"
#: the vocabulary of a new config that names none
DEFAULT_VOCABULARY = "zinc"
#: included vocabularies by name
NAMED_VOCABULARIES = {
    BENGIO_72: SHIPPED_VOCABULARY,
    "zinc_small": _DATA / "zinc-300.json.xz",
    DEFAULT_VOCABULARY: _DATA / "zinc-1000.json.xz",
    "zinc_large": _DATA / "zinc-3000.json.xz",
}


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """A vocabulary of patterns, all of whose sites have to be bonded.

    Args:
        blocks: the blocks, the most frequent first.
        counts: number of molecules of the source with each block.
        joins: pairs of classes of sites that may be bonded, with the number of such bonds in the source; a class that
            may be bonded to itself is a set of one.
        source: facts about the file that it was made from, such as its name and the number of molecules.
    """

    blocks: tuple[Block, ...]
    counts: tuple[int, ...]
    joins: Mapping[frozenset[str], int]
    source: Mapping[str, Any]

    @property
    def classes(self) -> list[str]:
        """The classes of sites, in alphabetical order."""
        return sorted({name for block in self.blocks for name in block.classes})

    def to_bytes(self) -> bytes:
        """Return the content of the vocabulary's file."""
        classes = sorted({*self.classes, *(name for pair in self.joins for name in pair)})
        pairs = sorted((sorted(pair)[0], sorted(pair)[-1], count) for pair, count in self.joins.items())
        body: dict[str, Any] = {
            "classes": classes,
            "joins": [[classes.index(a), classes.index(b), count] for a, b, count in pairs],
            "blocks": [_row(block, n, classes) for block, n in zip(self.blocks, self.counts, strict=True)],
        }
        head = {"format": _FORMAT, "source": dict(self.source), "n_blocks": len(self.blocks), "sha256": _digest(body)}
        rows = ",\n".join(_compact(row) for row in body.pop("blocks"))
        text = f'{_compact({**head, **body})[:-1]},\n"blocks":[\n{rows}\n]}}\n'
        return text.encode()


def vocabulary_path(vocabulary: str) -> Path:
    """Return the file of a vocabulary that is given by its name or its path.

    Raises:
        ValueError: it is neither the name of an included vocabulary nor the path of a file.
    """
    if vocabulary in NAMED_VOCABULARIES:
        return NAMED_VOCABULARIES[vocabulary]
    path = Path(vocabulary)
    if not path.is_file() and len(path.parts) == 1 and not path.suffix:
        near = get_close_matches(vocabulary, NAMED_VOCABULARIES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        names = ", ".join(NAMED_VOCABULARIES)
        raise ValueError(f"vocabulary: {vocabulary!r} is neither a file nor one of {names}{hint}")
    return path


def read_vocabulary(vocabulary: str | None) -> Vocabulary | None:
    """Return a vocabulary of patterns, or None if the file lists blocks of the earlier kind.

    Args:
        vocabulary: a name or a path; None: the blocks of earlier versions.

    Raises:
        ValueError: the file cannot be read, is not a vocabulary, or was changed.
    """
    path = vocabulary_path(vocabulary or BENGIO_72)
    return None if path == SHIPPED_VOCABULARY else _read(path, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=8)
def _read(path: Path, changed: int) -> Vocabulary | None:
    try:
        content = json.loads(read_content(path).text())
    except ConfigError as error:
        raise ValueError(f"vocabulary: {error}") from None
    except ValueError:
        raise ValueError(f"vocabulary: {path} is not a vocabulary; make one with `al-loop vocabulary FILE`") from None
    if isinstance(content, list):
        return None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError(f"vocabulary: {path} is not a vocabulary; make one with `al-loop vocabulary FILE`")
    try:
        classes = content["classes"]
        body = {key: content[key] for key in ("classes", "joins", "blocks")}
        if _digest(body) != content["sha256"]:
            raise ValueError(
                f"vocabulary: the blocks of {path} do not match its checksum: the file was changed or is incomplete; "
                "make it again with `al-loop vocabulary`"
            )
        blocks = tuple(_block(row, classes) for row in content["blocks"])
        joins = {frozenset((classes[a], classes[b])): count for a, b, count in content["joins"]}
        return Vocabulary(blocks, tuple(row["n"] for row in content["blocks"]), joins, content["source"])
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"vocabulary: {path} lacks {error}; make it again with `al-loop vocabulary`") from None


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_compact(body).encode()).hexdigest()


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _row(block: Block, count: int, classes: Sequence[str]) -> dict[str, Any]:
    assert block.graph is not None
    row = {
        "smiles": block.smiles,
        "n": count,
        "sites": block.sites,
        "classes": [classes.index(name) for name in block.classes],
        "tokens": block.tokens,
        "symmetries": block.symmetries,
        "atoms": block.graph["atoms"],
        "bonds": block.graph["bonds"],
        "rings": block.graph["n_rings"],
    }
    return {**row, "double_bonds": block.double_bonds} if block.double_bonds else row


def _block(row: Mapping[str, Any], classes: Sequence[str]) -> Block:
    return Block(
        smiles=row["smiles"],
        is_ring=row["rings"] > 0,
        sites=row["sites"],
        classes=[classes[i] for i in row["classes"]],
        required=None,
        count=row["n"],
        n_atoms=len(row["atoms"]),
        tokens=row["tokens"],
        symmetries=row["symmetries"],
        double_bonds=tuple((a, b, c, d, bool(e)) for a, b, c, d, e in row.get("double_bonds", ())),
        graph={"atoms": row["atoms"], "bonds": row["bonds"], "n_rings": row["rings"]},
    )
