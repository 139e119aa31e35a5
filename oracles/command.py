"""Any program, in any language: objects in as CSV or JSON lines, answers out."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, cast, get_args

from al_loop.errors import ConfigError
from al_loop.processes import end_tree
from oracles.base import Failure, FailureKind, Objective, Oracle, Outcome, as_outcome

#: sysexits.h: "temporary failure; the user is invited to retry"
_EX_TEMPFAIL = 75
_OWN_COLUMNS = ("object", "cost", "failure", "reason")
_SHOWN = 300  # characters of what the program printed to stderr


class Command(Oracle):
    """Any program in any language: objects go in as a table, answers come out as one.

    The program is started once for each call, without a shell, in an empty folder of its own. It reads a table with the
    column ``object``: from the file that stands for ``{input}`` in an argument, else from stdin. It writes a table with
    the columns ``object`` and one per objective: to the file that stands for ``{output}``, else to stdout. ``cost``,
    ``failure`` (invalid, permanent, retryable, timeout) and ``reason`` are understood too, other columns are kept as
    facts beside the value. ``{object}`` in an argument stands for the object itself; it may begin with a dash.

    A program that ends with another code than 0 has failed for the objects that it gave no answer for: as
    ``exit_codes`` says, else ``retryable`` for 75 and where a signal ended it, else ``permanent``.

    Args:
        command: the program and its arguments, e.g. ``[python3, score.py, --fast]``. ``{here}`` stands for the folder
            from which the campaign was started.
        objectives: what is measured, each a name or ``{name: ..., unit: ..., goal: maximise | minimise}``.
        format: of both tables: ``csv`` with a header, or ``jsonl`` with an object (in JSON's sense) a line.
        variables: environment variables to add.
        exit_codes: failure kind by exit code.
        timeout_s: of one start of the program, in seconds; left out: ``evaluation.timeout_s`` alone holds.
        call_size: how many objects the program is given at the most.
        keep: which calls' folders stay, for a look inside.
        folder: where they are made; left out: the system's temporary folder.
        version: raise it when the program would answer otherwise than before.
    """

    kind = "command"

    def __init__(
        self,
        command: list[str],
        objectives: Sequence[Objective | str] = ("value",),
        format: Literal["csv", "jsonl"] = "csv",
        variables: dict[str, str] | None = None,
        exit_codes: dict[int, FailureKind] | None = None,
        timeout_s: float | None = None,
        call_size: int = 1,
        keep: Literal["never", "failed", "always"] = "never",
        folder: str | None = None,
        version: str = "1",
    ) -> None:
        if not command or not command[0]:
            raise ConfigError("command: it is empty; give the program and its arguments, a list")
        if call_size < 1:
            raise ConfigError(f"call_size: {call_size} is below 1")
        if call_size > 1 and any("{object}" in argument for argument in command):
            raise ConfigError("command: {object} stands for one object, so call_size must be 1; or use {input}")
        if timeout_s is not None and not 0 < timeout_s < math.inf:
            raise ConfigError(f"timeout_s: {timeout_s} is not a time above 0")
        self.objectives = tuple(o if isinstance(o, Objective) else Objective(o) for o in objectives)
        names = [o.name for o in self.objectives]
        if not names or len(set(names)) < len(names) or set(names) & set(_OWN_COLUMNS):
            raise ConfigError(
                f"objectives: {', '.join(names) or 'none'}: give one or more different names, "
                f"none of them {', '.join(_OWN_COLUMNS)}"
            )
        self.call_size, self.version = call_size, version
        # the program runs in a folder of its own, so its paths are made independent of it here
        here = str(Path.cwd())
        self._command = [argument.replace("{here}", here) for argument in command]
        if os.sep in self._command[0]:
            self._command[0] = str(Path(here, self._command[0]))
        self._format, self._variables, self._timeout_s = format, dict(variables or {}), timeout_s
        self._exit_codes: dict[int, FailureKind] = {_EX_TEMPFAIL: "retryable", **(exit_codes or {})}
        self._keep, self._folder = keep, folder

    def check(self) -> None:
        """Raises ConfigError where the program or the folder is not there."""
        if shutil.which(self._command[0]) is None:
            raise ConfigError(f"oracle.command: there is no program {self._command[0]!r} that may be run")
        if self._folder is not None and not os.access(self._folder, os.W_OK | os.X_OK):
            raise ConfigError(f"oracle.folder: {self._folder!r} is not a folder that may be written")

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Starts the program once for all objects; yields their outcomes in order."""
        if not objects:
            return
        place = Path(tempfile.mkdtemp(prefix="al-loop-call-", dir=self._folder))
        outcomes: list[Outcome] = []
        try:
            found = self._call(list(dict.fromkeys(objects)), place)
            outcomes = [found[name] for name in objects]
        finally:
            has_failed = not outcomes or any(o.failure is not None for o in outcomes)
            if not (self._keep == "always" or (self._keep == "failed" and has_failed)):
                shutil.rmtree(place, ignore_errors=True)
        yield from outcomes

    def _call(self, objects: list[str], place: Path) -> dict[str, Outcome]:
        takes_file = any("{input}" in a for a in self._command)
        gives_file = any("{output}" in a for a in self._command)
        suffix = self._format
        given, answered = place / f"input.{suffix}", place / f"output.{suffix}"
        table = self._write(objects)
        if takes_file:
            given.write_text(table, encoding="utf-8")
        filled = {"{input}": str(given), "{output}": str(answered), "{object}": objects[0]}
        stdout, stderr, code = self._run([_fill(a, filled) for a in self._command], "" if takes_file else table, place)
        if code is None:
            late = Outcome.failed("timeout", f"the program took longer than {self._timeout_s:g} s and was ended")
            return dict.fromkeys(objects, late)
        if gives_file:
            stdout = answered.read_text(encoding="utf-8", errors="replace") if answered.is_file() else ""
        missing = self._missing(code, stderr)
        try:
            rows = self._read(stdout)
        except ValueError as error:
            rows = {}
            if code == 0:
                missing = Failure("permanent", f"the program's answer cannot be read: {error}")
        return {name: self._outcome(rows.get(name), missing) for name in objects}

    def _run(self, command: list[str], text: str, place: Path) -> tuple[str, str, int | None]:
        """What the program wrote to stdout and stderr, and its exit code; None: it took too long and was ended."""
        try:
            process = subprocess.Popen(
                command,
                cwd=place,
                env={**os.environ, **self._variables},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except (OSError, ValueError) as error:  # it is gone, or an object cannot be an argument (NUL)
            return "", f"cannot be started: {error}", -127
        try:
            out, err = process.communicate(text.encode("utf-8", "replace"), timeout=self._timeout_s)
        except subprocess.TimeoutExpired:
            return "", "", None
        finally:
            if process.poll() is None:
                end_tree(process.pid)
                with suppress(subprocess.TimeoutExpired):
                    process.communicate(timeout=5)
        return out.decode("utf-8", "replace"), err.decode("utf-8", "replace"), process.returncode

    def _missing(self, code: int, stderr: str) -> Failure:
        """What an object that got no answer is told."""
        last = stderr.strip()[-_SHOWN:]
        said = f": {last}" if last else ""
        if code == 0:
            return Failure("permanent", f"the program gave no answer for this object{said}")
        kind = self._exit_codes.get(code, "retryable" if code < 0 else "permanent")
        ended = f"signal {-code} ended the program" if code < 0 else f"the program ended with exit code {code}"
        return Failure(kind, f"{ended}{said}")

    def _write(self, objects: Sequence[str]) -> str:
        if self._format == "jsonl":
            return "".join(json.dumps({"object": name}) + "\n" for name in objects)
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerows([["object"], *([name] for name in objects)])
        return buffer.getvalue()

    def _read(self, text: str) -> dict[str, Mapping[str, Any]]:
        """The answers by object. ValueError: it is no table, lacks a column, or answers an object twice."""
        if self._format == "jsonl":
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
            if not all(isinstance(row, dict) for row in rows):
                raise ValueError("a line is not a JSON object")
        else:
            reader = csv.DictReader(io.StringIO(text))
            header = reader.fieldnames or []
            lacking = [c for c in ("object", *(o.name for o in self.objectives)) if c not in header]
            if lacking and header:
                raise ValueError(f"the header {','.join(header)!r:.80} lacks {', '.join(lacking)}")
            rows = list(reader)
        found: dict[str, Mapping[str, Any]] = {}
        for row in rows:
            name = row.get("object")
            if not isinstance(name, str):
                raise ValueError(f"a row names no object: {row!r:.80}")
            if name in found:
                raise ValueError(f"{name!r:.80} is answered twice")
            found[name] = row
        return found

    def _outcome(self, row: Mapping[str, Any] | None, missing: Failure) -> Outcome:
        if row is None:
            return Outcome(failure=missing)
        names = [o.name for o in self.objectives]
        info = {k: v for k, v in row.items() if isinstance(k, str) and k not in (*_OWN_COLUMNS, *names)}
        cost, kind = _number(row.get("cost")), row.get("failure")
        if kind:
            reason = str(row.get("reason") or "the program states no reason")
            if kind not in get_args(FailureKind):
                reason, kind = f"{kind}: {reason}", "permanent"
            return as_outcome(
                Outcome(failure=Failure(cast(FailureKind, kind), reason), cost=cost, info=info), len(names)
            )
        values = []
        for name in names:
            value = _number(row.get(name))
            if value is None:
                return Outcome.failed("permanent", f"the program answered {row.get(name)!r:.80} for {name}")
            values.append(value)
        return as_outcome(Outcome(values=tuple(values), cost=cost, info=info), len(names))


def _fill(argument: str, filled: Mapping[str, str]) -> str:
    """The argument with what its placeholders stand for; an object that looks like a placeholder stays as it is."""
    for name, value in filled.items():
        if name in argument:
            return argument.replace(name, value)
    return argument


def _number(value: object) -> float | None:
    try:
        return None if value is None or isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
