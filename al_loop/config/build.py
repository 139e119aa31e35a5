"""Construction of a part from its config arguments and the values that the campaign supplies."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import ValidationError

from al_loop.config.arguments import arguments_model
from al_loop.config.given import GivenPart
from al_loop.config.messages import messages
from al_loop.config.plugins import ADAPTERS, Part, load_target
from al_loop.errors import AlLoopError, ConfigError
from al_loop.oracles.base import Oracle
from al_loop.outgoing import resolved_all
from al_loop.system.tracebacks import describe_with_place

#: config section -> the values of a BuildContext that its parts may receive
SUPPLIED: Mapping[str, tuple[str, ...]] = {
    "energy": ("environment", "features"),
    "evolution": ("alphabet",),
    "features": ("alphabet", "length"),
    "property": ("alphabet", "lengths", "seeds"),
    "policy": ("environment", "hidden", "layers", "heads", "n_conditions"),
    "surrogate": ("kernel", "layout", "n_fidelities"),
}
#: the function that builds an oracle from a Python object, see ``GivenPart``
_GIVEN_ADAPTER = "al_loop.oracles.wrap:oracle_from_given"


@dataclass(frozen=True, kw_only=True)
class BuildContext:
    """Values that a campaign supplies to the constructors of its parts.

    A constructor receives each value that ``SUPPLIED`` lists for its section if it has a parameter of that name, the
    value is not None, and the config does not set it. Every other parameter comes from the config or has its own
    default.

    Args:
        alphabet: for features, properties and evolution: the letters of the environment's sequences.
        length: for features: the length of the environment's longest sequence.
        lengths: for properties: the lengths of its shortest and its longest sequence.
        kernel: for surrogates: the kernel that suits the features.
        layout: for surrogates: the layout of a feature row, which encoders require (a ``RowLayout``).
        n_fidelities: for surrogates: the number of fidelities that the campaign chooses among.
        environment: for policies: the environment whose actions the policy chooses; for energies: the space of objects.
        features: for energies: what describes the objects.
        hidden: for policies: width of a layer.
        layers: for policies: number of layers.
        heads: for policies: members of an ensemble of policies.
        n_conditions: for policies: length of the condition vector.
        seeds: for properties: the objects from which the campaign starts.
    """

    alphabet: Sequence[str] | None = None
    length: int | None = None
    lengths: tuple[int, int] | None = None
    kernel: str | None = None
    layout: Any = None
    n_fidelities: int | None = None
    environment: Any = None
    features: Any = None
    hidden: int | None = None
    layers: int | None = None
    heads: int | None = None
    n_conditions: int | None = None
    seeds: Sequence[str] | None = None

    def values_for(self, section: str) -> dict[str, Any]:
        """Return the values for the parts of a section, by name."""
        values = {name: getattr(self, name) for name in SUPPLIED.get(section, ())}
        return {name: value for name, value in values.items() if value is not None}


def supplied_arguments(section: str, factory: Any, context: BuildContext) -> dict[str, Any]:
    """Return the arguments that the campaign supplies to a constructor.

    Args:
        section: the config section.
        factory: the class of the part.
        context: the values that the campaign can supply.
    """
    parameters = inspect.signature(factory).parameters
    return {name: value for name, value in context.values_for(section).items() if name in parameters}


def adapter_for(section: str, part: Part, factory: Any) -> Callable[..., Any] | None:
    """Return the function that builds a part from a user's function or foreign class, or None if none is needed.

    The adapter is called with the factory and the part's arguments, which it checks itself.

    Args:
        section: the config section.
        part: the part as the config names it.
        factory: the class or function that the part names.
    """
    if isinstance(part, GivenPart):
        adapter: Callable[..., Any] = load_target(_GIVEN_ADAPTER)
        return adapter
    is_our_class = part.kind is not None and inspect.isclass(factory) and issubclass(factory, Oracle)
    return None if section not in ADAPTERS or is_our_class else load_target(ADAPTERS[section])


def has_constructor(oracle: Any) -> bool:
    """Return whether an oracle's factory is a class of a user with a constructor, which may do anything at any cost."""
    is_theirs = isinstance(oracle, type) and not oracle.__module__.startswith("al_loop.")
    return is_theirs and oracle.__init__ is not object.__init__


def build(section: str, part: Part, context: BuildContext | None = None) -> Any:
    """Build a part, after checking and converting its arguments by its constructor's signature.

    Args:
        section: the config section, a key of ``plugins.ROOMS``.
        part: the part as the config names it.
        context: the values that the campaign supplies to constructors with a parameter for them.

    Raises:
        ConfigError: an argument is unknown, missing, has the wrong type, or is rejected by the part.
    """
    factory = part.factory(section)
    adapt = adapter_for(section, part, factory)
    if adapt is not None:
        return _construct(part, partial(adapt, factory), part.arguments)
    arguments = supplied_arguments(section, factory, context or BuildContext()) | part.arguments
    try:
        checked = (model := arguments_model(factory)).model_validate(arguments)
    except ValidationError as error:
        raise ConfigError("; ".join(messages(error.errors(), arguments, model))) from None
    return _construct(part, factory, {name: getattr(checked, name) for name in arguments})


def _construct(part: Part, factory: Any, arguments: Mapping[str, Any]) -> Any:
    """Call a constructor; a user's own may raise anything, and a built-in one a ValueError about its arguments."""
    try:
        return factory(**resolved_all(arguments))
    except AlLoopError:
        raise
    except ValueError as error:  # how a constructor refuses an argument
        raise ConfigError(str(error) or describe_with_place(error)) from error
    except (Exception, SystemExit) as error:
        if part.target is None:
            raise
        raise ConfigError(f"{part.target!r} cannot be built: {describe_with_place(error)}") from error
