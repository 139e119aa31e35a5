"""Text from plain and compressed files. Requires only the standard library."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from al_loop.errors import ConfigError, summary

_DECOMPRESS: Mapping[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
    ".bz2": bz2.decompress,
}


@dataclass(frozen=True)
class TextFile:
    """The content of a text file.

    Args:
        text: the decompressed text, without a byte-order mark.
        suffix: the file's suffix in lower case, such as ``.csv``, without a compression suffix; may be empty.
        digest: SHA-256 of the decompressed content, in hexadecimal digits.
    """

    text: str
    suffix: str
    digest: str


def read_text(path: Path, name: str | None = None) -> TextFile:
    """Read a text file in UTF-8, decompressed if it ends in ``.gz``, ``.xz`` or ``.bz2``.

    Args:
        path: the file.
        name: name of the file in messages; None: its path.

    Raises:
        ConfigError: the file cannot be read, is corrupt or is not text.
    """
    suffixes = [suffix.casefold() for suffix in path.suffixes]
    try:
        content = path.read_bytes()
        if suffixes and suffixes[-1] in _DECOMPRESS:
            content = _DECOMPRESS[suffixes.pop()](content)
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        reason = "it is not UTF-8 text; save a spreadsheet as 'CSV UTF-8'"
        raise ConfigError(f"cannot read {name or path}: {reason}") from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error, ValueError) as error:
        reason = getattr(error, "strerror", None) or summary(error)
        raise ConfigError(f"cannot read {name or path}: {reason}") from None
    return TextFile(text, suffixes[-1] if suffixes else "", hashlib.sha256(content).hexdigest())
