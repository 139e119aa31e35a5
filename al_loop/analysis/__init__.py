"""Results of a campaign: tables, figures, exports."""

from al_loop.analysis.run import Run, export, find_ledger, open_run, run_folder

__all__ = ["Run", "export", "find_ledger", "open_run", "run_folder"]
