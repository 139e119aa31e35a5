"""An HTTP service that receives objects and returns answers as JSON, and charges for each object at most once."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from al_loop.errors import ConfigError, counted
from al_loop.oracles._io.http_client import RefusedError, Service
from al_loop.oracles._io.row_format import call_keys, named_objectives, priced_fidelities, read_answer
from al_loop.oracles.base import Objective, Oracle, OracleError, Outcome, as_outcome
from al_loop.system.checks import LONGEST_S

_NO_ANSWER = {"failure": "permanent", "reason": "the service gave no answer for this object"}
_SECRET = re.compile("authorization|cookie|secret|token|api-?key", re.IGNORECASE)


class Http(Oracle):
    """An HTTP service: objects are posted as JSON, the answers come back as JSON.

    The body of a request is ``{"objects": [...], "keys": [...]}``, with ``"fidelity"`` if there are fidelities. The
    answer is a list with an entry for each object in the order of the request, or an object that maps each object to
    its entry; bare or as ``{"answers": ...}``. Entries that all state their ``object`` may be in any order. An entry is
    a number, a list with a number per objective, or a JSON object with the values by objective or under ``values``, or
    with a ``failure`` (invalid, permanent, retryable, timeout) and its ``reason``; optionally with ``cost``, ``noise``,
    ``info``, ``artifacts`` (file name -> text). A service with long jobs answers 202 with a ``Location``, which is
    polled until it answers anything else.

    The header ``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header) is the same whenever the campaign
    measures the same objects again, and so are ``keys``, one for each object: a service that respects them charges
    once.

    Requests are retried, with a growing pause or after the time in ``Retry-After``, when a connection fails or breaks
    off, and after the statuses 408, 409, 425, 429 and 5xx; when attempts or time run out the failure is ``retryable``,
    or ``unavailable`` after failed connections, 429, 502, 503 and 504: then the campaign waits for the service.
    The statuses 400, 413 and 422 refuse the objects: each is then sent alone, and those still refused are ``invalid``.
    The status 401, a missing token, a certificate that is not trusted and a redirection to another server (which
    receives neither the objects nor the token) stop the campaign. Any other status is a ``permanent`` failure. A
    service without support for keys may measure an object twice after a broken connection;
    ``attempts: 1`` both here and in ``evaluation`` prevents that.

    Args:
        url: address to post to.
        objectives: the measured values, each a name or ``{name: ..., unit: ..., goal: maximise | minimise}``.
        call_size: maximum number of objects in a request.
        token_variable: name of the environment variable with the secret, on every machine that runs an oracle worker.
        token_header: header for the secret; in ``Authorization`` it is sent as a bearer token.
        headers: further headers, none of them secret, since the config and the ledger contain them.
        fields: further fields of the request's body, e.g. ``{model: v2}``.
        objects_field: name of the request's field of objects.
        answers_field: name of the response's field of answers.
        fidelities: fidelity name -> cost of a call.
        timeout_s: time limit of a request, including all attempts and pauses, in seconds; exceeding it is a
            ``timeout`` failure.
        attempts: maximum number of attempts of a request.
        poll_s: seconds between two polls of a long job, if the service does not state them.
        version: change it when the service would give different answers than before.
    """

    kind = "http"

    def __init__(
        self,
        url: str,
        objectives: Sequence[Objective | str] = ("value",),
        call_size: int = 1,
        token_variable: str | None = None,
        token_header: str = "Authorization",
        headers: dict[str, str] | None = None,
        fields: dict[str, Any] | None = None,
        objects_field: str = "objects",
        answers_field: str = "answers",
        fidelities: dict[str, float] | None = None,
        timeout_s: float = 300.0,
        attempts: int = 5,
        poll_s: float = 2.0,
        version: str = "1",
    ) -> None:
        address = urlsplit(url)
        if address.scheme not in ("http", "https") or not address.hostname or address.port == 0:
            raise ConfigError(f"url: {url!r}, expected an address that starts with https:// or http://")
        if address.username or address.password:
            raise ConfigError(
                "url: it contains a user name or password; put the secret into an environment variable, see "
                "token_variable"
            )
        secret = next((name for name in headers or {} if _SECRET.search(name)), None)
        if secret:
            raise ConfigError(
                f"headers: {secret} looks like a secret, which must not be in a config; put it into an environment "
                "variable and name that in token_variable (and the header in token_header)"
            )
        for name, count in (("call_size", call_size), ("attempts", attempts)):
            if count < 1:
                raise ConfigError(f"{name}: {count}, expected at least 1")
        for name, seconds in (("timeout_s", timeout_s), ("poll_s", poll_s)):
            if not 0 < seconds < math.inf:
                raise ConfigError(f"{name}: {seconds}, expected a finite time above 0 s")
        taken = {objects_field, "keys", "fidelity"} & set(fields or {})
        if taken or objects_field in ("keys", "fidelity"):
            raise ConfigError(
                f"fields: {', '.join(taken) or objects_field} is reserved for a field of every request; rename it"
            )
        self.objectives = named_objectives(objectives)
        self.fidelities = priced_fidelities(fidelities)
        self.fidelity = self.fidelities[-1].name if self.fidelities else ""
        self.call_size, self.version = call_size, version
        self._fields, self._objects_field, self._answers_field = dict(fields or {}), objects_field, answers_field
        times = min(timeout_s, LONGEST_S), attempts, min(poll_s, LONGEST_S)
        self._service = Service(url, dict(headers or {}), token_variable, token_header, *times)

    def check(self) -> None:
        """Verify that the token and the HTTP library are there, without calling the service.

        Raises:
            ConfigError: one of them is missing.
        """
        self._service.check()

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Send all objects in one request, and yield their outcomes in order."""
        if not objects:
            return
        keys = call_keys(sorted(set(objects)))  # sorted: the request does not depend on the order of objects
        outcomes: dict[str, Outcome] = {}
        try:
            outcomes = self._request(keys)
        except RefusedError as error:
            if len(keys) == 1:
                outcomes = dict.fromkeys(keys, Outcome(failure=error.failure))
        except OracleError as error:
            outcomes = dict.fromkeys(keys, Outcome(failure=error.failure))
        for name in objects:
            if name not in outcomes:
                try:
                    outcomes |= self._request({name: keys[name]})
                except OracleError as error:
                    outcomes[name] = Outcome(failure=error.failure)
            yield outcomes[name]

    def _request(self, keys: Mapping[str, str]) -> dict[str, Outcome]:
        """Return the outcome of each object.

        Raises:
            OracleError: there is no answer, or it cannot be read.
        """
        body = {**self._fields, self._objects_field: list(keys), "keys": list(keys.values())}
        if self.fidelity:
            body["fidelity"] = self.fidelity
        key = next(iter(keys.values()))
        if len(keys) > 1:
            key = hashlib.sha256("\n".join(keys.values()).encode()).hexdigest()
        raw = self._service.post(json.dumps(body).encode(), key)
        try:
            answer = json.loads(raw)
        except (ValueError, RecursionError) as error:
            excerpt = raw[:200].decode("utf-8", "replace")
            raise OracleError("permanent", f"the answer is not JSON ({error}): {excerpt}") from None
        if isinstance(answer, dict) and self._answers_field in answer:
            answer = answer[self._answers_field]
        elif len(keys) == 1 and not (isinstance(answer, list) or self._is_keyed(answer, keys)):
            answer = [answer]
        if self._is_keyed(answer, keys):
            answer = [answer.get(name, _NO_ANSWER) for name in keys]
        if not isinstance(answer, list):
            reason = (
                f"the answer is neither a list nor an object with the field {self._answers_field!r}: {answer!r:.80}"
            )
            raise OracleError("permanent", reason)
        if len(answer) != len(keys):
            reason = f"the service returned {counted(len(answer), 'answer')}, expected {len(keys)}"
            raise OracleError("permanent", f"{reason}, so none can be assigned to its object")
        by_object = {str(entry["object"]): entry for entry in answer if isinstance(entry, dict) and "object" in entry}
        if by_object.keys() == keys.keys():  # in an order of the service's own
            return {name: self._outcome(name, by_object[name], keys) for name in keys}
        return {name: self._outcome(name, entry, keys) for name, entry in zip(keys, answer, strict=True)}

    def _is_keyed(self, answer: object, keys: Mapping[str, str]) -> TypeGuard[dict[str, Any]]:
        """Return whether an answer maps objects to answers, rather than being the answer of a single object."""
        if not isinstance(answer, dict) or any(o.name in answer for o in self.objectives):
            return False
        return any(name in answer for name in keys)

    def _outcome(self, name: str, entry: object, others: Mapping[str, str]) -> Outcome:
        if not isinstance(entry, dict):
            return as_outcome(entry, len(self.objectives))
        answered_object = entry.get("object", name)  # may be spelt differently, but must not be another of this request
        if answered_object != name and answered_object in others:
            return Outcome.failed(
                "permanent", f"the service answered for {answered_object!r:.80} in place of this object"
            )
        files = entry.get("artifacts")
        return read_answer(entry, self.objectives, files if isinstance(files, dict) else None)
