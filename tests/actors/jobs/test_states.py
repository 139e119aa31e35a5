"""Jobs as Ray's job server reports them."""

from __future__ import annotations

import pytest

from al_loop.actors.jobs.states import state_of
from tests.support.jobs import job


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Job is currently running.", ""),
        ("Job entrypoint command failed with exit code 1, last available logs:\nTraceback", ""),
        ("Job supervisor actor died: the node is gone\nmore", "Job supervisor actor died: the node is gone"),
        (
            "runtime_env setup failed: Failed.\n[Node 1] Traceback\n  raise\n  ERROR: no distribution for foo\n",
            "runtime_env setup failed: ERROR: no distribution for foo",
        ),
        ("runtime_env setup failed: Failed.\nOSError: disk full", "runtime_env setup failed: OSError: disk full"),
    ],
)
def test_what_ray_says_of_a_job_is_a_line(message: str, shown: str) -> None:
    assert state_of(job(message=message)).message == shown
