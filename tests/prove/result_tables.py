"""Tables of results as Markdown, for a terminal and for ``docs/results.md``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prove.trainings import Result, by_label, cache_dir, mean_and_spread

HEADS = ("row", "seeds", "validation AUC", "AUC", "GAUC", "log loss", "seconds")


@dataclass
class ResultTable:
    """Rows of one table.

    Attributes:
        name: Of its file.
        title: Above the table.
        heads: Of its columns.
        rows: Its cells.
    """

    name: str
    title: str
    heads: Sequence[str] = HEADS
    rows: list[Sequence[str]] = field(default_factory=list)

    def add_trained(self, results: Sequence[Result]) -> None:
        """Add a row for each label: means over its seeds, and standard deviations."""
        for label, seeds in by_label(results):
            self.rows.append(trained_row(label, seeds))

    def add_published(self, label: str, auc: float, log_loss: float | None = None) -> None:
        """Add a row that somebody else has published."""
        loss = "" if log_loss is None else f"{log_loss:.4f}"
        self.rows.append((f"{label} (published)", "", "", f"{auc:.4f}", "", loss, ""))

    def add_baseline(self, result: Result) -> None:
        """Add the count baseline that stands beside a result."""
        told = result.figures["count_baseline"]
        cells = (told["auc"], told["gauc"], told["log_loss"])
        self.rows.append(("count baseline", "", "", *(f"{cell:.4f}" for cell in cells), ""))

    def markdown(self) -> str:
        """Return title and table."""
        lines = [self.heads, ["---"] + ["---:"] * (len(self.heads) - 1), *self.rows]
        return f"### {self.title}\n\n" + "".join(_line(cells) for cells in lines)

    def write(self) -> Path:
        """Write the table beside the results; return its file."""
        path = cache_dir() / "result-tables" / f"{self.name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.markdown())
        return path


def trained_row(label: str, seeds: Sequence[Result]) -> Sequence[str]:
    """Return the cells of a trained row, in the order of ``HEADS``."""
    validation = [one.validation["auc"] for one in seeds]
    columns = [validation] + [figures_of(seeds, name) for name in ("auc", "gauc", "log_loss")]
    seconds, _ = mean_and_spread([one.seconds for one in seeds])
    return (label, str(len(seeds)), *(with_spread(values) for values in columns), f"{seconds:.0f}")


def figures_of(seeds: Iterable[Result], name: str) -> list[float]:
    """Return one test figure of each seed."""
    return [float(one.figures[name]) for one in seeds]


def with_spread(values: Sequence[float]) -> str:
    """Return mean and, of several values, standard deviation."""
    mean, spread = mean_and_spread(values)
    return f"{mean:.4f} ± {spread:.4f}" if len(values) > 1 else f"{mean:.4f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"
