"""The command line as ``python -m al_loop.cli``."""

from al_loop.cli import main

if __name__ == "__main__":
    main()
