"""``uic evaluate``: AUC, GAUC and log loss of a bundle on samples."""

import json
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from models.bundle import Bundle, load_bundle
from models.evaluation import Evaluation, evaluate_bundle, split_requests, write_report
from models.samples import PointInTime, point_in_time
from models.tables import SPLITS, Samples, read_events, read_samples

DEFAULT_THREADS = 2


def table_of(evaluation: Evaluation) -> Table:
    """Return the figures as a terminal table."""
    table = Table(title=f"{evaluation.model} {evaluation.bundle} on {evaluation.split}")
    for head in ("", "AUC", "GAUC", "log loss", "samples"):
        table.add_column(head, justify="right" if head else "left")
    for name, f in evaluation.rows():
        table.add_row(
            name, f"{f['auc']:.4f}", f"{f['gauc']:.4f}", f"{f['log_loss']:.4f}", f"{f['n']:,}"
        )
    closed = evaluation.gap_closed()
    if closed is not None:
        table.caption = f"gap from count baseline to oracle closed: {closed:.0%}"
    return table


def make_progress() -> Progress:
    """Return a progress bar with counts and the time that is left, on standard error."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def evaluate_with_bar(
    bundle: Bundle, data: PointInTime, samples: Samples, split: str
) -> Evaluation:
    """Score a split with a progress bar, see ``evaluate_bundle``."""
    n = len(split_requests(data, samples, split)) * (1 if bundle.updater is None else 2)
    with make_progress() as bar:
        task = bar.add_task("requests scored", total=n)
        return evaluate_bundle(bundle, data, samples, split, lambda k: bar.advance(task, k))


EXAMPLE = """\b
Example:
  uic evaluate --bundle bundle7 --events sim7/events.parquet \\
      --samples sim7/samples.parquet --split test --json
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
@click.option("--json", "as_json", is_flag=True, help="Print JSON: auc, gauc, log_loss, n, ...")
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to write evaluation-SPLIT.json and .md; default: the bundle's directory.",
)
@click.option("--threads", default=DEFAULT_THREADS, show_default=True, help="Threads of torch.")
def evaluate(  # noqa: PLR0913 - one parameter an option
    directory: Path,
    events: Path,
    samples: Path,
    split: str,
    as_json: bool,
    report: Path | None,
    threads: int,
) -> None:
    """Score a split of the samples as the running system would, and print the figures.

    Every sample sees the events strictly before its time. Beside the model stand the model without
    its memory, the count baseline (smoothed click rates of the training samples) and, for a
    simulated log, the oracle.
    """
    torch.set_num_threads(threads)
    bundle = load_bundle(directory)
    shown = read_samples(samples)
    data = point_in_time(read_events(events, bundle.state), shown, bundle.state)
    found = evaluate_with_bar(bundle, data, shown, split)
    # The figures first: they are there even if the report cannot be written.
    if as_json:
        click.echo(json.dumps(found.to_dict()))
    else:
        Console().print(table_of(found))
    about = {"events": str(events), "samples": str(samples)}
    path = write_report(found, about, report or directory)
    if not as_json:
        Console().print(f"report: {path}")
