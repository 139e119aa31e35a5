"""A part that is given as a Python object, rather than named in a config; it travels to other processes by value."""

from __future__ import annotations

import hashlib
import inspect
import site
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Self

from al_loop.config.plugins import Part
from al_loop.errors import ConfigError, summary


class GivenPart(Part):
    """A function, class or object of the user, such as one that was defined in a cell of a notebook.

    Its ``target`` names it in the ledger. It is pickled by value, so that worker processes and other machines need not
    import the module or notebook that it comes from.
    """

    _content: bytes = b""
    _code: str = ""

    @classmethod
    def of(cls, thing: Any, **arguments: Any) -> Self:
        """Return the part of an object.

        Args:
            thing: the function, class or object.
            arguments: arguments of the part, as JSON types.

        Raises:
            ConfigError: it refers to something that cannot be sent to another process.
        """
        named = thing if hasattr(thing, "__qualname__") else type(thing)  # an object or a functools.partial
        part = cls(target=f"{named.__module__}:{named.__qualname__}", **arguments)
        part._content, part._code = _pickled(thing), _code_of(thing)
        return part

    @property
    def code(self) -> str:
        """A hash of the code of the object; empty if its code is not to be found."""
        return self._code

    @property
    def content_hash(self) -> str:
        """A hash of the object with everything that it refers to, such as the variables of a closure."""
        return hashlib.sha256(self._content).hexdigest()

    def factory(self, section: str) -> Any:
        return _unpickled(self._content)


@lru_cache(maxsize=8)
def _unpickled(content: bytes) -> Any:
    import cloudpickle

    return cloudpickle.loads(content)


def _pickled(thing: Any) -> bytes:
    """Return an object by value together with the module of the user in which it is defined."""
    import cloudpickle

    try:
        with _by_value(inspect.getmodule(thing if hasattr(thing, "__qualname__") else type(thing))):
            content: bytes = cloudpickle.dumps(thing)
    except Exception:  # something else in the module cannot be sent; perhaps it can be imported instead
        try:
            content = cloudpickle.dumps(thing)
        except Exception as error:
            raise ConfigError(
                f"oracle: {thing!r:.80} cannot be sent to the processes that call it ({summary(error)}); "
                "open files, connections and models inside the function, or in the constructor of a class"
            ) from error
    return content


@contextmanager
def _by_value(module: ModuleType | None) -> Iterator[None]:
    """Let objects of a user's own module be pickled by value; those of installed packages are imported."""
    import cloudpickle

    if module is None or not _is_users(module) or module.__name__ in cloudpickle.list_registry_pickle_by_value():
        yield
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _is_users(module: ModuleType) -> bool:
    path = getattr(module, "__file__", None)
    if path is None or module.__name__ == "__main__" or module.__name__ not in sys.modules:
        return False
    folders = [sysconfig.get_path("stdlib"), sysconfig.get_path("platlib"), sysconfig.get_path("purelib")]
    folders += [*site.getsitepackages(), str(Path(__file__).parents[1])]
    return not any(Path(path).resolve().is_relative_to(Path(folder).resolve()) for folder in folders)


def _code_of(thing: Any) -> str:
    """Return a hash of an object's source, or of its compiled code; '' if neither is to be found."""
    named = inspect.unwrap(thing if hasattr(thing, "__qualname__") else type(thing))
    digest = hashlib.sha256()
    try:
        digest.update(inspect.getsource(named).encode())
    except (OSError, TypeError):
        if not inspect.isfunction(named):
            return ""
        _add_code(digest, named.__code__)
    return digest.hexdigest()


def _add_code(digest: Any, code: CodeType) -> None:
    """Add what a function does, but not where it is defined."""
    digest.update(code.co_code)
    digest.update(repr(code.co_names).encode())
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _add_code(digest, constant)
        else:
            digest.update(repr(constant).encode())
