"""``uic evaluate``: how good a bundle is on samples, beside what it is compared with."""

import json
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from interest_center.core.errors import ConfigurationError
from interest_center.core.layout import StateConfig
from models.bootstrap import BootstrapOptions
from models.bundle import Bundle, load_bundle
from models.durations import parse_durations
from models.evaluation import Evaluation
from models.evaluation import evaluate as evaluate_scores
from models.ids_as_text import ids_as_text
from models.report import check_plots_available, write_report
from models.report_tables import figures_table, tables_of, terminal_table
from models.samples import PointInTime, point_in_time
from models.split_scores import (
    Besides,
    Join,
    SplitScores,
    score_split,
    split_requests,
    split_samples,
)
from models.table_notes import split_text, unread_columns
from models.tables import SPLITS, Events, Samples, read_events, read_samples

DEFAULT_THREADS = 2
_BOOTSTRAP = BootstrapOptions()


class Log:
    """The tables of a log, joined as each bundle's rules ask.

    Args:
        events: Path of the event table.
        samples: Path of the sample table.

    Raises:
        ConfigurationError: The sample table cannot be used.
    """

    def __init__(self, events: Path, samples: Path) -> None:
        self.events_path = events
        self.samples_path = samples
        self.samples = read_samples(samples)
        self._events: dict[tuple[str, ...], Events] = {}
        self._live: dict[StateConfig, PointInTime] = {}

    @property
    def files(self) -> dict[str, str]:
        """The files by name, for a report."""
        return {"events": str(self.events_path), "samples": str(self.samples_path)}

    def join(self, state: StateConfig, staleness_ms: int = 0) -> PointInTime:
        """Return what each sample sees, see ``point_in_time``.

        Raises:
            ConfigurationError: The event table cannot be used with these rules.
        """
        if staleness_ms == 0 and state in self._live:
            return self._live[state]
        # Codes of event types follow from the rules.
        if state.event_types not in self._events:
            self._events[state.event_types] = read_events(self.events_path, state)
        data = point_in_time(
            self._events[state.event_types], self.samples, state, staleness_ms=staleness_ms
        )
        if staleness_ms == 0:
            self._live[state] = data
        return data


def table_of(evaluation: Evaluation) -> Table:
    """Return the main figures as a terminal table."""
    return terminal_table(figures_table(evaluation))


def make_progress() -> Progress:
    """Return a progress bar with counts and the time that is left, on standard error."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def score_with_bar(
    bundle: Bundle, samples: Samples, split: str, join: Join, besides: Besides
) -> SplitScores:
    """Score a split with a progress bar, see ``score_split``."""
    n = len(split_requests(join(bundle.state, 0), samples, split)) * besides.n_scorings(bundle)
    with make_progress() as bar:
        task = bar.add_task("requests scored", total=n)
        return score_split(bundle, samples, split, join, besides, lambda k: bar.advance(task, k))


def evaluate_with_bar(
    bundle: Bundle, data: PointInTime, samples: Samples, split: str
) -> Evaluation:
    """Evaluate a bundle alone on data that were joined by its rules."""
    scores = score_with_bar(bundle, samples, split, lambda state, staleness_ms: data, Besides())
    return evaluate_scores(scores, _BOOTSTRAP)


def load_bases(directories: tuple[Path, ...]) -> dict[str, Bundle]:
    """Load the bundles to compare with, named by model and directory.

    Raises:
        BundleError: One of them is missing or damaged.
    """
    loaded = [(directory, load_bundle(directory)) for directory in directories]
    return {f"{bundle.name} ({directory})": bundle for directory, bundle in loaded}


def write_page(
    page: Path,
    log: Log,
    bundle: Bundle,
    scores: SplitScores,
    evaluation: Evaluation,
    request: int | None,
) -> None:
    """Write the HTML report, see ``write_html``."""
    from models.report_html import write_html
    from models.report_sections import ReportInput

    given = ReportInput(
        evaluation=evaluation,
        scores=scores,
        bundle=bundle,
        data=log.join(bundle.state),
        samples=log.samples,
        about=log.files,
        id_text=ids_as_text((log.events_path, log.samples_path)),
        request=request,
    )
    write_html(given, page)


EXAMPLE = """\b
Examples:
  uic evaluate --bundle bundle7 --events sim7/events.parquet \\
      --samples sim7/samples.parquet --split test --json
  uic evaluate --bundle mimn7 --base din7 --staleness 0,1h,1d,7d --html report.html \\
      --events sim7/events.parquet --samples sim7/samples.parquet
\b
Reading the intervals:
  They come from drawing users, each with all samples, again and again. Two
  models are told apart by the interval of their difference, which is much
  shorter than those of their figures: it tells nothing as long as it holds 0.
"""


@click.command("evaluate", epilog=EXAMPLE)
@click.option(
    "--bundle",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Directory that `uic train` wrote.",
)
@click.option(
    "--events", type=click.Path(dir_okay=False, path_type=Path), required=True,
    help="Event table, CSV or parquet.",
)  # fmt: skip
@click.option(
    "--samples", type=click.Path(dir_okay=False, path_type=Path), required=True,
    help="Sample table, CSV or parquet.",
)  # fmt: skip
@click.option("--split", type=click.Choice(SPLITS), default="test", show_default=True)
@click.option(
    "--base", "bases", multiple=True, type=click.Path(file_okay=False, path_type=Path),
    help="Another bundle to compare with, scored on the same samples; may be given again. The "
    "count baseline is always compared with.",
)  # fmt: skip
@click.option(
    "--staleness", default="", metavar="AGES",
    help="Ages of user states to score with besides the live ones, such as 0,1h,1d,7d: what is "
    "lost when states are only that fresh.",
)  # fmt: skip
@click.option(
    "--resamples", type=click.IntRange(min=2), default=_BOOTSTRAP.n_resamples, show_default=True,
    help="Draws of users for the intervals.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(min=0), default=_BOOTSTRAP.seed, show_default=True,
    help="Of the draws, and of what the HTML report samples.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON: auc, gauc, log_loss, n, ...")
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to write evaluation-SPLIT.json and .md; default: the bundle's directory.",
)
@click.option(
    "--html", "page", type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page with tables and plots to this file; it opens offline. Needs the extra "
    "`report`.",
)  # fmt: skip
@click.option(
    "--request", type=click.IntRange(min=0), metavar="ROW",
    help="Row of the sample table, the first is 0, whose attention the page shows; default: a "
    "typical clicked one.",
)  # fmt: skip
@click.option("--threads", default=DEFAULT_THREADS, show_default=True, help="Threads of torch.")
def evaluate(  # noqa: PLR0913 - one parameter an option
    directory: Path,
    events: Path,
    samples: Path,
    split: str,
    bases: tuple[Path, ...],
    staleness: str,
    resamples: int,
    seed: int,
    as_json: bool,
    report: Path | None,
    page: Path | None,
    request: int | None,
    threads: int,
) -> None:
    """Score a split of the samples as the running system would, and print the figures.

    Every sample sees the events strictly before its time, or below its watermark if there is one
    (see `uic train --help`). Beside the model stand the model without its memory, other bundles
    (--base), the count baseline (smoothed click rates of the training samples) and, for a simulated
    log, the oracle.

    Figures are AUC (exact), GAUC (AUC within users, weighted by impressions), log loss, calibration
    and RelaImpr, with 95 % intervals; once more by length of the history, trigger and page. Models
    made for triggers tell how far users follow them (p_trigger) by page.
    """
    lags_ms = parse_durations(staleness) if staleness else ()
    if request is not None and page is None:
        raise ConfigurationError("--request shows on the page only", hint="give --html FILE too")
    if page is not None:
        check_plots_available()
    torch.set_num_threads(threads)
    bundle = load_bundle(directory)
    log = Log(events, samples)
    for note in (*unread_columns(events, samples), split_text(samples, log.samples)):
        click.echo(note, err=True)
    if request is not None:
        # Found out now and not after all the scoring.
        split_samples(log.join(bundle.state), log.samples, split).place_of(request)
    besides = Besides(load_bases(bases), lags_ms)
    scores = score_with_bar(bundle, log.samples, split, log.join, besides)
    found = evaluate_scores(scores, BootstrapOptions(resamples, seed))
    console = Console()
    # The figures first: they are there even if the report cannot be written.
    if as_json:
        click.echo(json.dumps(found.to_dict()))
    else:
        for table in tables_of(found):
            console.print(terminal_table(table))
    written = [write_report(found, log.files, report or directory)]
    if page is not None:
        write_page(page, log, bundle, scores, found, request)
        written.append(page)
    if not as_json:
        console.print("report: " + ", ".join(map(str, written)))
