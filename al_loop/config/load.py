"""Loading a validated ``CampaignConfig`` from a YAML file and overrides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from al_loop.config.check import check_config, parts_of
from al_loop.config.given import GivenPart
from al_loop.config.import_path import add_to_path, hidden_module
from al_loop.config.interpret import interpret
from al_loop.config.locations import MAX_BYTES, KeyPath, Locations, read_yaml
from al_loop.config.messages import messages
from al_loop.config.method import resolved
from al_loop.config.overrides import apply_overrides
from al_loop.config.schema import CampaignConfig
from al_loop.config.space_defaults import with_space_defaults
from al_loop.errors import ConfigError


def load_config(
    path: str | Path,
    overrides: Sequence[str] = (),
    complete: Callable[[dict[str, Any]], dict[str, Any]] = lambda content: content,
) -> CampaignConfig:
    """Read and validate a YAML config, and add its folder to the import path for ``target:`` modules.

    Args:
        path: the YAML file.
        overrides: items of the form ``a.b=value``, with the value in YAML.
        complete: returns the content with what is not in the file, such as an oracle that is given as a function.

    Raises:
        ConfigError: the config is invalid; the message gives file, line, key, value and remedy, one line per error.
    """
    path = Path(path)
    content, lines, origins = read_content_with_places(path, overrides)
    folders = (str(path.resolve().parent), str(Path.cwd()))
    add_to_path(folders)
    locations = Locations(str(path), lines, origins)
    config = parse_config(complete(content), locations, path.absolute().parent)
    for _, part, key in parts_of(config):
        if not part.target or isinstance(part, GivenPart):
            continue
        if hidden := hidden_module(part.target.partition(":")[0], path.resolve().parent):
            raise ConfigError(f"{'.'.join(map(str, key))}.target: {hidden} {locations.describe((*key, 'target'))}")
    return config.with_folders(*folders)


def read_content(path: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read a YAML config with overrides, without validating it: its texts are those that the user wrote.

    Args:
        path: the YAML file.
        overrides: items of the form ``a.b=value``, with the value in YAML.

    Raises:
        ConfigError: the file cannot be read, or is not a mapping.
    """
    return read_content_with_places(Path(path), overrides)[0]


def read_content_with_places(
    path: Path, overrides: Sequence[str]
) -> tuple[dict[str, Any], dict[KeyPath, int], dict[KeyPath, str]]:
    """Return the content of a config, with the lines of its keys and the overrides that set them.

    Args:
        path: the YAML file.
        overrides: items of the form ``a.b=value``, with the value in YAML.

    Raises:
        ConfigError: the config cannot be read, or is not a mapping.
    """
    try:
        content, lines = read_yaml(_read_text(path))
    except ValueError as error:
        raise ConfigError(f"the config {path} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"the config {path} must be a mapping of keys to values; see configs/quickstart.yaml")
    content, origins = apply_overrides(content, overrides)
    return content, lines, origins


def parse_config(
    content: Mapping[str, Any],
    locations: Locations | None = None,
    folder: Path | None = None,
    *,
    is_recorded: bool = False,
) -> CampaignConfig:
    """Validate a config that is already a mapping.

    Args:
        content: sections and keys as in a config file.
        locations: where each key was set, for the messages.
        folder: the folder to which relative paths refer; None: the working directory.
        is_recorded: whether a run recorded it, which names the blocks and the prior of the run, unless these are those
            of earlier versions.

    Raises:
        ConfigError: the config is invalid; one line per error.
    """
    content, locations = interpret(content, locations or Locations(), folder)
    assumed: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    if not is_recorded:
        content, assumed = with_space_defaults(content)
        content, chosen = resolved(content)
    try:
        config = CampaignConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError("\n".join(messages(error.errors(), content, CampaignConfig, (), locations))) from None
    check_config(config, locations)
    return config.with_assumed(*assumed, *chosen)


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ConfigError(
                f"the config {path} has more than {MAX_BYTES:,} bytes; put a table into a file of its own"
            )
        return content.decode("utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read the config {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the config {path} is not a UTF-8 text file") from None
