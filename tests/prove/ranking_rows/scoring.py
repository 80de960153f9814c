"""``make bench-scoring``, run once for the lines that read it."""

from functools import cache
from pathlib import Path
from typing import Any

from prove.benches import make_bench

RUNS = 5


@cache
def measured(log: Path) -> dict[str, Any]:
    """Return what the benchmark says."""
    return make_bench("bench-scoring", f"--runs {RUNS}", log)
