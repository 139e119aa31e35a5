"""The token by which a Ray cluster recognises its users, and what to do where it is missing or wrong."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_MODE_VARIABLE, _VARIABLE, _PATH_VARIABLE = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
#: what to do without a token
REMEDY = (
    "copy ~/.ray/auth_token from the head to the same place here, or set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN to its "
    "content (on the head, `ray get-auth-token` prints it)"
)
_made: list[str] = []  # tokens of Rays that were started by this process
_SIGNS = ("authentication required", "authentication failed", "authentication token", "unauthenticated")


@dataclass(frozen=True)
class Token:
    """A token, and where it was found.

    Args:
        value: The token.
        origin: The variable or file that holds it.
    """

    value: str
    origin: str

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of requests to a job server."""
        return {"Authorization": f"Bearer {self.value}"}

    def __repr__(self) -> str:
        return f"<token of {self.origin}>"


def find_token() -> Token | None:
    """Return this machine's token, looked for where Ray looks for it; None if there is none, or tokens are disabled."""
    if os.environ.get(_MODE_VARIABLE, "").lower() == "disabled":
        return None
    if value := os.environ.get(_VARIABLE, "").strip():
        return Token(value, f"the variable {_VARIABLE}")
    path = Path(os.environ.get(_PATH_VARIABLE) or Path.home() / ".ray" / "auth_token")
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return Token(value, str(path)) if value else None


def is_refused_token(error: BaseException) -> bool:
    """Return whether a cluster asks for a token, or refuses the one that it got."""
    text = str(error).lower()
    return type(error).__name__ == "AuthenticationError" or any(sign in text for sign in _SIGNS)


def token_advice(address: str, token: Token | None) -> str:
    """Return what is wrong with a token, and what to do.

    Args:
        address: The cluster's address.
        token: The token of this machine, which the cluster refuses; None: there is none.
    """
    if os.environ.get(_MODE_VARIABLE, "").lower() == "disabled":
        return (
            f"the Ray cluster at {address} asks for a token, but here RAY_AUTH_MODE=disabled; set RAY_AUTH_MODE=token"
        )
    if token is None:
        return f"the Ray cluster at {address} asks for a token, and this machine has none; {REMEDY}"
    return f"the Ray cluster at {address} refuses the token of {token.origin}; {REMEDY}"


def use_token() -> None:
    """Have Ray use this machine's token in this process, if there is one and nothing else was chosen."""
    if _made and os.environ.get(_VARIABLE) == _made[-1]:  # of a Ray that ran here before
        del os.environ[_VARIABLE], os.environ[_MODE_VARIABLE]
        read_mode()
    if _MODE_VARIABLE in os.environ or find_token() is None:
        return
    _switch_on()


def make_token() -> None:
    """Have a Ray that is started here ask for a token: this machine's, or a new one that only its processes know.

    No token is made where ``RAY_AUTH_MODE`` says what is wanted.
    """
    if _MODE_VARIABLE in os.environ:
        read_mode()
        return
    if find_token() is None:
        _made.append(secrets.token_hex(32))
        os.environ[_VARIABLE] = _made[-1]
    _switch_on()


def _switch_on() -> None:
    os.environ[_MODE_VARIABLE] = "token"
    read_mode()


def read_mode() -> None:
    """Have Ray follow ``RAY_AUTH_MODE`` as it is now.

    Ray reads the variable once in a process, but the servers that it starts read it anew: after a change, the process
    would not be let in by a Ray of its own.
    """
    try:
        from ray._raylet import Config  # type: ignore[attr-defined]
    except ImportError:  # a Ray without tokens
        return
    Config.initialize("")
