"""``make bench-scoring``, run once for the lines that read it."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from prove.content_hashes import ROOT
from prove.system import Process, SystemFailedError

RUNS = 5
SECONDS = 3_600.0

Figures = dict[str, dict[str, float]]


@cache
def measured(log: Path) -> dict[str, Any]:
    """Return what the benchmark says.

    Raises:
        SystemFailedError: It did not come to its end.
    """
    given = f"ARGS=--json --runs {RUNS}"
    argv = ["make", "--no-print-directory", "bench-scoring", given]
    process = Process("make bench-scoring", argv, os.environ, log, ROOT)
    try:
        status = process.wait(SECONDS)
    finally:
        process.stop()
    if status:
        raise SystemFailedError(f"{process.name}: {process.tail()}")
    said = process.said()
    told: dict[str, Any] = json.loads(said[said.index("{\n") :])
    return told


def three(values: dict[str, float], form: str = "{:.2f}") -> str:
    """Return least, middle and largest value."""
    return " / ".join(form.format(values[name]) for name in ("min", "median", "max"))
