"""Entry of ``python tests/prove``; the command itself is in ``command.py``."""

import sys
from importlib import import_module
from pathlib import Path

# Run as a directory, Python puts that directory on the path; `prove` lies beside it.
sys.path[0] = str(Path(__file__).resolve().parents[1])

if __name__ == "__main__":
    import_module("prove.command").main()
