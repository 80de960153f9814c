"""How the benchmarks measure and print: several runs, minimum, median and maximum.

Times vary from machine to machine and from minute to minute: quote the median, and ratios of
figures of one run only.
"""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import Progress
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One measured quantity over several runs."""

    name: str
    unit: str
    values: tuple[float, ...]

    def summary(self) -> dict[str, str | float | int]:
        """Return the figure as one JSON line."""
        return {
            "name": self.name,
            "unit": self.unit,
            "runs": len(self.values),
            "min": min(self.values),
            "median": statistics.median(self.values),
            "max": max(self.values),
        }


@dataclass
class Benchmark:
    """Collects figures behind a progress bar on standard error.

    Args:
        title: Heading of the table.
        runs: Runs of each figure, after one that is thrown away (it compiles and warms up).
    """

    title: str
    runs: int
    figures: list[Figure] = field(default_factory=list)
    _progress: Progress = field(init=False)

    def __post_init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(console=console, transient=True, disable=not console.is_terminal)

    def rate(self, name: str, unit: str, n_things: int, run: Callable[[], object]) -> None:
        """Measure how many things a second ``run`` gets through."""
        self._add(name, unit, [n_things / seconds for seconds in self._times(name, run)])

    def duration(self, name: str, n_calls: int, run: Callable[[], object]) -> None:
        """Measure the milliseconds of one of the ``n_calls`` that ``run`` makes."""
        self._add(name, "ms", [1e3 * seconds / n_calls for seconds in self._times(name, run)])

    def _times(self, name: str, run: Callable[[], object]) -> list[float]:
        """Return the seconds of each run."""
        seconds = []
        with self._progress:
            task = self._progress.add_task(name, total=self.runs + 1)
            for _ in range(self.runs + 1):
                began = time.perf_counter()
                run()
                seconds.append(time.perf_counter() - began)
                self._progress.advance(task)
            self._progress.remove_task(task)
        return seconds[1:]

    def _add(self, name: str, unit: str, values: list[float]) -> None:
        self.figures.append(Figure(name, unit, tuple(values)))

    def show(self, as_json: bool) -> None:
        """Print a table, or a JSON line a figure."""
        console = Console(soft_wrap=as_json)
        if as_json:
            for figure in self.figures:
                console.out(json.dumps(figure.summary()), highlight=False)
            return
        machine = f"{platform.machine()}, {os.cpu_count()} CPU cores, Python"
        table = Table(
            title=f"{self.title}\n{machine} {platform.python_version()}, {self.runs} runs each"
        )
        table.add_column("figure")
        for head in ("min", "median", "max", "unit"):
            table.add_column(head, justify="left" if head == "unit" else "right")
        for figure in self.figures:
            row = figure.summary()
            cells = [_readable(float(row[key])) for key in ("min", "median", "max")]
            table.add_row(figure.name, *cells, figure.unit)
        console.print(table)


def _readable(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3f}"
