"""A service that is asked over HTTP, until it has answered or time is up, with a secret that stays one."""

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
from al_loop.oracles.base import OracleError

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session

_LIMIT_BYTES = 64_000_000  # of an answer
_CONNECT_S = 30.0
_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_MOST_REDIRECTS = 5
_SHOWN = 300  # characters of what the service says went wrong
_SHORTEST_SECRET = 8  # what is shorter may stand in an answer by chance
#: it may answer another time. 409: the first request with this key is still being worked on (section 2.7 of the draft)
_PASSING = (408, 409, 425, 429)
#: it does not want this request, whatever the time
_REFUSED = (400, 413, 422)
_NEVER = (501, 505)


class _TryAgainError(Exception):
    """This attempt came to nothing; wait_s: how long the service asks to wait before the next one."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class RefusedError(OracleError):
    """The service does not want this request: 400, 413 or 422."""


@dataclass(frozen=True)
class _Next:
    """What to ask next."""

    method: str
    url: str
    wait_s: float = 0.0


@dataclass(frozen=True)
class Service:
    """Where requests go and how long they are tried; see ``al_loop.oracles.http`` for what each means.

    A retry loop of our own, since urllib3's knows neither a time limit for all attempts together nor an answer that
    breaks off.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    token_variable: str | None = None
    token_header: str = "Authorization"
    timeout_s: float = 300.0
    attempts: int = 5
    poll_s: float = 2.0

    def check(self) -> None:
        """Raises ConfigError where the token or the library is missing; nothing is sent."""
        _requests()
        self._token()

    def post(self, body: bytes, key: str) -> bytes:
        """The answer to a JSON body with an idempotency key.

        Raises:
            RefusedError: the service does not want this body.
            OracleError: it gave no answer, with the failure that this is.
        """
        jitter = random.Random()  # no result depends on it, and nobody's seeded generator is used up
        late = OracleError("timeout", f"the service gave no answer within {self.timeout_s:g} s")
        ends = time.monotonic() + self.timeout_s
        step, n_failed, n_redirects = _Next("POST", self.url), 0, 0
        with _requests().Session() as session:
            while True:
                try:
                    reply = self._request(session, step, body, key, ends)
                except _TryAgainError as error:
                    n_failed += 1
                    pause = min(_PAUSE_S * 2 ** (n_failed - 1), _LONGEST_PAUSE_S) * jitter.uniform(0.5, 1)
                    wait_s = pause if error.wait_s is None else error.wait_s
                    reason = self._hide(str(error))
                    if n_failed == self.attempts:
                        raise OracleError("retryable", f"{reason} (attempt {n_failed} of {n_failed})") from None
                    if time.monotonic() + wait_s >= ends:
                        raise OracleError(
                            "retryable", f"{reason} (the next attempt in {wait_s:.0f} s would be beyond timeout_s)"
                        ) from None
                else:
                    if isinstance(reply, bytes):
                        return reply
                    n_redirects += reply.wait_s == 0
                    if n_redirects > _MOST_REDIRECTS:
                        raise OracleError("permanent", f"the service redirects more than {_MOST_REDIRECTS} times")
                    if reply.wait_s:
                        n_failed = 0  # it is at work
                    step, wait_s = reply, reply.wait_s
                time.sleep(min(wait_s, max(ends - time.monotonic(), 0)))
                if time.monotonic() >= ends:
                    raise late

    def _request(self, session: Session, step: _Next, body: bytes, key: str, ends: float) -> bytes | _Next:
        """The answer, or what to ask next. _TryAgainError, OracleError: neither."""
        post = (
            {"Content-Type": "application/json", "Idempotency-Key": _structured(key)} if step.method == "POST" else {}
        )
        left = max(ends - time.monotonic(), 0.001)
        with self._faults():
            response = session.request(
                step.method,
                step.url,
                data=body if step.method == "POST" else None,
                headers={"Accept": "application/json", "Accept-Encoding": "identity", **self.headers, **post},
                auth=self._signed(),
                timeout=(min(_CONNECT_S, left), left),
                allow_redirects=False,
                stream=True,
            )
            with response:
                return self._judge(response, step, ends)

    def _judge(self, response: Response, step: _Next, ends: float) -> bytes | _Next:
        status, place = response.status_code, response.headers.get("Location")
        if status == 202 and (place or step.method == "GET"):
            asked = _retry_after(response)
            url = self._same_server(step.url, place) if place else step.url
            return _Next("GET", url, self.poll_s if asked is None else max(asked, 0.01))
        if status in (303, 307, 308) and place:
            return _Next("GET" if status == 303 else step.method, self._same_server(step.url, place))
        content = self._content(response, ends)
        if 200 <= status < 300:
            return content
        said = content.decode("utf-8", "replace").strip()[:_SHOWN]
        reason = f"the service answered {status} {response.reason or ''}".rstrip() + (f": {said}" if said else "")
        if status in (401, 403):
            remedy = (
                f"does the environment variable {self.token_variable} hold the right secret where the worker runs?"
                if self.token_variable
                else "give the name of the environment variable that holds the secret, as token_variable"
            )
            raise OracleError("permanent", f"{reason}; {remedy}")
        if status in _PASSING or (status >= 500 and status not in _NEVER):
            raise _TryAgainError(reason, _retry_after(response))
        if status in _REFUSED:
            raise RefusedError("invalid", reason)
        raise OracleError("permanent", f"{reason}, to {self._hide(place)}; change url" if place else reason)

    def _content(self, response: Response, ends: float) -> bytes:
        content = bytearray()
        while chunk := response.raw.read1(1 << 16, decode_content=True):
            content += chunk
            if len(content) > _LIMIT_BYTES:
                raise OracleError("permanent", f"the answer is longer than {_LIMIT_BYTES / 1e6:g} MB")
            if time.monotonic() >= ends:  # it may come drop by drop, so that no single read is late
                raise OracleError("timeout", f"the service did not finish its answer within {self.timeout_s:g} s")
        return self._without_token(bytes(content))

    def _same_server(self, url: str, place: str) -> str:
        target = urljoin(url, place)
        if _server(target) != _server(url):
            raise OracleError(
                "permanent", f"the service redirects to another server, {_server(target)}; if that is right, change url"
            )
        return target

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Says what the libraries' errors mean."""
        import urllib3.exceptions as below

        above = _requests().exceptions
        late = OracleError("timeout", f"the service gave no answer within {self.timeout_s:g} s")
        server = _server(self.url)
        try:
            yield
        except (above.SSLError, below.SSLError) as error:
            raise OracleError("permanent", f"no trusted connection to {server}: {_cause(error)}") from None
        except above.ConnectTimeout:
            raise _TryAgainError(f"{server} does not answer") from None
        except (above.Timeout, below.TimeoutError):
            raise late from None
        except (above.ConnectionError, below.HTTPError, ConnectionError) as error:
            raise _TryAgainError(f"the connection to {server} failed: {_cause(error)}") from None
        except above.RequestException as error:
            raise OracleError("permanent", f"no request can be made: {type(error).__name__}") from None

    def _token(self) -> str | None:
        if self.token_variable is None:
            return None
        token = os.environ.get(self.token_variable, "").strip()
        if not token:
            raise ConfigError(
                f"token_variable: the environment variable {self.token_variable} is not set; "
                f"export {self.token_variable}=... with the service's token"
            )
        if not (token.isascii() and token.isprintable()):
            raise ConfigError(
                f"token_variable: the environment variable {self.token_variable} holds characters that no header may"
            )
        return token

    def _signed(self) -> Callable[[PreparedRequest], PreparedRequest]:
        """Adds the token. Given in any case: without it, requests would look for a password in ~/.netrc."""
        try:
            token = self._token()
        except ConfigError as error:  # it was there when the campaign was checked, perhaps on another machine
            raise OracleError("permanent", str(error)) from None

        def sign(request: PreparedRequest) -> PreparedRequest:
            if token:
                bearer = self.token_header.lower() == "authorization"
                request.headers[self.token_header] = f"Bearer {token}" if bearer else token
            return request

        return sign

    def _hide(self, text: str) -> str:
        """The text, shortened, and without the token: a service may repeat what it was sent."""
        return self._without_token(text.encode()).decode("utf-8", "replace")[:_SHOWN]

    def _without_token(self, content: bytes) -> bytes:
        token = os.environ.get(self.token_variable or "", "").strip().encode()
        return content.replace(token, b"***") if len(token) >= _SHORTEST_SECRET else content


def _requests() -> Any:
    try:
        import requests
    except ModuleNotFoundError:
        raise ConfigError('oracle http needs the library requests: pip install "requests>=2.32"') from None
    return requests


def _structured(key: str) -> str:
    """A string as a structured header (RFC 8941, 3.3.3): printable ASCII in quotation marks."""
    if not (key.isascii() and key.isprintable()):
        key = hashlib.sha256(key.encode()).hexdigest()
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _server(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}:{port}"


def _retry_after(response: Response) -> float | None:
    """Seconds that the service asks to wait (RFC 9110, 10.2.3: a number, or a date); None: it does not."""
    said = response.headers.get("Retry-After", "").strip()
    if said.isdecimal():
        return float(said[:9])
    try:
        date = parsedate_to_datetime(said)
    except ValueError:
        return None
    return max((date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0)


def _cause(error: Exception) -> str:
    """What went wrong below, without the address: its query may hold a secret."""
    cause: object = error.args[0] if error.args else error
    cause = getattr(cause, "reason", cause)
    return f"{cause}"[:_SHOWN]
