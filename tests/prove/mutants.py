"""Runs mutations on copies of the tree: each has to turn its test red, and by a failed assertion.

Two copies are used at a time, each by one pytest with one thread. The packages are those of the
virtual environment that runs the proof; what is imported of ours comes from the copy.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from prove.content_hashes import ROOT
from prove.mutations.mutation import Mutation
from prove.pytest_runs import Case, run_pytest
from prove.trainings import JOBS

_COPIED = ("interest_center", "models", "ranking", "streams", "tests", "pyproject.toml")
_ASSERTED = ("assert", "AssertionError")


@dataclass(frozen=True)
class Outcome:
    """What a mutation did.

    Attributes:
        mutation: The mutation.
        n_places: How often its text stands in its file.
        cases: How the tests ended.
    """

    mutation: Mutation
    n_places: int
    cases: list[Case]

    @property
    def trouble(self) -> str:
        """Why it does not count as caught, empty when it was."""
        if self.n_places != 1:
            return f"its text stands {self.n_places} times in {self.mutation.file}"
        odd = [case for case in self.cases if case.outcome in ("error", "skipped")]
        if odd:
            return f"{odd[0].name}: {odd[0].outcome}, {odd[0].message[:80]}"
        failed = [case for case in self.cases if not case.passed]
        if not failed:
            return "passed by " + self.mutation.test
        if not any(case.message.startswith(_ASSERTED) for case in failed):
            return f"{failed[0].name} ended by {failed[0].message[:80]}"
        return ""


def copy_tree(into: Path) -> Path:
    """Copy what the tests need; compiled loops come along, byte code does not."""
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, into / name, ignore=shutil.ignore_patterns("*.pyc"))
        else:
            into.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, into / name)
    return into


def green(root: Path, mutations: Sequence[Mutation], report: Path) -> list[Case]:
    """Run all tests of the mutations on an unchanged copy."""
    return run_pytest(root, sorted({mutation.test for mutation in mutations}), report)


def mutate(root: Path, mutation: Mutation, report: Path) -> Outcome:
    """Run the test of one mutation on a copy, which is put right again afterwards."""
    source = root / mutation.file
    text, times = source.read_text(), source.stat()
    if text.count(mutation.text) != 1:
        return Outcome(mutation, text.count(mutation.text), [])
    try:
        source.write_text(text.replace(mutation.text, mutation.replacement))
        return Outcome(mutation, 1, run_pytest(root, [mutation.test], report))
    finally:
        source.write_text(text)
        # Compiled loops are known by the time of their source.
        os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))


def mutated(
    copies: Sequence[Path], mutations: Sequence[Mutation], say: Callable[[str], None]
) -> Iterator[Outcome]:
    """Yield what each mutation did, in order."""
    free: SimpleQueue[Path] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def one(mutation: Mutation) -> Outcome:
        root = free.get()
        try:
            return mutate(root, mutation, root / "report.xml")
        finally:
            free.put(root)

    with ThreadPoolExecutor(JOBS) as threads:
        for number, outcome in enumerate(threads.map(one, mutations), start=1):
            say(f"mutation {number} of {len(mutations)}: {outcome.mutation.what}")
            yield outcome
