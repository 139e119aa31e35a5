"""Marks of the config keys whose texts are paths, for annotations of constructors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class FilePath:
    """A mark in an annotation: the text is the path of a file or folder.

    Args:
        may_be_name: whether a text without a folder and an extension may be something else, such as a shipped table.
    """

    may_be_name: bool = False


@dataclass(frozen=True)
class HerePath:
    """A mark in an annotation: ``{here}`` in the text means the folder of the config."""


#: a text that is the path of a file or folder
PathText = Annotated[str, FilePath()]
#: a text that is the path of a file, or the name of something that al-loop brings along
PathOrName = Annotated[str, FilePath(may_be_name=True)]
#: a text in which ``{here}`` means the folder of the config
TextWithHere = Annotated[str, HerePath()]
