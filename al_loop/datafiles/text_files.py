"""Content of plain and compressed files, as bytes and as text. Requires only the standard library."""

from __future__ import annotations

import bz2
import codecs
import gzip
import hashlib
import lzma
import re
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
#: the beginning of a file -> its encoding
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: characters that text does not contain
_CONTROL = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


@dataclass(frozen=True)
class FileContent:
    """The content of a file.

    Args:
        name: the file as the user named it, for messages.
        content: the decompressed content.
        suffix: the file's suffix in lower case, such as ``.csv``, without a compression suffix; may be empty.
    """

    name: str
    content: bytes
    suffix: str

    @property
    def digest(self) -> str:
        """SHA-256 of the content, in hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()

    def text(self) -> str:
        """Return the content as text without a byte-order mark.

        The text may be in UTF-8, UTF-16, or the Latin-1 of spreadsheets (Windows-1252).

        Raises:
            ConfigError: it is not text.
        """
        encodings = [encoding for mark, encoding in _MARKS if self.content.startswith(mark)]
        if not encodings and b"\0" in self.content[:2]:  # an ASCII letter in UTF-16 without a mark
            encodings = ["utf-16-be" if self.content[:1] == b"\0" else "utf-16-le"]
        for encoding in encodings[:1] or ("utf-8", "cp1252"):
            try:
                text = self.content.decode(encoding)
            except UnicodeDecodeError:
                continue
            if not _CONTROL.search(text):
                return text
        raise ConfigError(f"cannot read {self.name}: it is not UTF-8 text; save a spreadsheet as 'CSV UTF-8'")

    def lines(self) -> list[str]:
        """Return the lines of the text, which end in line feeds or carriage returns alone.

        ``str.splitlines`` also splits at characters that texts and JSON contain, such as U+2028.

        Raises:
            ConfigError: it is not text.
        """
        return self.text().replace("\r\n", "\n").replace("\r", "\n").split("\n")


def read_content(path: Path, name: str | None = None) -> FileContent:
    """Read a file, decompressed if it ends in ``.gz``, ``.xz`` or ``.bz2``.

    Args:
        path: the file.
        name: name of the file in messages; None: its path.

    Raises:
        ConfigError: the file cannot be read or is corrupt.
    """
    suffixes = [suffix.casefold() for suffix in path.suffixes]
    try:
        content = path.read_bytes()
        if suffixes and suffixes[-1] in _DECOMPRESS:
            content = _DECOMPRESS[suffixes.pop()](content)
    except (OSError, EOFError, lzma.LZMAError, zlib.error, ValueError) as error:
        reason = getattr(error, "strerror", None) or summary(error)
        raise ConfigError(f"cannot read {name or path}: {reason}") from None
    return FileContent(name or str(path), content, suffixes[-1] if suffixes else "")
