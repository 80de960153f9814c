"""Line 7: the numeric vectors, also from another folder, and shown to fail on changed numbers."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prove.pytest_runs import run_pytest
from prove.rows import Bench, Check, NotShownError, figure

ROOT = Path(__file__).resolve().parents[3]
OURS = ROOT / "tests" / "golden" / "vectors"
FILES = {
    name[:2]: name
    for name in (
        "01_din_attention.json",
        "02_dice_prelu.json",
        "05_mimn_step.json",
        "06_memory_utilisation_loss.json",
        "10_metrics.json",
    )
}


def golden_tests(
    vectors: Path, report: Path, files: Iterable[str] = FILES
) -> dict[str, Counter[str]]:
    """Run the golden tests on a folder; return how many passed and failed by file number."""
    outcomes: dict[str, Counter[str]] = {number: Counter() for number in files}
    for case in run_pytest(ROOT, ["tests/golden", "--vectors", str(vectors)], report):
        number = case.parameters[-1]
        if number in outcomes:
            outcomes[number]["passed" if case.passed else "failed"] += 1
    return outcomes


def moved(value: Any) -> Any:
    """Return the same structure with every number that is no whole one moved by 1e-3."""
    if isinstance(value, dict):
        return {name: moved(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [moved(inner) for inner in value]
    return value + 1e-3 if isinstance(value, float) else value


def told(outcomes: dict[str, Counter[str]]) -> str:
    """Return the outcome by file."""
    return ", ".join(f"{n}: {dict(counts) or 'no test'}" for n, counts in outcomes.items())


def prove(bench: Bench) -> Iterator[Check]:
    """Run the tests on our copy, on the shared folder if it is there, and on changed outputs."""
    folders = {"tests/golden/vectors": OURS}
    shared = bench.data_dir.parent / "reference" / "vectors"
    if shared.is_dir():
        folders["the shared folder"] = shared
    else:
        yield figure("the shared folder", f"not there: {shared}")
    for name, folder in folders.items():
        outcomes = golden_tests(folder, bench.workspace / "report.xml")
        fine = all(counts["passed"] and not counts["failed"] for counts in outcomes.values())
        yield Check(f"vectors of {name}", told(outcomes), "all of 01 02 05 06 10 pass", fine)
    changed = bench.workspace / "changed"
    changed.mkdir()
    for name in FILES.values():
        content = json.loads((OURS / name).read_text())
        if "output" not in content:
            raise NotShownError(f"{name} has no output")
        content["output"] = moved(content["output"])
        (changed / name).write_text(json.dumps(content))
    outcomes = golden_tests(changed, bench.workspace / "changed.xml")
    seen = all(counts["failed"] for counts in outcomes.values())
    yield Check("outputs moved by 1e-3", told(outcomes), "some test of each file fails", seen)
