"""Any program, in any language: objects in as CSV or JSON lines, answers out."""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from al_loop.errors import ConfigError
from al_loop.oracles._io.row_format import call_keys, named_objectives, priced_fidelities, read_answer
from al_loop.oracles._io.subprocess_runner import Program, whole_lines
from al_loop.oracles.base import Failure, FailureKind, Objective, Oracle, Outcome

#: sysexits.h: "temporary failure; the user is invited to retry"
_EX_TEMPFAIL = 75
#: errors of a start that may pass: this machine is short of something, or the program is just being written
_BUSY = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY)
_SHOWN = 300  # characters of what the program printed to stderr
_LIMIT_MB = 64  # of its answers; and of an object's artifacts


class Command(Oracle):
    """Any program in any language: objects go in as a table, answers come out as one.

    The program is started once for each call, without a shell, in an empty folder of its own. It reads a table with the
    columns ``object`` and ``key`` (the same whenever this object is asked for again, for services that bill): from the
    file that stands for ``{input}`` in an argument, else from stdin. It writes a table with the columns ``object`` and
    one per objective: to the file that stands for ``{output}``, else to stdout, where each answer counts as soon as its
    line is written. Understood too are ``cost``, ``<objective>_std`` (the value's standard deviation), ``failure``
    (invalid, permanent, retryable, timeout), ``reason``, and ``artifacts``: names of files in its folder to keep, with
    ``;`` between them. Other columns are kept as facts beside the value. ``{object}`` in an argument stands for the
    object itself; it may begin with a dash.

    A program that ends with another code than 0 has failed for the objects that it gave no answer for: as
    ``exit_codes`` says, else ``retryable`` for 75 and where a signal ended it, else ``permanent``. It is ended when it
    has written more than 64 MB of answers. What it leaves running in the background is not waited for.

    Args:
        command: the program and its arguments, e.g. ``[python3, score.py, --fast]``. ``{here}`` stands for the folder
            from which the campaign was started.
        objectives: what is measured, each a name or ``{name: ..., unit: ..., goal: maximise | minimise}``.
        format: of both tables: ``csv`` with a header, or ``jsonl`` with an object (in JSON's sense) a line.
        variables: environment variables to add. AL_LOOP_KEY is there anyhow where a call has one object.
        exit_codes: failure kind by exit code.
        fidelities: what a call costs at each, by name; the program is told the one that is meant by ``{fidelity}`` in
            an argument and by the environment variable AL_LOOP_FIDELITY.
        artifacts: names or patterns (``*.sdf``) of files in its folder to keep, where ``call_size`` is 1.
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
        fidelities: dict[str, float] | None = None,
        artifacts: Sequence[str] = (),
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
        if call_size > 1 and artifacts:
            raise ConfigError(
                "artifacts: whose files these are is only clear where call_size is 1; "
                "or let the program name them in a column 'artifacts'"
            )
        for pattern in artifacts:
            if not pattern or Path(pattern).is_absolute() or ".." in Path(pattern).parts:
                raise ConfigError(f"artifacts: {pattern!r} is no file in the call's own folder")
        if not fidelities and any("{fidelity}" in argument for argument in command):
            raise ConfigError("command: {fidelity} stands for one of the fidelities, of which there are none")
        if timeout_s is not None and not 0 < timeout_s < math.inf:
            raise ConfigError(f"timeout_s: {timeout_s} is not a time above 0")
        self.objectives = named_objectives(objectives)
        self.fidelities = priced_fidelities(fidelities)
        self.fidelity = self.fidelities[-1].name if self.fidelities else ""
        self.call_size, self.version = call_size, version
        # the program runs in a folder of its own, so its paths are made independent of it here
        here = str(Path.cwd())
        self._command = [argument.replace("{here}", here) for argument in command]
        if os.sep in self._command[0]:
            self._command[0] = str(Path(here, self._command[0]))
        self._format, self._variables, self._timeout_s = format, dict(variables or {}), timeout_s
        self._exit_codes: dict[int, FailureKind] = {_EX_TEMPFAIL: "retryable", **(exit_codes or {})}
        self._artifacts, self._keep, self._folder = tuple(artifacts), keep, folder

    def check(self) -> None:
        """Raises ConfigError where the program or the folder is not there."""
        if shutil.which(self._command[0]) is None:
            raise ConfigError(f"oracle.command: there is no program {self._command[0]!r} that may be run")
        if self._folder is not None and not os.access(self._folder, os.W_OK | os.X_OK):
            raise ConfigError(f"oracle.folder: {self._folder!r} is not a folder that may be written")

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Starts the program once for all objects; yields their outcomes in order, as it writes them."""
        if not objects:
            return
        place = Path(tempfile.mkdtemp(prefix="al-loop-call-", dir=self._folder)).resolve()
        n_good = 0
        try:
            for outcome in self._answers(objects, place):
                n_good += outcome.failure is None
                yield outcome
        finally:
            if not (self._keep == "always" or (self._keep == "failed" and n_good < len(objects))):
                shutil.rmtree(place, ignore_errors=True)

    def _answers(self, objects: Sequence[str], place: Path) -> Iterator[Outcome]:
        answered = place / f"output.{self._format}"
        gives_file = any("{output}" in a for a in self._command)
        try:
            program = self._start(list(dict.fromkeys(objects)), place, answered, math.inf if gives_file else _LIMIT_MB)
        except ValueError as error:
            yield from [Outcome.failed("invalid", f"it cannot be an argument of a program: {error}")] * len(objects)
            return
        except OSError as error:
            kind: FailureKind = "retryable" if error.errno in _BUSY else "permanent"
            yield from [Outcome.failed(kind, f"the program cannot be started: {error.strerror}")] * len(objects)
            return
        found: dict[str, Mapping[Any, Any]] = {}
        n_given, unreadable = 0, ""
        with program:
            lines = program.lines()
            if gives_file:
                _drain(lines)
                lines = whole_lines(_chunks(answered), lambda: program.code == 0)
            try:
                for row in self._rows(lines):
                    name = row["object"]
                    if name in found:
                        del found[name]
                        raise ValueError(f"{name!r:.80} is answered twice")
                    found[name] = row
                    # the last one is held back: a program that goes on to answer it again has not said what holds
                    while n_given < len(objects) - 1 and objects[n_given] in found:
                        yield self._outcome(found[objects[n_given]], place)
                        n_given += 1
            except (ValueError, RecursionError, csv.Error) as error:
                unreadable = str(error)
            _drain(lines)
            missing = self._missing(program, unreadable)
        for name in objects[n_given:]:
            yield self._outcome(found.get(name) or {"failure": missing.kind, "reason": missing.reason}, place)

    def _start(self, objects: list[str], place: Path, answered: Path, limit_mb: float) -> Program:
        keys = call_keys(objects)
        given, text = place / f"input.{self._format}", self._write(keys)
        takes_file = any("{input}" in a for a in self._command)
        if takes_file:
            given.write_text(text, encoding="utf-8", errors="replace")
        filled = {"input": str(given), "output": str(answered), "object": objects[0], "fidelity": self.fidelity}
        own = {"AL_LOOP_KEY": keys[objects[0]]} if len(objects) == 1 else {}
        if self.fidelity:
            own["AL_LOOP_FIDELITY"] = self.fidelity
        return Program(
            [_fill(argument, filled) for argument in self._command],
            folder=place,
            variables={**os.environ, **own, **self._variables},
            text=None if takes_file else text,
            timeout_s=self._timeout_s,
            limit=limit_mb * 1e6,
        )

    def _missing(self, program: Program, unreadable: str) -> Failure:
        """What an object that got no answer is told."""
        code, said = program.code, f": {program.stderr[-_SHOWN:]}" if program.stderr else ""
        if program.ended_for == "time":
            return Failure("timeout", f"the program took longer than {self._timeout_s:g} s and was ended")
        if program.ended_for == "size":
            return Failure("permanent", f"the program wrote more than {_LIMIT_MB} MB and was ended{said}")
        assert code is not None
        if code:
            kind = self._exit_codes.get(code, "retryable" if code < 0 else "permanent")
            ended = f"signal {-code} ended the program" if code < 0 else f"the program ended with exit code {code}"
            return Failure(kind, f"{ended}{said}")
        if unreadable:
            return Failure("permanent", f"the program's answer cannot be read: {unreadable}")
        return Failure("permanent", f"the program gave no answer for this object{said}")

    def _write(self, keys: Mapping[str, str]) -> str:
        if self._format == "jsonl":
            return "".join(json.dumps({"object": name, "key": key}) + "\n" for name, key in keys.items())
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows([["object", "key"], *keys.items()])
        return buffer.getvalue()

    def _rows(self, lines: Iterator[str]) -> Iterator[Mapping[Any, Any]]:
        """The answers. ValueError or csv.Error: it is no table, lacks a column, or a row names no object."""
        if self._format == "csv":
            rows: Iterator[Any] = csv.DictReader(lines)
            header = rows.fieldnames or []  # type: ignore[attr-defined]
            lacking = [c for c in ("object", *(o.name for o in self.objectives)) if c not in header]
            if lacking and header:
                raise ValueError(f"the header {','.join(header)!r:.80} lacks {', '.join(lacking)}")
        else:
            rows = (json.loads(line) for line in lines if line.strip())
        for row in rows:
            if not isinstance(row, dict):
                raise ValueError("a line is not a JSON object")
            if None in row:  # where csv puts what is too much, such as the digits behind a decimal comma
                raise ValueError(f"a row has more fields than the header: {row!r:.160}")
            if not isinstance(row.get("object"), str):
                raise ValueError(f"a row names no object: {row!r:.80}")
            yield row

    def _outcome(self, row: Mapping[Any, Any], place: Path) -> Outcome:
        return read_answer(row, self.objectives, *self._files(row, place))

    def _files(self, row: Mapping[Any, Any], place: Path) -> tuple[dict[str, Path], str]:
        """The files to keep of an object, by name; and why some cannot be."""
        said = row.get("artifacts")
        names = said if isinstance(said, list) else [name.strip() for name in str(said or "").split(";")]
        paths = [place / str(name) for name in names if name]
        for pattern in self._artifacts:
            paths += sorted(path for path in place.glob(pattern) if path.is_file()) or [place / pattern]
        kept: dict[str, Path] = {}
        lost: list[str] = []
        left = _LIMIT_MB * 1e6
        for path in paths:
            real = path.resolve()
            if not real.is_relative_to(place) or not real.is_file():
                lost.append(f"{path.name!r} is no file in the call's folder")
            elif (left := left - real.stat().st_size) < 0:
                lost.append(f"{path.name!r} is beyond {_LIMIT_MB} MB")
            else:
                kept[path.relative_to(place).as_posix().replace("/", "_")] = real
        return kept, "; ".join(lost)


def _fill(argument: str, filled: Mapping[str, str]) -> str:
    """The argument with what its placeholders stand for; an object that looks like a placeholder stays as it is."""
    return re.sub(r"\{(input|output|object|fidelity)\}", lambda match: filled[match[1]], argument)


def _chunks(path: Path) -> Iterator[bytes]:
    """What is in a file. ValueError: there is more than an answer may hold."""
    if path.is_file():
        if path.stat().st_size > _LIMIT_MB * 1e6:
            raise ValueError(f"it is longer than {_LIMIT_MB} MB")
        with path.open("rb") as file:
            yield from iter(partial(file.read, 1 << 16), b"")


def _drain(lines: Iterator[str]) -> None:
    for _ in lines:
        pass
