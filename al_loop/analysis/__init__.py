"""Results of a campaign: tables, figures, exports."""

from al_loop.analysis.locate import find_ledger, run_folder
from al_loop.analysis.run import Run, export, open_run

__all__ = ["Run", "export", "find_ledger", "open_run", "run_folder"]
