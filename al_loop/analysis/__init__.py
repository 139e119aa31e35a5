"""Results of a campaign, read from its ledger: tables, figures and exports. Nothing here writes to a run.

- ``run``: ``open_run`` and the class ``Run``, which combines the modules below in one object for notebooks.
- ``tables``: the tables of a run as data frames.
- ``status``: the progress of a run in a few numbers.
- ``figures``: plots of progress, trade-offs and calibration.
- ``export``: tables as CSV or Parquet files.
- ``locate``: the ledger and the run directory behind a path or URL.

Importing it loads neither torch nor ray; matplotlib is loaded when a figure is drawn.
"""

from al_loop.analysis.export import export
from al_loop.analysis.run import Run, open_run
from al_loop.storage.locate import find_ledger, run_folder

__all__ = ["Run", "export", "find_ledger", "open_run", "run_folder"]
