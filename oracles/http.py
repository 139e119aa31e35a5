"""An HTTP service that measures: objects out as JSON, answers in, at most billed once."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from al_loop.errors import ConfigError
from al_loop.oracles._io.http_client import RefusedError, Service
from al_loop.oracles._io.row_format import call_keys, named_objectives, priced_fidelities, read_answer
from al_loop.oracles.base import Objective, Oracle, OracleError, Outcome, as_outcome

_SECRET = re.compile("authorization|cookie|secret|token|api-?key", re.IGNORECASE)


class Http(Oracle):
    """An HTTP service: objects are posted as JSON, the answers come back as JSON.

    The body of a request is ``{"objects": [...], "keys": [...]}``, with ``"fidelity"`` where there are fidelities. The
    answer is a list with an entry for each object in the order of the request, bare or as ``{"answers": [...]}``; each
    is a number, a list with a number per objective, or an object (in JSON's sense) with the values by objective or
    under ``values``, or a ``failure`` (invalid, permanent, retryable, timeout) and its ``reason``; and perhaps
    ``cost``, ``noise``, ``info``, ``artifacts`` (text by file name). A service that needs long answers 202 with a
    ``Location``, which is then asked until it answers anything else.

    The header ``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header) stays the same whenever the campaign asks
    for the same objects again, and so do ``keys``, one for each object: a service that bills by them bills once.

    Tried again, with a growing pause or after what ``Retry-After`` says, are connections that fail or break off, and
    the answers 408, 409, 425, 429 and 5xx; then the failure is ``retryable``. 400, 413 and 422 refuse the objects: each
    is asked for by itself, and those still refused are ``invalid``. Any other answer is a ``permanent`` failure; so is
    a redirection to another server, which gets neither the objects nor the token. A service that knows no keys may be
    asked twice for an object after a broken connection, but for ``attempts: 1`` here and in ``evaluation``.

    Args:
        url: where to post to.
        objectives: what is measured, each a name or ``{name: ..., unit: ..., goal: maximise | minimise}``.
        call_size: how many objects a request holds at the most.
        token_variable: name of the environment variable that holds the secret, wherever an oracle worker runs.
        token_header: the header that it is sent in; in ``Authorization`` as a bearer token.
        headers: further headers, none of them secret: they stand in the config and in the ledger.
        fields: further fields of the request's body, e.g. ``{model: v2}``.
        objects_field: the request's field of objects.
        answers_field: the answer's field of answers.
        fidelities: what a call costs at each, by name.
        timeout_s: of a request with all its attempts and all its waiting, in seconds; then the failure is ``timeout``.
        attempts: how often a request is made at the most.
        poll_s: seconds between two questions whether a long job is done, where the service does not say.
        version: raise it when the service would answer otherwise than before.
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
            raise ConfigError(f"url: {url!r} is no address that starts with https:// or http://")
        if address.username or address.password:
            raise ConfigError("url: it holds a password; put that into an environment variable, see token_variable")
        secret = next((name for name in headers or {} if _SECRET.search(name)), None)
        if secret:
            raise ConfigError(
                f"headers: {secret} is a secret, which a config is no place for; put it into an environment variable "
                f"and name that in token_variable (and the header in token_header)"
            )
        if call_size < 1 or attempts < 1:
            raise ConfigError(f"call_size and attempts: {call_size} and {attempts}, expected 1 or more")
        if not 0 < timeout_s < math.inf or not 0 < poll_s < math.inf:
            raise ConfigError(f"timeout_s and poll_s: {timeout_s} and {poll_s}, expected times above 0")
        taken = {objects_field, "keys", "fidelity"} & set(fields or {})
        if taken or objects_field in ("keys", "fidelity"):
            raise ConfigError(f"fields: {', '.join(taken) or objects_field} is a field that every request has already")
        self.objectives = named_objectives(objectives)
        self.fidelities = priced_fidelities(fidelities)
        self.fidelity = self.fidelities[-1].name if self.fidelities else ""
        self.call_size, self.version = call_size, version
        self._fields, self._objects_field, self._answers_field = dict(fields or {}), objects_field, answers_field
        self._service = Service(url, dict(headers or {}), token_variable, token_header, timeout_s, attempts, poll_s)

    def check(self) -> None:
        """Raises ConfigError where the token or the library is missing; it does not call the service."""
        self._service.check()

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Asks the service for all objects at once; yields their outcomes in order."""
        if not objects:
            return
        keys = call_keys(sorted(set(objects)))  # sorted: the same objects make the same request, whatever their order
        found: dict[str, Outcome] = {}
        try:
            found = self._ask(keys)
        except RefusedError as error:
            if len(keys) == 1:
                found = dict.fromkeys(keys, Outcome(failure=error.failure))
        except OracleError as error:
            found = dict.fromkeys(keys, Outcome(failure=error.failure))
        for name in objects:
            if name not in found:
                try:
                    found |= self._ask({name: keys[name]})
                except OracleError as error:
                    found[name] = Outcome(failure=error.failure)
            yield found[name]

    def _ask(self, keys: Mapping[str, str]) -> dict[str, Outcome]:
        """The answer for each object. OracleError: there is none."""
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
            said = raw[:200].decode("utf-8", "replace")
            raise OracleError("permanent", f"the answer is no JSON ({error}): {said}") from None
        if isinstance(answer, dict) and self._answers_field in answer:
            answer = answer[self._answers_field]
        elif len(keys) == 1 and not isinstance(answer, list):
            answer = [answer]
        if not isinstance(answer, list):
            fault = f"the answer is neither a list nor has it the field {self._answers_field!r}: {answer!r:.80}"
            raise OracleError("permanent", fault)
        if len(answer) != len(keys):
            raise OracleError("permanent", f"the service gave {len(answer)} answers, expected {len(keys)}")
        return {name: self._outcome(name, entry, keys) for name, entry in zip(keys, answer, strict=True)}

    def _outcome(self, name: str, entry: object, others: Mapping[str, str]) -> Outcome:
        if not isinstance(entry, dict):
            return as_outcome(entry, len(self.objectives))
        answered = entry.get("object", name)  # perhaps written otherwise, but not another one of this request
        if answered != name and answered in others:
            return Outcome.failed("permanent", f"the service answered for {answered!r:.80} in its place")
        files = entry.get("artifacts")
        return read_answer(entry, self.objectives, files if isinstance(files, dict) else None)
