"""Runs campaigns in forked children, so that a test can kill many of them without paying for the imports each time.

Reads lines ``CONFIG RUN_DIR`` from standard input; prints the child's pid when it starts and its exit status when it is
over (negative: the signal that ended it).
"""

import os
import sys
import traceback

import botorch  # noqa: F401
import scipy.stats  # noqa: F401
import torch
import torch._dynamo

import actors.local  # noqa: F401
import al_loop.acquisitions.ucb
import al_loop.environments.sequence
import al_loop.features.one_hot
import al_loop.gflownet.learner
import al_loop.selectors.diverse
import al_loop.surrogates.gp  # noqa: F401
from al_loop.campaign import Campaign
from al_loop.config import load_config


def run(config: str, run_dir: str) -> int:
    try:
        with Campaign(load_config(config), run_dir) as campaign:
            campaign.run()
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    torch.set_num_threads(1)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os._exit(run(*line.split()))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
