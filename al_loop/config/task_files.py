"""Loading the configs of tasks beside campaigns, such as learning an energy, with a schema of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from al_loop.config.check import check_parts
from al_loop.config.import_path import add_to_path
from al_loop.config.interpret import interpret
from al_loop.config.load import read_content_with_places
from al_loop.config.locations import KeyPath, Locations
from al_loop.config.messages import messages
from al_loop.config.plugins import Part
from al_loop.config.space_defaults import with_space_defaults
from al_loop.errors import ConfigError

Schema = TypeVar("Schema", bound=BaseModel)
#: config -> section (a key of ``plugins.ROOMS``), part and key path of each of its parts
PartsOf = Callable[[Any], Iterable[tuple[str, Part, KeyPath]]]


def load_task(
    path: str | Path,
    overrides: Sequence[str],
    schema: type[Schema],
    parts_of: PartsOf,
    adapt: Callable[[dict[str, Any]], dict[str, Any]] = lambda content: content,
) -> Schema:
    """Read and validate the YAML config of a task, and add its folder to the import path for ``target:`` modules.

    Args:
        path: the YAML file.
        overrides: items of the form ``a.b=value``, with the value in YAML.
        schema: the model of the whole config.
        parts_of: lists the parts of a config, each of which is checked.
        adapt: returns the content without what the task does not use, such as the oracle of a campaign's config.

    Raises:
        ConfigError: the config is invalid; the message gives file, line, key, value and remedy, one line per error.
    """
    path = Path(path)
    content, lines, origins = read_content_with_places(path, overrides)
    add_to_path((str(path.resolve().parent), str(Path.cwd())))
    return parse_task(adapt(content), schema, parts_of, Locations(str(path), lines, origins), path.absolute().parent)


_KEY = re.compile(r"([A-Za-z_][\w.]*): ")  # how an error about a value of a config begins


@contextmanager
def naming_places(path: str | Path, overrides: Sequence[str]) -> Iterator[None]:
    """Add the file and line of a key to each line of a ``ConfigError`` that begins with the key and lacks them.

    For errors that are found after the config was loaded, such as those of parts that do not fit the data.

    Args:
        path: the YAML file.
        overrides: items of the form ``a.b=value``, with the value in YAML.

    Raises:
        ConfigError: that of the body.
    """
    try:
        yield
    except ConfigError as error:
        _, lines, origins = read_content_with_places(Path(path), overrides)
        locations = Locations(str(path), lines, origins)
        raise ConfigError("\n".join(_with_place(line, locations) for line in str(error).splitlines())) from error


def _with_place(line: str, locations: Locations) -> str:
    found = _KEY.match(line)
    if found is None or Path(found[1]).exists():  # it may be about a file, such as latent.csv
        return line
    key: KeyPath = tuple(int(part) if part.isdigit() else part for part in found[1].split("."))
    is_known = key[:1] in {path[:1] for path in (*locations.lines, *locations.overrides)}
    place = locations.describe(key)
    return f"{line} {place}" if is_known and not line.endswith(place) else line


def parse_task(
    content: Mapping[str, Any],
    schema: type[Schema],
    parts_of: PartsOf,
    locations: Locations | None = None,
    folder: Path | None = None,
) -> Schema:
    """Validate the config of a task that is already a mapping.

    Args:
        content: sections and keys as in a config file.
        schema: the model of the whole config.
        parts_of: lists the parts of a config, each of which is checked.
        locations: where each key was set, for the messages.
        folder: the folder to which relative paths refer; None: the working directory.

    Raises:
        ConfigError: the config is invalid; one line per error.
    """
    content, locations = interpret(content, locations or Locations(), folder, schema)
    if "environment" in schema.model_fields:  # the same blocks as a campaign with this config
        sampler = content.get("sampler")
        environment = with_space_defaults({"environment": content.get("environment"), "sampler": sampler})[0]
        content = {**content, "environment": environment["environment"]}
    try:
        config = schema.model_validate(content)
    except ValidationError as error:
        raise ConfigError("\n".join(messages(error.errors(), content, schema, (), locations))) from None
    check_parts(parts_of(config), locations)
    return config
