"""A client for HTTP services: POST requests with retries, polling, a total time limit and a secret token."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from al_loop.errors import ConfigError
from al_loop.oracles._io.deadline import Deadline
from al_loop.oracles.base import FailureKind, OracleError

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session

_MAX_ANSWER_BYTES = 64_000_000
_CONNECT_TIMEOUT_S = 30.0
_PAUSE_S, _MAX_PAUSE_S = 0.5, 30.0
_MAX_REDIRECTS = 5
_MAX_REASON_CHARS = 300  # of the service's own error message
_MIN_SECRET_CHARS = 8  # a shorter text may occur in an answer by chance
#: temporary errors. 409: the first request with this key is still being processed (section 2.7 of the draft)
_TEMPORARY = (408, 409, 425, 429)
#: of these and of server errors, those that concern the service and not the objects
_DOWN = (429, 502, 503, 504)
#: the service rejects this request, whatever the time
_REFUSED = (400, 413, 422)
#: server errors that are not temporary
_UNSUPPORTED = (501, 505)


class _TryAgainError(Exception):
    """A failed attempt after which another one may succeed.

    Args:
        reason: one sentence for the user.
        wait_s: seconds that the service asks to wait before the next attempt; None if it does not.
        is_down: whether the service would not have answered for any other objects either.
    """

    def __init__(self, reason: str, wait_s: float | None = None, *, is_down: bool = False) -> None:
        super().__init__(reason)
        self.wait_s, self.is_down = wait_s, is_down


class RefusedError(OracleError):
    """The service refused this request: 400, 413 or 422."""


@dataclass(frozen=True)
class _Step:
    """The next request, and the seconds to wait before it (0 after a redirection)."""

    method: str
    url: str
    wait_s: float = 0.0


@dataclass(frozen=True)
class Service:
    """An HTTP service: address, token, time limit and retries; see ``al_loop.oracles.http`` for the fields.

    The retry loop is our own, since urllib3's supports neither a time limit over all attempts nor a retry after an
    answer that breaks off.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    token_variable: str | None = None
    token_header: str = "Authorization"
    timeout_s: float = 300.0
    attempts: int = 5
    poll_s: float = 2.0

    def check(self) -> None:
        """Verify that the token and the HTTP library are there; nothing is sent.

        Raises:
            ConfigError: one of them is missing.
        """
        _requests()
        self._token()

    def post(self, body: bytes, key: str) -> bytes:
        """Post a JSON body and return the content of the answer.

        Args:
            body: the JSON document.
            key: the idempotency key, the same in each attempt.

        Raises:
            RefusedError: the service refuses this body.
            OracleError: the service gave no answer; the error states the kind of failure.
        """
        jitter = random.Random()  # no result depends on it, and no seeded generator is advanced
        timed_out = OracleError("timeout", f"the service gave no answer within {self.timeout_s:g} s (timeout_s)")
        deadline = time.monotonic() + self.timeout_s
        step, n_failed, n_redirects = _Step("POST", self.url), 0, 0
        with _requests().Session() as session, Deadline(session, deadline) as limit:
            while True:
                try:
                    reply = self._request(session, step, body, key, deadline)
                except OracleError:
                    if limit.is_over:  # what arrived was cut off
                        raise timed_out from None
                    raise
                except _TryAgainError as error:
                    if limit.is_over:
                        raise timed_out from None
                    n_failed += 1
                    pause = min(_PAUSE_S * 2 ** (n_failed - 1), _MAX_PAUSE_S) * jitter.uniform(0.5, 1)
                    wait_s = pause if error.wait_s is None else error.wait_s
                    reason, kind = self._hide(str(error)), _kind_of(error)
                    if n_failed == self.attempts:
                        raise OracleError(kind, f"{reason} (attempt {n_failed} of {self.attempts})") from None
                    if time.monotonic() + wait_s >= deadline:
                        raise OracleError(
                            kind, f"{reason} (the next attempt, in {wait_s:.0f} s, would be beyond timeout_s)"
                        ) from None
                else:
                    if limit.is_over:
                        raise timed_out
                    if isinstance(reply, bytes):
                        return reply
                    n_redirects += reply.wait_s == 0
                    if n_redirects > _MAX_REDIRECTS:
                        raise OracleError("permanent", f"the service redirects more than {_MAX_REDIRECTS} times")
                    if reply.wait_s:
                        n_failed = 0  # the job is in progress
                    step, wait_s = reply, reply.wait_s
                time.sleep(min(wait_s, max(deadline - time.monotonic(), 0)))
                if time.monotonic() >= deadline:
                    raise timed_out

    def _request(self, session: Session, step: _Step, body: bytes, key: str, deadline: float) -> bytes | _Step:
        """Send one request; return the answer or the next request, or raise _TryAgainError or OracleError."""
        post_headers = (
            {"Content-Type": "application/json", "Idempotency-Key": _structured(key)} if step.method == "POST" else {}
        )
        remaining_s = max(deadline - time.monotonic(), 0.001)
        with self._translated_errors():
            response = session.request(
                step.method,
                step.url,
                data=body if step.method == "POST" else None,
                headers={"Accept": "application/json", "Accept-Encoding": "identity", **self.headers, **post_headers},
                auth=self._authentication(),
                timeout=(min(_CONNECT_TIMEOUT_S, remaining_s), remaining_s),
                allow_redirects=False,
                stream=True,
            )
            with response:
                return self._interpret(response, step, deadline)

    def _interpret(self, response: Response, step: _Step, deadline: float) -> bytes | _Step:
        """Return the content of a response or the next request, by its status, or raise as ``_request`` does."""
        status, location = response.status_code, response.headers.get("Location")
        if status == 202 and (location or step.method == "GET"):
            wait_s = _retry_after(response)
            url = self._same_server(step.url, location) if location else step.url
            return _Step("GET", url, self.poll_s if wait_s is None else max(wait_s, 0.01))
        if status in (303, 307, 308) and location:
            return _Step("GET" if status == 303 else step.method, self._same_server(step.url, location))
        content = self._content(response, deadline)
        if 200 <= status < 300:
            return content
        message = content.decode("utf-8", "replace").strip()[:_MAX_REASON_CHARS]
        reason = f"the service answered {status} {response.reason or ''}".rstrip() + (f": {message}" if message else "")
        if status in (401, 403):
            remedy = (
                f"check the secret in the environment variable {self.token_variable} where the worker runs"
                if self.token_variable
                else "name the environment variable with the service's secret in token_variable"
            )
            raise OracleError("environment" if status == 401 else "permanent", f"{reason}; {remedy}")
        if status in _TEMPORARY or (status >= 500 and status not in _UNSUPPORTED):
            raise _TryAgainError(reason, _retry_after(response), is_down=status in _DOWN)
        if status in _REFUSED:
            raise RefusedError("invalid", reason)
        if location:
            raise OracleError("environment", f"{reason}, to {self._hide(location)}; change url")
        raise OracleError("permanent", reason)

    def _content(self, response: Response, deadline: float) -> bytes:
        content = bytearray()
        while chunk := response.raw.read1(1 << 16, decode_content=True):
            content += chunk
            if len(content) > _MAX_ANSWER_BYTES:
                raise OracleError("permanent", f"the answer is longer than {_MAX_ANSWER_BYTES / 1e6:g} MB")
            if time.monotonic() >= deadline:  # the answer may trickle in, so that no single read times out
                raise OracleError(
                    "timeout", f"the service did not finish its answer within {self.timeout_s:g} s (timeout_s)"
                )
        return self._without_token(bytes(content))

    def _same_server(self, url: str, location: str) -> str:
        """Return the absolute address of a redirection, or raise OracleError if it leads to another server."""
        target = urljoin(url, location)
        if _server(target) != _server(url):
            raise OracleError(
                "environment",
                f"the service redirects to another server, {_server(target)}; if that is correct, change url",
            )
        return target

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Translate errors of requests and urllib3 to OracleError and _TryAgainError."""
        import urllib3.exceptions as urllib3_errors

        requests_errors = _requests().exceptions
        timed_out = OracleError("timeout", f"the service gave no answer within {self.timeout_s:g} s (timeout_s)")
        server = _server(self.url)
        try:
            yield
        except (requests_errors.SSLError, urllib3_errors.SSLError) as error:
            raise OracleError(
                "environment", f"cannot establish a trusted connection to {server}: {_cause(error)}"
            ) from None
        except requests_errors.ConnectTimeout:
            raise _TryAgainError(f"{server} does not answer", is_down=True) from None
        except (requests_errors.Timeout, urllib3_errors.TimeoutError):
            raise timed_out from None
        except (requests_errors.ConnectionError, urllib3_errors.HTTPError, ConnectionError) as error:
            is_down = isinstance(_reason(error), urllib3_errors.NewConnectionError)
            raise _TryAgainError(f"the connection to {server} failed: {_cause(error)}", is_down=is_down) from None
        except requests_errors.RequestException as error:
            raise OracleError("permanent", f"the request cannot be sent: {type(error).__name__}") from None

    def _token(self) -> str | None:
        if self.token_variable is None:
            return None
        token = os.environ.get(self.token_variable, "").strip()
        if not token:
            raise ConfigError(
                f"token_variable: the environment variable {self.token_variable} is not set; "
                f"set it to the service's token (export {self.token_variable}=...)"
            )
        if not (token.isascii() and token.isprintable()):
            raise ConfigError(
                f"token_variable: the environment variable {self.token_variable} contains characters that an HTTP "
                "header does not allow; expected printable ASCII"
            )
        return token

    def _authentication(self) -> Callable[[PreparedRequest], PreparedRequest]:
        """Return a function that adds the token to a request.

        Used without a token too: otherwise requests would look for a password in ~/.netrc.
        """
        try:
            token = self._token()
        except ConfigError as error:  # it was set when the campaign was checked, perhaps on another machine
            raise OracleError("environment", str(error)) from None

        def sign(request: PreparedRequest) -> PreparedRequest:
            if token:
                is_bearer = self.token_header.lower() == "authorization"
                request.headers[self.token_header] = f"Bearer {token}" if is_bearer else token
            return request

        return sign

    def _hide(self, text: str) -> str:
        """Shorten a text and remove the token, since a service may repeat what it was sent."""
        return self._without_token(text.encode()).decode("utf-8", "replace")[:_MAX_REASON_CHARS]

    def _without_token(self, content: bytes) -> bytes:
        token = os.environ.get(self.token_variable or "", "").strip().encode()
        return content.replace(token, b"***") if len(token) >= _MIN_SECRET_CHARS else content


def _requests() -> Any:
    try:
        import requests
    except ModuleNotFoundError:
        raise ConfigError('oracle.kind http needs the library requests: pip install "requests>=2.32"') from None
    return requests


def _structured(key: str) -> str:
    """Format a key as a structured string (RFC 8941, 3.3.3): printable ASCII in quotation marks; others are hashed."""
    if not (key.isascii() and key.isprintable()):
        key = hashlib.sha256(key.encode()).hexdigest()
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _server(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}:{port}"


def _retry_after(response: Response) -> float | None:
    """Return the seconds that the service asks to wait (RFC 9110, 10.2.3: a number or a date), or None."""
    header = response.headers.get("Retry-After", "").strip()
    if header.isdecimal():
        return float(header[:9])
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max((date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0)


def _cause(error: Exception) -> str:
    """Return the underlying cause without the address, whose query may contain a secret."""
    return f"{_reason(error)}"[:_MAX_REASON_CHARS]


def _reason(error: Exception) -> object:
    """Return what an exception of requests or urllib3 was raised from."""
    cause: object = error.args[0] if error.args else error
    return getattr(cause, "reason", cause)


def _kind_of(error: _TryAgainError) -> FailureKind:
    return "unavailable" if error.is_down else "retryable"
