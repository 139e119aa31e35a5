"""Commented configs to start from, which are part of the installed package."""

from __future__ import annotations

import re
from pathlib import Path

import al_loop
from al_loop.errors import ConfigError, not_one_of

#: the templates, the first ones first in messages
TEMPLATES = ("quickstart", "lab", "pool", "peptides", "analogues")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def template_text(name: str) -> str:
    """Return the text of a template, or of one of the shipped configs.

    Raises:
        ConfigError: there is none of this name.
    """
    data = Path(al_loop.__file__).parent / "data"
    for folder in ("templates", "configs"):
        path = data / folder / f"{name}.yaml"
        if _NAME.fullmatch(name) and path.is_file():
            return path.read_text(encoding="utf-8")
    shipped = sorted(path.stem for path in (data / "configs").glob("*.yaml") if path.stem not in TEMPLATES)
    names = [*TEMPLATES, *shipped]
    raise ConfigError(f"--from: {not_one_of(name, names)}")


def write_template(name: str, path: Path, *, is_replacing: bool = False) -> Path:
    """Write a template to a file, with the file's name as the name of the campaign.

    Args:
        name: the template.
        path: the file.
        is_replacing: whether to replace a file that is there.

    Returns:
        The path of the file.

    Raises:
        ConfigError: there is no such template, or the file is there or cannot be written.
    """
    text = template_text(name)
    if _NAME.fullmatch(path.stem):
        text = re.sub(r"^name: .*$", f'name: "{path.stem}"', text, count=1, flags=re.MULTILINE)
        text = text.replace("FILE", str(path)).replace(f"runs/{name}", f"runs/{path.stem}")
    try:
        with path.open("w" if is_replacing else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path}: is there already; choose another name, or add --force to replace it") from None
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
    return path
