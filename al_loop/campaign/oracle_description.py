"""The attributes of an oracle, read in a separate process.

The constructor of a user's class may load a model, open a connection, or take the only licence. It therefore runs in
processes of oracle workers alone; the campaign's process learns the rest from a description.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Any, Final

from al_loop.campaign.building import build_oracle
from al_loop.config import CampaignConfig
from al_loop.config.build import has_constructor
from al_loop.errors import ConfigError
from al_loop.oracles.base import Fidelity, Objective, Oracle
from al_loop.system import stopping
from al_loop.system.tracebacks import describe_error, user_traceback

_POLL_S = 0.2
_MAX_OUTPUT: Final = 2_000  # characters of what the constructor printed, in an error
#: runs without the folder of the user on the import path, until it knows the campaign's own import path
_PROGRAM: Final = """
import os, pickle, sys
answers = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
sys.path[:] = pickle.load(sys.stdin.buffer)
from al_loop.campaign.oracle_description import answer
answer(sys.stdin.buffer, answers)
"""


@dataclass(frozen=True)
class OracleDescription:
    """The attributes of an oracle, see ``Oracle``, and what its ``check`` found.

    Args:
        objectives: see ``Oracle``, as the others.
        fidelities: see ``Oracle``.
        fidelity: see ``Oracle``.
        version: see ``Oracle``.
        libraries: see ``Oracle``.
        object_type: see ``Oracle``.
        call_size: see ``Oracle``.
        is_external: see ``Oracle``.
        problem: why ``check`` refuses it; empty if it does not.
    """

    objectives: tuple[Objective, ...]
    fidelities: tuple[Fidelity, ...]
    fidelity: str
    version: str
    libraries: tuple[str, ...]
    object_type: str | None
    call_size: int
    is_external: bool
    problem: str = ""

    @classmethod
    def of(cls, oracle: Oracle) -> OracleDescription:
        """Return the description of an oracle, after checking it."""
        problem = ""
        try:
            oracle.check()
        except ConfigError as error:
            problem = str(error)
        except Exception as error:
            problem = describe_error(error)
        return cls(
            tuple(Objective(o.name, o.unit, o.goal) for o in oracle.objectives),
            tuple(Fidelity(f.name, f.cost) for f in oracle.fidelities),
            oracle.fidelity,
            str(oracle.version),
            tuple(oracle.libraries),
            oracle.object_type,
            int(oracle.call_size),
            bool(oracle.is_external),
            problem,
        )


class DescribedOracle(Oracle):
    """An oracle that is built elsewhere: it has the attributes, and measures nothing.

    Args:
        description: its attributes.
    """

    def __init__(self, description: OracleDescription) -> None:
        self._problem = description.problem
        self.objectives, self.version = description.objectives, description.version
        self.fidelities, self.fidelity = description.fidelities, description.fidelity
        self.libraries, self.object_type = description.libraries, description.object_type
        self.call_size, self.is_external = description.call_size, description.is_external

    def check(self) -> None:
        """Raise what the oracle's own ``check`` raised.

        Raises:
            ConfigError: a library, a file, a program or a secret is missing.
        """
        if self._problem:
            raise ConfigError(self._problem)

    def evaluate(self, objects: Any) -> Any:
        """Raise: only workers measure."""
        raise RuntimeError("this oracle is built in the workers' processes only")


def describe_oracle(config: CampaignConfig) -> Oracle:
    """Return an oracle with everything but its measurements, without running a user's constructor in this process.

    Built-in oracles and functions have no such constructor, and are built as they are.

    Raises:
        ConfigError: the oracle cannot be built.
    """
    factory = config.oracle.factory("oracle")
    return DescribedOracle(_ask(config)) if has_constructor(factory) else build_oracle(config)


def _ask(config: CampaignConfig) -> OracleDescription:
    """Return the description by a process that builds the oracle and ends."""
    limit_s = config.evaluation.build_timeout_s
    deadline = time.monotonic() + limit_s
    # files, not pipes, whose end would not come before that of a process that the constructor leaves behind
    with TemporaryFile() as request, TemporaryFile() as answer_file, TemporaryFile() as output:
        request.write(pickle.dumps(list(sys.path)) + pickle.dumps(config))
        request.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM],
            stdin=request,
            stdout=answer_file,
            stderr=output,
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                stopping.look()
                if time.monotonic() >= deadline:
                    raise ConfigError(
                        f"oracle: {config.oracle.target!r} was not ready within {limit_s:g} s; raise "
                        "evaluation.build_timeout_s if its constructor takes so long"
                    )
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_S)
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        answer_file.seek(0)
        output.seek(0)
        answers, printed = answer_file.read(), output.read().decode(errors="replace").strip()[-_MAX_OUTPUT:]
    if not answers:
        printed = printed or f"exit code {code}"
        raise ConfigError(f"oracle: {config.oracle.target!r}: its process died while it was being built: {printed}")
    description = pickle.loads(answers)
    if isinstance(description, ConfigError):
        raise description
    assert isinstance(description, OracleDescription)
    return description


def answer(requests: Any, answers: Any) -> None:
    """Build the oracle of a request, and answer with its description or the error; in the process of ``_ask``."""
    answer: OracleDescription | ConfigError
    try:
        answer = OracleDescription.of(build_oracle(pickle.load(requests)))
    except ConfigError as error:
        answer = ConfigError(f"oracle: {str(error).removeprefix('oracle: ')}")
        if error.__cause__ is not None:
            answer.add_note(user_traceback(error.__cause__))
    except BaseException as error:  # a constructor may call sys.exit
        answer = ConfigError(f"oracle: it cannot be built: {describe_error(error)}")
        answer.add_note(user_traceback(error))
    answers.write(pickle.dumps(answer))
    answers.flush()
    os._exit(0)  # threads of the oracle must not keep the campaign waiting
