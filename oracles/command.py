"""Any program, in any language, that reads objects and writes answers as CSV or JSON lines."""

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

from al_loop.datafiles.cells import NumberNotation
from al_loop.errors import ConfigError
from al_loop.oracles._io.row_format import call_keys, named_objectives, priced_fidelities, read_answer
from al_loop.oracles._io.subprocess_runner import Program, whole_lines
from al_loop.oracles.base import Failure, FailureKind, Objective, Oracle, Outcome
from al_loop.system.path_texts import PathText, TextWithHere

#: sysexits.h: "temporary failure; the user is invited to retry"
_EX_TEMPFAIL = 75
#: errors at the start that may be temporary: the machine lacks resources, or the program file is being written
_TEMPORARY = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY)
_MAX_STDERR_CHARS = 300  # in an error message
_LIMIT_MB = 64  # for the answers of a call, and for the artifacts of an object


class Command(Oracle):
    """Any program in any language: it reads a table of objects and writes a table of answers.

    The program is started once for each call, without a shell, in an empty folder of its own. It reads a table with the
    columns ``object`` and ``key`` (an idempotency key for services that charge per request: the same whenever this
    object is measured again) from the file that replaces ``{input}`` in an argument, otherwise from stdin. It writes a
    table with the column ``object`` and one column per objective to the file that replaces ``{output}``, otherwise to
    stdout, where each answer counts as soon as its line is written. Optional columns are ``cost``, ``<objective>_std``
    (standard deviation of the value), ``failure`` (invalid, permanent, retryable, timeout), ``reason``, and
    ``artifacts``: names of files in its folder to store, separated by ``;``. Any other column is stored beside the
    value. ``{object}`` in an argument is replaced by the object itself, which may begin with a dash.

    If the program exits with a code other than 0, all objects without an answer fail: with the kind from
    ``exit_codes``, otherwise ``retryable`` for 75 and after a signal, otherwise ``permanent``. The program is ended
    when its answers exceed 64 MB. Processes that it leaves running in the background are not waited for.

    Args:
        command: the program and its arguments, e.g. ``[python3, score.py, --fast]``. ``{here}`` is replaced by the
            folder of the config.
        objectives: the measured values, each a name or ``{name: ..., unit: ..., goal: maximise | minimise}``.
        format: format of both tables: ``csv`` with a header, or ``jsonl`` with one JSON object per line.
        variables: environment variables to add. AL_LOOP_KEY is always set if the call has a single object.
        exit_codes: exit code -> kind of failure.
        fidelities: fidelity name -> cost of a call; the program receives the current one by ``{fidelity}`` in an
            argument and by the environment variable AL_LOOP_FIDELITY.
        artifacts: names or patterns (``*.sdf``) of files in its folder to store; requires a ``call_size`` of 1.
        timeout_s: time limit of one run of the program, in seconds; by default only ``evaluation.timeout_s`` applies.
        call_size: maximum number of objects per run of the program.
        keep: the calls whose folders are kept for inspection.
        folder: where these folders are created; by default the system's temporary folder.
        version: change it when the program would give different answers than before.
    """

    kind = "command"

    def __init__(
        self,
        command: list[TextWithHere],
        objectives: Sequence[Objective | str] = ("value",),
        format: Literal["csv", "jsonl"] = "csv",
        variables: dict[str, str] | None = None,
        exit_codes: dict[int, FailureKind] | None = None,
        fidelities: dict[str, float] | None = None,
        artifacts: Sequence[str] = (),
        timeout_s: float | None = None,
        call_size: int = 1,
        keep: Literal["never", "failed", "always"] = "never",
        folder: PathText | None = None,
        version: str = "1",
    ) -> None:
        if not command or not command[0]:
            raise ConfigError("command: the list is empty, expected the program and its arguments")
        if call_size < 1:
            raise ConfigError(f"call_size: {call_size}, expected at least 1")
        if call_size > 1 and any("{object}" in argument for argument in command):
            raise ConfigError(
                "command: {object} is replaced by one object, so it requires call_size: 1; or use {input}"
            )
        if call_size > 1 and artifacts:
            raise ConfigError(
                "artifacts: with several objects per call, files cannot be assigned to an object; set call_size: 1, "
                "or let the program name its files in a column 'artifacts'"
            )
        for pattern in artifacts:
            if not pattern or Path(pattern).is_absolute() or ".." in Path(pattern).parts:
                raise ConfigError(f"artifacts: {pattern!r}, expected a path inside the call's own folder")
        if not fidelities and any("{fidelity}" in argument for argument in command):
            raise ConfigError("command: {fidelity} requires fidelities, but there are none; add them")
        if timeout_s is not None and not 0 < timeout_s < math.inf:
            raise ConfigError(f"timeout_s: {timeout_s}, expected a finite time above 0 s")
        self.objectives = named_objectives(objectives)
        self.fidelities = priced_fidelities(fidelities)
        self.fidelity = self.fidelities[-1].name if self.fidelities else ""
        self.call_size, self.version = call_size, version
        # the program runs in a folder of its own, so relative paths are resolved here
        here = str(Path.cwd())
        self._command = [argument.replace("{here}", here) for argument in command]
        if os.sep in self._command[0]:
            self._command[0] = str(Path(here, self._command[0]))
        self._format, self._variables, self._timeout_s = format, dict(variables or {}), timeout_s
        self._exit_codes: dict[int, FailureKind] = {_EX_TEMPFAIL: "retryable", **(exit_codes or {})}
        self._artifacts, self._keep, self._folder = tuple(artifacts), keep, folder
        self._notation = NumberNotation()

    def check(self) -> None:
        """Verify that the program and the folder exist.

        Raises:
            ConfigError: the program is missing or not executable, or the folder is not writable.
        """
        if shutil.which(self._command[0]) is None:
            raise ConfigError(f"oracle.command: the program {self._command[0]!r} does not exist or is not executable")
        if self._folder is not None and not os.access(self._folder, os.W_OK | os.X_OK):
            raise ConfigError(f"oracle.folder: {self._folder!r} does not exist or is not writable")

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Run the program once for all objects, and yield their outcomes in order as it writes them."""
        if not objects:
            return
        folder = Path(tempfile.mkdtemp(prefix="al-loop-call-", dir=self._folder)).resolve()
        n_measured = 0
        try:
            for outcome in self._answers(objects, folder):
                n_measured += outcome.failure is None
                yield outcome
        finally:
            if not (self._keep == "always" or (self._keep == "failed" and n_measured < len(objects))):
                shutil.rmtree(folder, ignore_errors=True)

    def _answers(self, objects: Sequence[str], folder: Path) -> Iterator[Outcome]:
        output = folder / f"output.{self._format}"
        has_output_file = any("{output}" in a for a in self._command)
        try:
            max_mb = math.inf if has_output_file else _LIMIT_MB
            program = self._start(list(dict.fromkeys(objects)), folder, output, max_mb * 1e6)
        except ValueError as error:
            reason = f"the object cannot be passed to a program as an argument: {error}"
            yield from [Outcome.failed("invalid", reason)] * len(objects)
            return
        except OSError as error:
            kind: FailureKind = "retryable" if error.errno in _TEMPORARY else "environment"
            kind = "permanent" if error.errno == errno.E2BIG else kind  # the object is too long for an argument
            yield from [Outcome.failed(kind, f"the program cannot be started: {error.strerror}")] * len(objects)
            return
        rows: dict[str, Mapping[Any, Any]] = {}
        n_yielded, unreadable = 0, ""
        with program:
            lines = program.lines()
            if has_output_file:
                _drain(lines)
                lines = whole_lines(_chunks(output), lambda: program.code == 0)
            try:
                for row in self._rows(lines):
                    name = row["object"]
                    if name in rows:
                        del rows[name]
                        raise ValueError(f"{name!r:.80} is answered twice")
                    rows[name] = row
                    # the last answer is withheld: a second row for its object would make it ambiguous
                    while n_yielded < len(objects) - 1 and objects[n_yielded] in rows:
                        yield self._outcome(rows[objects[n_yielded]], folder)
                        n_yielded += 1
            except (ValueError, RecursionError, csv.Error) as error:
                unreadable = str(error)
            _drain(lines)
            missing = self._missing(program, unreadable)
        for name in objects[n_yielded:]:
            yield self._outcome(rows.get(name) or {"failure": missing.kind, "reason": missing.reason}, folder)

    def _start(self, objects: list[str], folder: Path, output: Path, max_bytes: float) -> Program:
        keys = call_keys(objects)
        input_file, text = folder / f"input.{self._format}", self._input_table(keys)
        has_input_file = any("{input}" in a for a in self._command)
        if has_input_file:
            input_file.write_text(text, encoding="utf-8", errors="replace")
        replacements = {
            "input": str(input_file),
            "output": str(output),
            "object": objects[0],
            "fidelity": self.fidelity,
        }
        call_variables = {"AL_LOOP_KEY": keys[objects[0]]} if len(objects) == 1 else {}
        if self.fidelity:
            call_variables["AL_LOOP_FIDELITY"] = self.fidelity
        return Program(
            [_fill(argument, replacements) for argument in self._command],
            folder=folder,
            variables={**os.environ, **call_variables, **self._variables},
            text=None if has_input_file else text,
            timeout_s=self._timeout_s,
            max_bytes=max_bytes,
        )

    def _missing(self, program: Program, unreadable: str) -> Failure:
        """Return the failure of the objects without an answer; ``unreadable`` is the fault in the output, if any."""
        code, stderr = program.code, f": {program.stderr[-_MAX_STDERR_CHARS:]}" if program.stderr else ""
        if program.exceeded == "time":
            return Failure("timeout", f"the program took longer than {self._timeout_s:g} s (timeout_s) and was ended")
        if program.exceeded == "size":
            return Failure("permanent", f"the program wrote more than {_LIMIT_MB} MB and was ended{stderr}")
        assert code is not None
        if code:
            kind = self._exit_codes.get(code, "retryable" if code < 0 else "permanent")
            end = (
                f"the program was ended by signal {-code}" if code < 0 else f"the program failed with exit code {code}"
            )
            return Failure(kind, f"{end}{stderr}")
        if unreadable:
            return Failure("permanent", f"the program's output cannot be read: {unreadable}")
        return Failure("permanent", f"the program gave no answer for this object{stderr}")

    def _input_table(self, keys: Mapping[str, str]) -> str:
        if self._format == "jsonl":
            return "".join(json.dumps({"object": name, "key": key}) + "\n" for name, key in keys.items())
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows([["object", "key"], *keys.items()])
        return buffer.getvalue()

    @property
    def _columns(self) -> tuple[str, ...]:
        """The columns that the output table must have."""
        return ("object", *(o.name for o in self.objectives))

    def _delimiter_of(self, header: str) -> str:
        """Return the delimiter of a table of answers: a comma, unless another one yields the columns."""
        for delimiter in (",", ";", "\t"):
            names = next(csv.reader([header], delimiter=delimiter), [])
            if {name.strip() for name in names} >= {*self._columns}:
                return delimiter
        return ","

    def _rows(self, lines: Iterator[str]) -> Iterator[Mapping[Any, Any]]:
        """Yield the rows of the output table.

        Raises:
            ValueError, csv.Error: the output is not a table, lacks a column, or a row has no object.
        """
        if self._format == "csv":
            header = next((line for line in lines if line.strip()), "").removeprefix("\ufeff")
            delimiter = self._delimiter_of(header)
            names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
            missing = [c for c in self._columns if c not in names]
            if missing and names:
                raise ValueError(f"the header {','.join(names)!r:.80} lacks {', '.join(missing)}")
            duplicates = sorted({name for name in names if names.count(name) > 1})
            if duplicates:
                raise ValueError(f"the header {','.join(names)!r:.80} has two columns {duplicates[0]!r}")
            self._notation = NumberNotation(allows_comma=delimiter != ",")
            rows: Iterator[Any] = csv.DictReader(lines, names, delimiter=delimiter)
        else:
            rows = (json.loads(line) for line in lines if line.strip())
        for row in rows:
            if not isinstance(row, dict):
                raise ValueError(f"the line {row!r:.80} is not a JSON object")
            if any(row.pop(None, ())):  # where csv puts surplus fields, such as the digits behind a decimal comma
                raise ValueError(f"a row has more fields than the header: {row!r:.160}")
            if not isinstance(row.get("object"), str):
                raise ValueError(f"a row has no object: {row!r:.80}")
            yield row

    def _outcome(self, row: Mapping[Any, Any], folder: Path) -> Outcome:
        return read_answer(row, self.objectives, *self._files(row, folder), self._notation)

    def _files(self, row: Mapping[Any, Any], folder: Path) -> tuple[dict[str, Path], str]:
        """Return an object's files to store, by name, and the reason why others cannot be stored."""
        entry = row.get("artifacts")
        names = entry if isinstance(entry, list) else [name.strip() for name in str(entry or "").split(";")]
        paths = [folder / str(name) for name in names if name]
        for pattern in self._artifacts:
            paths += sorted(path for path in folder.glob(pattern) if path.is_file()) or [folder / pattern]
        files: dict[str, Path] = {}
        lost: list[str] = []
        free_bytes = _LIMIT_MB * 1e6
        for path in paths:
            target = path.resolve()
            if not target.is_relative_to(folder) or not target.is_file():
                lost.append(f"{path.name!r} is not a file in the call's folder")
            elif (free_bytes := free_bytes - target.stat().st_size) < 0:
                lost.append(f"{path.name!r} exceeds the limit of {_LIMIT_MB} MB per object")
            else:
                files[path.relative_to(folder).as_posix().replace("/", "_")] = target
        return files, "; ".join(lost)


def _fill(argument: str, replacements: Mapping[str, str]) -> str:
    """Replace the placeholders in an argument; an object that looks like a placeholder stays unchanged."""
    return re.sub(r"\{(input|output|object|fidelity)\}", lambda match: replacements[match[1]], argument)


def _chunks(path: Path) -> Iterator[bytes]:
    """Yield the content of a file in chunks.

    Raises:
        ValueError: it is larger than the limit on answers.
    """
    if path.is_file():
        if path.stat().st_size > _LIMIT_MB * 1e6:
            raise ValueError(f"it is larger than {_LIMIT_MB} MB")
        with path.open("rb") as file:
            yield from iter(partial(file.read, 1 << 16), b"")


def _drain(lines: Iterator[str]) -> None:
    for _ in lines:
        pass
