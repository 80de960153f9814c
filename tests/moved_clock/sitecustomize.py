"""Moves the clock of a process: ``time.time`` is off by the seconds that a file says.

Python imports this by itself in a process whose PYTHONPATH names this directory.
"""

import os
import time
from pathlib import Path

_real, _file = time.time, Path(os.environ["TEST_CLOCK_FILE"])


def _moved() -> float:
    return _real() + float(_file.read_text() or 0)


def _moved_ns() -> int:
    return int(_moved() * 1e9)


time.time, time.time_ns = _moved, _moved_ns
