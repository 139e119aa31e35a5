"""Executes notebooks and keeps them with their outputs for the site: python docs/execute_notebooks.py NAME...

`analyse_a_run` needs a run of the quickstart: --run DIRECTORY.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

from al_loop.analysis.notebook import METADATA

ROOT = Path(__file__).parents[1]
EXECUTED = Path(__file__).parent / "executed"


def main() -> None:
    """Run the command."""
    sources = {path.stem: path for path in (ROOT / "notebooks").glob("*.py")}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *sources], help="default: all")
    parser.add_argument("--run", default="runs/quickstart")
    arguments = parser.parse_args()
    os.environ |= {"AL_LOOP_RUN": str(Path(arguments.run).absolute()), "COLUMNS": "110", "PYTHONPATH": str(ROOT)}
    EXECUTED.mkdir(exist_ok=True)
    for name in arguments.names or sources:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["AL_LOOP_FIGURES"] = folder
            notebook = jupytext.read(sources[name])
            notebook.metadata.update(METADATA)
            NotebookClient(notebook, timeout=3600, resources={"metadata": {"path": folder}}).execute()
        for cell in notebook.cells:
            cell.metadata.clear()
        text = nbformat.writes(notebook).replace(folder, ".").replace(str(ROOT), "~/al-loop")
        (EXECUTED / f"{name}.ipynb").write_text(text.rstrip() + "\n", encoding="utf-8")
        print(f"{name}: {len(text) / 1024:.0f} KB", flush=True)


if __name__ == "__main__":
    main()
