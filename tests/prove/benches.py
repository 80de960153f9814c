"""Runs benchmarks and reads their JSON: ``uic bench``, and those that ``make`` has a verb for."""

import json
import os
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prove.content_hashes import ROOT
from prove.rows import NotShownError
from prove.system import UIC, Process, SystemFailedError

SECONDS = 7_200.0
MAKE_SECONDS = 3_600.0
#: Made by `make prove SUITE=engine` and `make bench-engine`.
PEERS_UIC = ROOT / ".venv-engine-peers" / "bin" / "uic"


def bench(what: str, *arguments: str, peers: Sequence[str] = ()) -> dict[str, Any]:
    """Run one benchmark and return what it says.

    Raises:
        NotShownError: The environment of the peers is not there.
        SystemFailedError: The benchmark did not come to its end.
    """
    uic = UIC
    if peers:
        uic = str(PEERS_UIC)
        if not PEERS_UIC.exists():
            raise NotShownError("no environment of the peers: `make prove SUITE=engine` makes it")
    command = [uic, "bench", what, "--json", *arguments]
    for peer in peers:
        command += ["--peer", peer]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    if not done.stdout.strip():
        raise SystemFailedError(f"{' '.join(command[1:])} ended: {done.stderr[-1_000:]}")
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def make_bench(verb: str, arguments: str, log: Path) -> dict[str, Any]:
    """Run a benchmark by its verb of the Makefile and return what it says.

    Raises:
        SystemFailedError: It did not come to its end.
    """
    argv = ["make", "--no-print-directory", verb, f"ARGS=--json {arguments}"]
    process = Process(f"make {verb}", argv, os.environ, log, ROOT)
    try:
        status = process.wait(MAKE_SECONDS)
    finally:
        process.stop()
    if status:
        raise SystemFailedError(f"{process.name}: {process.tail()}")
    said = process.said()
    told: dict[str, Any] = json.loads(said[said.index("{\n") :])
    return told


def three(values: Mapping[str, float], form: str = "{:.2f}") -> str:
    """Return least, middle and largest value, as these benchmarks tell them."""
    return " / ".join(form.format(values[name]) for name in ("min", "median", "max"))


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """Return minimum, median and maximum as text."""
    shown = (min(values), statistics.median(values), max(values))
    return " / ".join(format(value, form) for value in shown)


def of_ours(said: dict[str, Any], *path: str) -> list[float]:
    """Return one figure of each of our runs."""
    found = []
    for run in said["runs"]["interest center"]:
        value = run
        for part in path:
            value = value[part]
        found.append(float(value))
    return found
