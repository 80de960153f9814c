"""The tables of an evaluation, once for terminal, Markdown and HTML."""

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table

from models.bootstrap import CONFIDENCE, MIN_USERS, Interval
from models.durations import duration_text
from models.evaluation import Evaluation, Figures, SegmentFigures
from models.segments import HISTORY, PAGE, TRIGGER

_MISSING = "-"
INTERVAL = f"{CONFIDENCE:.0%} interval"
SEGMENT_TITLES = {
    HISTORY: "By behaviors before the sample",
    TRIGGER: "By trigger",
    PAGE: "By page number",
}


@dataclass(frozen=True)
class ReportTable:
    """A table for people.

    Attributes:
        title: What it shows.
        columns: Heads; the first column names the rows, the others hold numbers.
        rows: Cells.
        note: What to know when reading it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def number(value: float, form: str = ".4f") -> str:
    """Return a figure as text, a dash where there is none."""
    return format(value, form) if math.isfinite(value) else _MISSING


def _percent(value: float) -> str:
    return f"{value:+.1f}%" if math.isfinite(value) else _MISSING


def interval_text(interval: Interval, form: str = ".4f") -> str:
    """Return an interval as text, a dash where there is none."""
    low, high = interval
    if not math.isfinite(low):
        return _MISSING
    # Signs part the ends already: a dash would read as one more.
    between = "/" if "+" in form else "-"
    return f"{low:{form}}{between}{high:{form}}"


def _missing_intervals(figures: Iterable[Figures]) -> str:
    """Say why a figure has no interval; nothing if all have one, or are none themselves."""
    if not any(math.isfinite(f["auc"]) and math.isnan(f["auc_interval"][0]) for f in figures):
        return ""
    return f"No interval ({_MISSING}) where the samples are of fewer than {MIN_USERS} users."


def figures_table(evaluation: Evaluation) -> ReportTable:
    """Return AUC, GAUC and log loss of everything that was evaluated."""
    closed = evaluation.gap_closed()
    note = "" if closed is None else f"Gap from count baseline to oracle closed: {closed:.0%}."
    note = " ".join(filter(None, (note, _missing_intervals(f for _, f in evaluation.rows()))))
    return ReportTable(
        f"{evaluation.model} {evaluation.bundle} on {evaluation.figures['n']:,} "
        f"{evaluation.split} samples",
        ("", "AUC", INTERVAL, "GAUC", INTERVAL, "log loss"),
        tuple(
            (
                name,
                number(f["auc"]),
                interval_text(f["auc_interval"]),
                number(f["gauc"]),
                interval_text(f["gauc_interval"]),
                number(f["log_loss"]),
            )
            for name, f in evaluation.rows()
        ),
        note,
    )


def comparison_table(evaluation: Evaluation) -> ReportTable:
    """Return the model less each base."""
    rows = []
    for comparison in evaluation.comparisons:
        d = comparison.difference
        rows.append(
            (
                comparison.base,
                number(d.auc, "+.4f"),
                interval_text(d.auc_interval, "+.4f"),
                number(d.gauc, "+.4f"),
                interval_text(d.gauc_interval, "+.4f"),
                _percent(comparison.rela_impr),
            )
        )
    return ReportTable(
        f"{evaluation.model} less each base",
        ("base", "AUC", INTERVAL, "GAUC", INTERVAL, "RelaImpr"),
        tuple(rows),
        "Differences are paired: both sides on the same draws of users. An interval that holds 0 "
        "tells nothing apart. RelaImpr: (AUC - 0.5) / (AUC of the base - 0.5) - 1.",
    )


def calibration_table(evaluation: Evaluation) -> ReportTable:
    """Return predicted and observed clicks of everything that was evaluated."""
    return ReportTable(
        "Calibration",
        ("", "click rate", "predicted / observed", "calibration error"),
        tuple(
            (
                name,
                number(f["click_rate"], ".2%"),
                number(f["predicted_to_observed"], ".3f"),
                number(f["calibration_error"]),
            )
            for name, f in evaluation.rows()
        ),
        "Predicted / observed is the sum of the predictions by the number of clicks. The "
        "calibration error is the mean distance of the two over bins of equal count.",
    )


def bins_table(evaluation: Evaluation) -> ReportTable:
    """Return the bins of the model's calibration."""
    return ReportTable(
        f"Calibration of {evaluation.model} by bins",
        ("bin", "samples", "predicted", "observed"),
        tuple(
            (str(k), f"{part.n:,}", f"{part.predicted:.2%}", f"{part.observed:.2%}")
            for k, part in enumerate(evaluation.calibration.bins, start=1)
        ),
        "From the lowest predictions to the highest; equal predictions share a bin.",
    )


def segment_table(kind: str, segments: Sequence[SegmentFigures]) -> ReportTable:
    """Return the figures of the segments of a kind."""
    return ReportTable(
        SEGMENT_TITLES[kind],
        ("", "samples", "click rate", "AUC", INTERVAL, "GAUC", "log loss", "predicted / observed"),
        tuple(
            (
                segment.name,
                f"{segment.figures['n']:,}",
                number(segment.figures["click_rate"], ".1%"),
                number(segment.figures["auc"]),
                interval_text(segment.figures["auc_interval"]),
                number(segment.figures["gauc"]),
                number(segment.figures["log_loss"]),
                number(segment.figures["predicted_to_observed"], ".3f"),
            )
            for segment in segments
        ),
        _missing_intervals(segment.figures for segment in segments),
    )


def trigger_table(evaluation: Evaluation) -> ReportTable:
    """Return how far users follow the trigger, by page number."""
    return ReportTable(
        "p_trigger by page number",
        ("page", "samples with a trigger", "p_trigger", "80% lie in"),
        tuple(
            (
                page.name,
                f"{page.n:,}",
                number(page.p_trigger, ".3f"),
                interval_text(page.p_trigger_range, ".3f"),
            )
            for page in evaluation.p_trigger_by_page
        ),
        "How probable the model takes it that the user follows the item that led here.",
    )


def staleness_table(evaluation: Evaluation) -> ReportTable:
    """Return what older states cost."""
    rows = []
    for older in evaluation.staleness:
        d = older.difference
        rows.append(
            (
                duration_text(older.lag_ms),
                number(older.figures["auc"]),
                number(d.auc, "+.4f"),
                interval_text(d.auc_interval, "+.4f"),
                number(older.figures["gauc"]),
                number(d.gauc, "+.4f"),
                interval_text(d.gauc_interval, "+.4f"),
                f"{older.missed_behaviors:.1f}",
            )
        )
    return ReportTable(
        "States of some age",
        ("age", "AUC", "less live", INTERVAL, "GAUC", "less live", INTERVAL, "lost"),
        tuple(rows),
        "Each sample sees only events older than itself by more than the age. Lost: behaviors "
        "that a sample sees live and not here, on average.",
    )


def tables_of(evaluation: Evaluation) -> list[ReportTable]:
    """Return every table of an evaluation, those without rows left out."""
    tables = [
        figures_table(evaluation),
        comparison_table(evaluation),
        calibration_table(evaluation),
        bins_table(evaluation),
        *(segment_table(*of_kind) for of_kind in evaluation.segments_by_kind().items()),
        trigger_table(evaluation),
        staleness_table(evaluation),
    ]
    return [table for table in tables if table.rows]


def terminal_table(table: ReportTable) -> Table:
    """Return a table for the terminal."""
    shown = Table(
        title=table.title,
        title_justify="left",
        title_style="bold",
        caption=table.note or None,
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    shown.add_column(table.columns[0], overflow="fold")
    for place, head in enumerate(table.columns[1:], start=1):
        # Heads give way to the numbers, which are never broken.
        widest = max(len(row[place]) for row in table.rows)
        head = textwrap.fill(head, widest, break_long_words=False)
        shown.add_column(head, justify="right", no_wrap=True)
    for row in table.rows:
        shown.add_row(*row)
    return shown


def markdown_table(table: ReportTable) -> str:
    """Return a table as Markdown, with its title and note."""
    lines = [f"## {table.title}", "", "| " + " | ".join(table.columns) + " |"]
    lines.append("|---" + "|--:" * (len(table.columns) - 1) + "|")
    lines += ["| " + " | ".join(row) + " |" for row in table.rows]
    if table.note:
        lines += ["", table.note]
    return "\n".join(lines) + "\n"
