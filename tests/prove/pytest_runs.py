"""Runs pytest on a tree, ours or a copy of it, and reads from its report how every test ended."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from prove.system import SystemFailedError

SECONDS = 3_600.0
_BAD = ("failure", "error", "skipped")


@dataclass(frozen=True)
class Case:
    """How one test ended.

    Attributes:
        module: ``tests.contract.test_rankers``.
        name: With its parameters in brackets.
        outcome: ``passed``, ``failure``, ``error`` or ``skipped``.
        message: Why, empty for one that passed.
    """

    module: str
    name: str
    outcome: str
    message: str

    @property
    def passed(self) -> bool:
        """Whether it passed."""
        return self.outcome == "passed"

    @property
    def function(self) -> str:
        """Its name without the parameters."""
        return self.name.partition("[")[0]

    @property
    def parameters(self) -> list[str]:
        """What stands between the brackets, parted at its hyphens."""
        return self.name.partition("[")[2].removesuffix("]").split("-")


def run_pytest(root: Path, arguments: Sequence[str], report: Path) -> list[Case]:
    """Run pytest with one thread in a directory; no byte code is written.

    Args:
        root: Of the tree.
        arguments: Paths and options.
        report: Where to write the report.

    Raises:
        SystemFailedError: Pytest did not come to its end.
    """
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", *arguments, "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, f"--junitxml={report}"],
        cwd=root,
        # A mutated source may have size and second of the one before it.
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    if not report.exists():
        raise SystemFailedError(f"pytest ended {done.returncode}: {done.stdout[-1_000:]}")
    return [_case(case) for case in ElementTree.parse(report).iter("testcase")]


def _case(case: ElementTree.Element) -> Case:
    for outcome in _BAD:
        found = case.find(outcome)
        if found is not None:
            return Case(
                case.get("classname", ""), case.get("name", ""), outcome, found.get("message", "")
            )
    return Case(case.get("classname", ""), case.get("name", ""), "passed", "")
