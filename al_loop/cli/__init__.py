"""The command line. Commands import torch, ray and botorch only when required.

Exit codes: 0 success; 1 the campaign cannot continue, or a bug; 2 invalid input; 130 interrupted (Ctrl-C), 143 ended by
SIGTERM, both after a clean stop. The same command resumes a campaign, whatever ended it.

- ``app``: the application and ``main``; ``common``: exit codes, shared arguments, printing.
- ``run``, ``jobs`` (submit, logs, stop), ``sweep``, ``pretrain``, ``people`` (ask, tell, review), ``results`` (status,
  export), ``report``, ``reference`` (list, schema), ``check``: the commands.
- ``terminal``: progress, tables and summaries.
"""

import os
import sys

from al_loop.system.stopping import let_ctrl_c_kill

if os.path.basename(sys.argv[0]) in ("al-loop", "-m"):  # noqa: PTH119  not imported by another program
    let_ctrl_c_kill()

from al_loop.cli.app import app, main

__all__ = ["app", "main"]
