"""The records that the ledger stores and returns. All are frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from al_loop.oracles.base import Failure, FailureKind, Objective, Outcome
from al_loop.system.plain_values import Bound

DecisionAction = Literal["veto", "pin", "approve", "stop"]


@dataclass(frozen=True)
class Proposal:
    """An object for the next batch.

    Args:
        object: the object as text, such as a SMILES string.
        origin: the source of the proposal, such as ``sampler`` or ``random``.
        predicted_mean: predicted value in raw oracle units; ``None`` if there was no prediction.
        predicted_std: standard deviation of the prediction, in the same unit.
        acquisition: its acquisition value.
        fidelity: the fidelity at which to measure it; empty if the oracle has only one.
        details: what the library says about it beside the structure, such as ids, prices and vendors (JSON types).
        replicate: 0 for the first measurement at this fidelity; larger for each further one.
    """

    object: str
    origin: str
    predicted_mean: float | None = None
    predicted_std: float | None = None
    acquisition: float | None = None
    fidelity: str = ""
    details: Mapping[str, Any] | None = field(default=None, hash=False)
    replicate: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A proposed object in the ledger.

    Args:
        id: orders all candidates of a campaign, from 1.
        round: the round that proposed it.
        position: its position within the batch, from 0.
        object: the object as text.
        origin: the source of the proposal; ``told`` or ``pinned`` if it was a person, ``imported`` for earlier data.
        predicted_mean: predicted value in raw oracle units; ``None`` if there was no prediction.
        predicted_std: standard deviation of the prediction, in the same unit.
        acquisition: its acquisition value.
        fidelity: the fidelity at which to measure it; empty if the oracle has only one.
        details: what the library says about it beside the structure, such as ids, prices and vendors (JSON types).
        replicate: 0 for the first measurement at this fidelity; larger for each further one.
    """

    id: int
    round: int
    position: int
    object: str
    origin: str
    predicted_mean: float | None = None
    predicted_std: float | None = None
    acquisition: float | None = None
    fidelity: str = ""
    details: Mapping[str, Any] | None = field(default=None, hash=False)
    replicate: int = 0


@dataclass(frozen=True, slots=True)
class Observation:
    """An object and its latest answer, from which the surrogate learns.

    Args:
        object: the object as text.
        values: one value per objective, in raw oracle units, NaN for one that was not measured; ``None`` if the answer
            is a failure.
        failure: the kind of failure; ``None`` if there are values.
        round: the round that proposed the object.
        arrived: the round that was open when the answer arrived; later than ``round`` for a straggler.
        noise: standard deviation of each value, if the oracle reported it.
        fidelity: the fidelity at which it was measured; empty if the oracle has only one.
        cost: cost of the call, in the oracle's currency; ``None`` if unknown.
        seconds: duration of the call; ``None`` if unknown.
        censored: for each value "<" or ">" if only this bound of it is known, else ``None``; ``None`` if all are exact.
        origin: the source of the proposal, such as ``imported`` for earlier data.
        candidate_id: the candidate.
    """

    object: str
    values: tuple[float, ...] | None
    failure: FailureKind | None
    round: int
    arrived: int = 0
    noise: tuple[float, ...] | None = None
    fidelity: str = ""
    cost: float | None = None
    seconds: float | None = None
    censored: tuple[Bound | None, ...] | None = None
    origin: str = ""
    candidate_id: int = 0


@dataclass(frozen=True)
class Answer:
    """The answer of a worker or a person for a candidate, to be committed."""

    candidate_id: int
    outcome: Outcome
    worker: str
    started: datetime
    finished: datetime


@dataclass(frozen=True)
class Import:
    """An earlier measurement, to be recorded.

    Args:
        object: the object as text.
        answer: its answer; the candidate_id is ignored.
        fidelity: the fidelity at which it was measured.
        details: what is known about the object beside its structure (JSON types).
    """

    object: str
    answer: Answer
    fidelity: str = ""
    details: Mapping[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True)
class Decision:
    """A decision about a batch: a person's veto, pin or approval, or the campaign's rule to stop.

    Args:
        round: the round that it concerns; a ``stop`` takes effect after that round.
        action: the type of decision.
        candidate_id: the vetoed or pinned candidate; ``None`` for an approval or a stop.
        reason: the reason; may be empty for an approval.
        by: the name of the person; ``al-loop`` for a stop.
        decided: the time of the decision.
    """

    round: int
    action: DecisionAction
    candidate_id: int | None
    reason: str
    by: str
    decided: datetime


@dataclass(frozen=True)
class CampaignRow:
    """The one campaign of a ledger; ``uid`` is unique among all campaigns."""

    name: str
    config: dict[str, Any]
    fingerprint: str
    seed: int
    objectives: tuple[Objective, ...]
    created: datetime
    uid: str


@dataclass(frozen=True)
class SessionRow:
    """One start of the campaign's process, with its config; keys such as ``rounds`` may change between starts."""

    id: int
    started: datetime
    host: str
    pid: int
    versions: dict[str, str]
    command: str
    config: dict[str, Any]


@dataclass(frozen=True)
class RoundRow:
    """A round with its report; ``closed``, ``metrics`` and ``closing_seconds`` are ``None`` until it is closed."""

    number: int
    opened: datetime
    seed: int
    seconds: dict[str, float]
    info: dict[str, Any]
    closed: datetime | None = None
    metrics: dict[str, Any] | None = None
    closing_seconds: dict[str, float] | None = None


@dataclass(frozen=True)
class AttemptRow:
    """One oracle call for a candidate, recorded before it starts; ``number`` counts from 1 for each candidate."""

    candidate_id: int
    number: int
    started: datetime
    worker: str


@dataclass(frozen=True)
class EvaluationRow:
    """The answer of a candidate.

    Args:
        candidate_id: the candidate.
        values: one value per objective, in raw oracle units, NaN for one that was not measured; ``None`` if the answer
            is a failure.
        failure: the failure; ``None`` if there are values.
        cost: cost of the call, in the oracle's currency; ``None`` if the oracle did not report it.
        seconds: duration of the call.
        started: the time when the call started.
        finished: the time when the answer arrived.
        worker: the worker or person who answered.
        attempts: the number of oracle calls that it took.
        info: further details from the oracle (JSON types).
        noise: standard deviation of each value, if the oracle reported it.
        artifacts: for each file in the run directory, by name, its size in bytes and its SHA-256.
        number: the answer's number in the order of commits, from 1.
        arrived: the round that was open when the answer arrived; later than the candidate's own for a straggler.
        revision: the number of earlier answers that this one corrects; 0 for the first answer.
        censored: for each value "<" or ">" if only this bound of it is known, else ``None``; ``None`` if all are exact.
    """

    candidate_id: int
    values: tuple[float, ...] | None
    failure: Failure | None
    cost: float | None
    seconds: float
    started: datetime
    finished: datetime
    worker: str
    attempts: int
    info: dict[str, Any]
    noise: tuple[float, ...] | None
    artifacts: dict[str, dict[str, Any]]
    number: int
    arrived: int
    revision: int
    censored: tuple[Bound | None, ...] | None = None

    @property
    def failure_kind(self) -> FailureKind | None:
        """The kind of failure, or ``None`` if there are values."""
        return None if self.failure is None else self.failure.kind

    @property
    def reason(self) -> str | None:
        """The reason for the failure, or ``None`` if there are values."""
        return None if self.failure is None else self.failure.reason


@dataclass(frozen=True)
class Retry:
    """A request to measure a failed candidate again.

    Args:
        candidate_id: the candidate.
        revision: the revision of the failure; the candidate is pending until a newer one is there.
        number: its place among the numbers of the answers.
        reason: the reason; may be empty.
        by: the name of the person.
        requested: the time of the request.
    """

    candidate_id: int
    revision: int
    number: int
    reason: str
    by: str
    requested: datetime


@dataclass(frozen=True)
class Change:
    """Something that changed between two starts of the campaign.

    Args:
        round: the first round that it applies to.
        kind: what changed: ``config``, ``oracle``, ``library``, ...
        key: its name, with dots; for a config, the key.
        old: the earlier value (JSON types).
        new: the later value (JSON types).
        reason: the reason; may be empty.
        by: the name of the person.
        changed: the time when it was recorded.
    """

    round: int
    kind: str
    key: str
    old: Any
    new: Any
    reason: str
    by: str
    changed: datetime


@dataclass(frozen=True)
class Lease:
    """The process that drives the campaign, or the last one that did.

    Args:
        token: grows with each owner, so that a former one is recognised.
        owner: unique among all processes.
        host: the name of its machine.
        pid: the number of its process.
        since: the time when it took the lease.
        heartbeat: the time when it last renewed it.
        released: the time when it gave it back; ``None`` if it did not.
    """

    token: int
    owner: str
    host: str
    pid: int
    since: datetime
    heartbeat: datetime
    released: datetime | None
