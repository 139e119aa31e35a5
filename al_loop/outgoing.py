"""Text that leaves a campaign: without secrets, and without characters that do more than be shown.

``redact`` is applied at every door: errors, notes, the terminal, logs, rows of the ledger, sinks and files of the run.
A secret is the password of a URL, the value of a query parameter, header, key or variable whose name says so, and any
text that was remembered as one. ``${NAME}`` in a config stands for an environment variable, and is only replaced where
it is used (``resolved``), so that no config holds the secret itself. Requires only the standard library.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

#: what stands for a secret
MASK: Final = "***"
_LEAST: Final = 6  # characters of a secret that is found by its text alone
_STRONG = (
    r"[\w.-]*(?:password|passwd|passphrase|secret|api[-_]?key|authorization|cookie|credentials?|access[-_]?key|"
    r"private[-_]?key|access[-_]?token|auth[-_]?token)"
)
_WEAK = r"(?:[\w.-]*[-_.])?(?:token|pwd)"
_SECRET_KEY = re.compile(rf"(?i)(?:{_STRONG}|{_WEAK}|pass|auth)(?:[-_]?(?:id|value))?")
#: what is no secret by itself: hidden wherever it stands, as the password of a test database, it would hide names
_NAME = re.compile(r"(?i)password|passwd|passphrase|secret|token|credentials?|cookie|authorization|api[-_]?key")
_SECRET_VARIABLE = re.compile(r"(?i)password|passwd|secret|credential|(?:^|_)(?:pass|pw|pwd|token|key|apikey)$")
#: mappings whose values are all secrets, but for those that plainly are not
_SECRET_MAPPINGS = ("headers", "variables", "env")
_PLAIN_VALUE = re.compile(r"[-+.\d]*|true|false|yes|no|on|off|none|null|[./~{].*|[\w-]+/[\w.+-]+|.{0,3}", re.I)
_WEB = r"(?:(?:git\+)?https?|ftp|wss?)://"
_USER_INFO = re.compile(rf"(?i)(?P<scheme>\b{_WEB})(?P<user>[^\s:/?#@\"'<>]*):(?P<password>[^\s/?#\"'<>]*)@")
_DATABASE_INFO = re.compile(  # whose passwords may hold an unquoted / or @
    rf"(?i)(?P<scheme>\b(?!{_WEB})[a-z][a-z0-9+.-]*://)(?P<user>[^\s:/?#@\"'<>]*):(?P<password>[^\s\"'<>]*)@"
)
_TOKEN_INFO = re.compile(r"(?i)(?P<scheme>\b(?:(?:git\+)?https?|ftp)://)(?P<token>[^\s:/?#@\"'<>]+)@")
_PARAMETER = re.compile(
    rf"(?i)(?P<name>[?&;](?:{_STRONG}|{_WEAK}|(?:[\w.-]*[-_.])?(?:key|sig|signature|pass|auth)))=(?P<value>[^&;\s\"'<>#]+)"
)
_ASSIGNED = re.compile(
    rf"(?i)(?P<name>(?<![\w$])[\"']?(?:{_STRONG}|{_WEAK})[\"']?\s*(?:=>|[:=])\s*)(?P<kind>(?:bearer|basic|token)\s+)?"
    r"(?P<value>\"[^\"\n]+\"|'[^'\n]+'|[^\s,;&\"'(){}\[\]]+)"
)
_BEARER = re.compile(r"(?i)\b(?P<kind>bearer|basic)\s+(?P<value>[A-Za-z0-9._~+/=-]{8,})")
_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*)\}")
#: a cheap sign that a text may hold a secret
_SIGN = re.compile(r"://|[:=]|(?i:bearer|basic)\s")
_remembered: dict[str, None] = {}


# -- secrets -----------------------------------------------------------------------------------------------------------


def remember(secret: str) -> None:
    """Remember a text as a secret, so that it is hidden wherever it appears, as it is or quoted for a URL.

    A short one, or one that is the name of a secret, such as ``password``, is hidden only where its place says so.
    """
    if len(secret) >= _LEAST and not _NAME.fullmatch(secret):
        _remembered.update({secret: None, quote(secret, safe=""): None, unquote(secret): None})


def remember_secrets_of(value: Any, key: str = "") -> None:
    """Remember all secrets of a config, or of a part of it.

    Args:
        value: mappings, lists and texts.
        key: the name of its key.
    """
    if isinstance(value, Mapping):
        for name, child in value.items():
            is_whole = key in _SECRET_MAPPINGS and isinstance(child, str) and not _PLAIN_VALUE.fullmatch(child)
            if is_whole and not _REFERENCE.search(child):
                remember(child)
            remember_secrets_of(child, str(name))
    elif isinstance(value, list | tuple):
        for child in value:
            remember_secrets_of(child, key)
    elif isinstance(value, str):
        for match in _REFERENCE.finditer(value):
            remember(os.environ.get(match[1], ""))
        for match in (m for p in (_USER_INFO, _DATABASE_INFO, _TOKEN_INFO, _PARAMETER) for m in p.finditer(value)):
            groups = match.groupdict()
            secret = str(groups.get("password") or groups.get("token") or groups.get("value") or "")
            if not _REFERENCE.search(secret):
                remember(secret)
        if _SECRET_KEY.fullmatch(key) and not _REFERENCE.search(value):
            remember(value)


def redact(text: str) -> str:
    """Return a text in which ``***`` stands for each secret; references such as ``${NAME}`` stay."""
    if _SIGN.search(text) is not None:  # first, since a secret may be a part of the names that they look for
        text = _without_marked(text)
    for secret in (*_remembered, *_secret_variables()):
        if secret in text:
            text = text.replace(secret, MASK)
    return text


def _without_marked(text: str) -> str:
    """Return a text without the secrets that their place shows."""
    for pattern in (_USER_INFO, _DATABASE_INFO):
        text = pattern.sub(lambda m: f"{m['scheme']}{m['user']}:{_masked(m['password'])}@", text)
    text = _TOKEN_INFO.sub(lambda m: f"{m['scheme']}{_masked_token(m['token'])}@", text)
    text = _PARAMETER.sub(lambda m: f"{m['name']}={_masked(m['value'])}", text)
    text = _BEARER.sub(lambda m: f"{m['kind']} {_masked(m['value'])}", text)
    return _ASSIGNED.sub(_without_value, text)


def redacted(value: Any, key: str = "") -> Any:
    """Return mappings, lists and texts without secrets; other values stay as they are.

    Args:
        value: the value.
        key: the name of its key, which may say that it is a secret.
    """
    if isinstance(value, Mapping):
        whole = key.lower() in _SECRET_MAPPINGS
        return {
            name: _masked_value(child) if whole and isinstance(child, str) else redacted(child, str(name))
            for name, child in value.items()
        }
    if isinstance(value, list | tuple):
        return [redacted(child, key) for child in value]
    if not isinstance(value, str):
        return value
    if _SECRET_KEY.fullmatch(key) and value and not _REFERENCE.fullmatch(value):
        return MASK
    return redact(value)


def resolved(text: str, *, quoted: bool = False) -> str:
    """Return a text with the values of the environment variables in it, which are remembered as secrets.

    Args:
        text: such as ``postgresql://user:${PASSWORD}@host/database``.
        quoted: whether the values become part of a URL, and are quoted for it.

    Raises:
        ValueError: a variable is not set, or the text is a recorded one, whose secrets were not recorded.
    """

    def value_of(match: re.Match[str]) -> str:
        value = os.environ.get(match[1])
        if value is None:
            raise ValueError(f"the environment variable {match[1]} is not set; set it for ${{{match[1]}}}")
        remember(value)
        return quote(value, safe="") if quoted else value

    if _is_masked(text):
        raise ValueError(
            "its secret was not recorded; pass the config file to al-loop run, with ${NAME} in place of the secret"
        )
    return _REFERENCE.sub(value_of, text)


def resolved_all(value: Any, key: str = "") -> Any:
    """Return mappings, lists and texts with the values of environment variables; programs and their scripts stay.

    Args:
        value: the value.
        key: the name of its key.

    Raises:
        ValueError: as ``resolved``.
    """
    if isinstance(value, Mapping):
        return {name: resolved_all(child, str(name)) for name, child in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(resolved_all(child, key) for child in value)
    return resolved(value) if isinstance(value, str) and key != "command" else value


def _is_masked(text: str) -> bool:
    return text == MASK or re.search(r"(?:[:=]|//)\*\*\*(?:@|&|;|$)", text) is not None


def _secret_variables() -> list[str]:
    found = [value for name, value in os.environ.items() if _SECRET_VARIABLE.search(name)]
    plain = ("/", "~", ".")
    return [v for v in found if len(v) >= _LEAST and not v.startswith(plain) and not _NAME.fullmatch(v)]


def _masked(secret: str) -> str:
    return secret if _REFERENCE.fullmatch(secret) or not secret else MASK


def _masked_token(token: str) -> str:
    """Return the user's name of a URL without password, unless it looks like a token."""
    return _masked(token) if len(token) >= 16 and re.search(r"\d", token) else token


def _masked_value(value: str) -> str:
    return value if _PLAIN_VALUE.fullmatch(value) or _REFERENCE.search(value) else MASK


def _without_value(match: re.Match[str]) -> str:
    value = match["value"]
    bare = value.strip("\"'")
    if _REFERENCE.search(bare) or bare.lower() in ("none", "null", "true", "false", "***") or bare.isdigit():
        return match[0]
    quotes = value[0] if value[0] in "\"'" else ""
    return f"{match['name']}{match['kind'] or ''}{quotes}{MASK}{quotes}"


# -- characters --------------------------------------------------------------------------------------------------------

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|[ -/]*[0-~])")
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
#: control characters, and those that turn the direction of writing or end a line unseen
_UNSEEN = r"\x80-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufff9-\ufffb"
_CONTROLS = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f{_UNSEEN}]")
#: what a progress display does not use: commands for the title, the clipboard and links of a terminal
_NOT_CURSOR = re.compile(rf"\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|[{_UNSEEN}]")


def printable(text: str) -> str:
    """Return a text without escape sequences, and ``written_out``."""
    return written_out(_ESCAPES.sub("", text.replace("\r\n", "\n")))


def written_out(text: str) -> str:
    """Return a text with control characters in hexadecimal digits, such as backslash x1b for the one of a colour.

    Line feeds and tabs stay.
    """
    return _CONTROLS.sub(_in_digits, text)


def written_out_all(value: Any) -> Any:
    """Return mappings, lists and texts with all texts ``written_out``; other values stay as they are."""
    if isinstance(value, str):
        return written_out(value)
    if isinstance(value, Mapping):
        return {written_out(k) if isinstance(k, str) else k: written_out_all(child) for k, child in value.items()}
    return [written_out_all(child) for child in value] if isinstance(value, list | tuple) else value


def one_line(text: str) -> str:
    """Return a text in one line: ``printable``, with line feeds written out, so that it cannot fake a line."""
    return printable(text).replace("\n", "\\n").replace("\t", " ")


def styled(text: str, *, has_cursor: bool = False) -> str:
    """Return a text as a terminal may get it: with the sequences of colours, and no others.

    Args:
        text: the text.
        has_cursor: whether sequences that move the cursor are ours, as those of a progress display.
    """
    if _CONTROLS.search(text) is None:
        return text
    if has_cursor:
        return _NOT_CURSOR.sub("", text)
    parts = _STYLE.split(text)
    styles = _STYLE.findall(text)
    return "".join(printable(part) + style for part, style in zip(parts, [*styles, ""], strict=True))


def shortened(text: str, longest: int) -> str:
    """Return a text of at most about ``longest`` characters, which says how many were left out."""
    if len(text) <= longest:
        return text
    head = longest * 3 // 4
    return f"{text[:head]} ... {len(text) - longest:,} characters left out ... {text[head - longest :]}"


def _in_digits(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
