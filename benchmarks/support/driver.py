"""Campaigns and commands in forked children of one process with all imports loaded: many can be killed in a minute.

Run as a program, it reads JSON lists from standard input: ``["campaign", CONFIG, RUN_DIR, ADDRESS]`` (ADDRESS:
``local``, or the address of a Ray cluster) or ``["al-loop", COMMAND, ...]``. For each it prints the child's process ID
at the start and its exit status at the end (negative: the signal that killed it).
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Driver:
    """A process that runs campaigns, one at a time.

    Args:
        folder: its working directory; the output of the campaigns is appended to ``driver.log`` in it.
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
        """Start or resume a campaign.

        Args:
            config: the campaign's config file.
            run_dir: its run directory.
            address: ``local``, or the address of a Ray cluster.

        Returns:
            The campaign's process ID.
        """
        return self._start("campaign", str(config), str(run_dir), address)

    def command(self, *arguments: str) -> int:
        """Run a command of ``al-loop`` to its end, and return its exit status."""
        self._start("al-loop", *arguments)
        return self._read()

    def _start(self, *request: str) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._read()

    def is_running(self) -> bool:
        """Return whether the started campaign still runs."""
        assert self._process.stdout is not None
        return not select.select([self._process.stdout], [], [], 0)[0]

    def wait(self) -> int:
        """Wait for the end of the started campaign, and return its exit status."""
        return self._read()

    def _read(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()


def run(config: str, run_dir: str, address: str) -> int:
    """Run a campaign in this process; return its exit status: 128 and the number of a signal that stopped it."""
    from al_loop.system.stopping import Stopped, stop_on_signals

    with stop_on_signals():  # before the imports, in which KeyboardInterrupt may vanish
        from al_loop.campaign import Campaign
        from al_loop.campaign.reporter import Reporter
        from al_loop.config import load_config

        class NotePrinter(Reporter):
            def note(self, message: str) -> None:
                print(message, file=sys.stderr)

        try:
            settings, executor = load_config(config), None
            if address != "local":
                from al_loop.actors.cluster.executor import RayExecutor

                executor = RayExecutor(settings, address)
            with Campaign(settings, run_dir, executor, NotePrinter()) as campaign:
                campaign.run()
        except Stopped as stopped:
            print(f"stopped: {stopped.answers}", file=sys.stderr)
            return 128 + (stopped.signal_number or 0)
        except BaseException:
            traceback.print_exc()
            return 1
        return 0


def run_command(arguments: list[str]) -> int:
    """Run a command of ``al-loop`` in this process, and return its exit status."""
    from al_loop.cli import main as al_loop

    sys.argv = ["al-loop", *arguments]
    try:
        al_loop()
    except SystemExit as end:
        sys.stderr.flush()
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def main() -> None:
    """Load the imports, then fork a child for each line of standard input."""
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
            os.dup2(2, 1)  # standard output is for our replies alone, and Ray prints there
            kind, *arguments = json.loads(line)
            os._exit(run(*arguments) if kind == "campaign" else run_command(arguments))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
