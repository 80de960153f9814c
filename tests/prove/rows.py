"""What a line of a suite is made of, and how its row reads as text and as JSON.

A line is proven by checks. A check that is required and falls short makes the line fail; one that
is only an aim is printed as missed. A line without a single required or aimed check fails as well:
nothing was shown.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np


class NotShownError(Exception):
    """A line cannot be shown here, for example because its log is not there; it never passes."""


@dataclass(frozen=True)
class Check:
    """One figure beside its target.

    Attributes:
        what: What was measured or compared.
        figure: The figure, with its unit.
        target: What it has to be.
        ok: Whether it is.
        aim: True when the target is an aim: falling short is printed, and does not fail the line.
    """

    what: str
    figure: str
    target: str
    ok: bool
    aim: bool = False


def aim(what: str, figure: str, target: str, ok: bool) -> Check:
    """Return a check whose target is only aimed at."""
    return Check(what, figure, target, bool(ok), aim=True)


def figure(what: str, text: str) -> Check:
    """Return a figure without a target: it is printed and can neither pass nor fail a line."""
    return Check(what, text, "", ok=True)


def equal(what: str, got: object, wanted: object) -> Check:
    """Return a check that two values are equal."""
    return Check(what, str(got), str(wanted), got == wanted)


@dataclass
class Bench:
    """What a line gets: a working directory, the real logs, a seed and a way to say where it is.

    Attributes:
        workspace: Empty directory of this line; removed when the suite ends.
        data_dir: Directory of the real logs, ``UIC_DATA_DIR``.
        seed: Seed of the whole suite, printed; ``rng`` is drawn from it.
        say: Shows a sentence beside the progress bar.
    """

    workspace: Path
    data_dir: Path
    seed: int
    say: Callable[[str], None] = print

    def rng(self, *labels: int) -> np.random.Generator:
        """Return a random stream of its own for these labels."""
        return np.random.default_rng([self.seed, *labels])

    def log_file(self, *parts: str) -> Path:
        """Return the path of a real log.

        Raises:
            NotShownError: It is not there.
        """
        path = self.data_dir.joinpath(*parts)
        if not path.exists():
            raise NotShownError(f"log not there: {path} (set UIC_DATA_DIR)")
        return path


@dataclass(frozen=True)
class Line:
    """One line of "Must show".

    Attributes:
        number: Its number in the issue.
        title: What it claims, in a few words.
        prove: Yields the checks that show it, as they come.
    """

    number: int
    title: str
    prove: Callable[[Bench], Iterator[Check]]


@dataclass
class Row:
    """The outcome of one line."""

    number: int
    what: str
    checks: list[Check]
    error: str = ""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether nothing that is required falls short and something was shown at all."""
        shown = [check for check in self.checks if check.target]
        return bool(shown) and not self.error and all(c.ok or c.aim for c in self.checks)

    @property
    def missed(self) -> bool:
        """Whether the line holds but an aim of it was missed."""
        return self.passed and not all(check.ok for check in self.checks)

    @property
    def verdict(self) -> str:
        """Return ``ok``, ``missed`` or ``FAILED``."""
        if not self.passed:
            return "FAILED"
        return "missed" if self.missed else "ok"

    def as_json(self) -> str:
        """Return the row as one line of JSON; ``ok`` is true, false or ``"missed"``."""
        ok: bool | str = "missed" if self.missed else self.passed
        return json.dumps(
            {
                "number": self.number,
                "what": self.what,
                "figure": self.figure_text(),
                "target": self.target_text(),
                "ok": ok,
                "seconds": round(self.seconds, 1),
                "error": self.error or None,
                "checks": [asdict(check) for check in self.checks],
            }
        )

    def figure_text(self) -> str:
        """Return all figures of the line in one sentence."""
        parts = [f"{check.what}: {check.figure}" for check in self.checks]
        return "; ".join([*parts, self.error] if self.error else parts)

    def target_text(self) -> str:
        """Return all targets of the line in one sentence."""
        with_target = [check for check in self.checks if check.target]
        return "; ".join(f"{c.what}: {'aim ' if c.aim else ''}{c.target}" for c in with_target)


def prove_line(line: Line, bench: Bench) -> Row:
    """Run one line to its end, whatever happens inside it.

    This is the composition root of the command: any error of a line becomes its row, so that one
    broken line neither hides nor stops the others.
    """
    row = Row(line.number, line.title, [])
    started = time.monotonic()
    try:
        for check in line.prove(bench):
            row.checks.append(check)
            bench.say(f"{check.what}: {check.figure}")
    except NotShownError as error:
        row.error = f"not shown: {error}"
    except Exception as error:
        row.error = f"{type(error).__name__}: {error}"
    row.seconds = time.monotonic() - started
    return row
