"""The command line as ``python -m al_loop``, which imports the same modules as the console script does."""

import os
import sys

import al_loop

if __name__ == "__main__":
    # Python puts the current folder first, where al-loop's libraries would import a user's random.py
    root = os.path.dirname(al_loop.__path__[0])  # noqa: PTH120  pathlib would import some of them
    if not sys.flags.safe_path and os.path.realpath(sys.path[0]) != os.path.realpath(root):
        sys.path.append(sys.path.pop(0))

    from al_loop.cli import main

    main()
