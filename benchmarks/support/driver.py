"""Campaigns in forked children of one process that has the imports already, so that many can be killed in a minute.

Run as a program it reads lines ``CONFIG RUN_DIR ADDRESS`` from standard input (ADDRESS: ``local``, or a Ray cluster's),
and prints the child's pid when it starts and its exit status when it is over (negative: the signal that ended it).
"""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Driver:
    """A process that runs campaigns, one at a time.

    folder: where it runs, and where what the campaigns print is kept (``driver.log``).
    """

    def __init__(self, folder: Path) -> None:
        with (folder / "driver.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            )

    def start(self, config: Path, run_dir: Path, address: str = "local") -> int:
        """Starts a campaign, or has it go on; returns its pid."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{config} {run_dir} {address}\n")
        self._process.stdin.flush()
        return self._read()

    def wait(self) -> int:
        """The exit status of the campaign that was started, once it is over."""
        return self._read()

    def _read(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()


def run(config: str, run_dir: str, address: str) -> int:
    from al_loop.campaign import Campaign
    from al_loop.campaign.reporter import Reporter
    from al_loop.config import load_config

    class Printed(Reporter):
        def note(self, message: str) -> None:
            print(message, file=sys.stderr)

    try:
        settings, executor = load_config(config), None
        if address != "local":
            from al_loop.actors.cluster.executor import RayExecutor

            executor = RayExecutor(settings, address)
        with Campaign(settings, run_dir, executor, Printed()) as campaign:
            campaign.run()
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    import botorch  # noqa: F401
    import scipy.stats  # noqa: F401
    import torch
    import torch._dynamo

    import al_loop.acquisitions.ucb
    import al_loop.actors.local
    import al_loop.environments.sequence
    import al_loop.features.one_hot
    import al_loop.gflownet.learner
    import al_loop.selectors.diverse
    import al_loop.surrogates.gp  # noqa: F401

    torch.set_num_threads(1)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.dup2(2, 1)  # what Ray prints is no answer of ours
            os._exit(run(*line.split()))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
