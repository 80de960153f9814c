"""``uic convert``: public logs to the canonical tables that ``uic train`` reads."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from models.adapters.converted import (
    EVENTS_FILE,
    SAMPLES_FILE,
    STATE_FILE,
    Converted,
    counts_by_split,
    write_converted,
)
from models.adapters.movielens import convert_movielens


def _finish(converted: Converted, out: Path) -> None:
    """Write the tables and say what is in them."""
    write_converted(converted, out)
    table = Table(title=f"{len(converted.events):,} events")
    for head in ("split", "samples", "positive"):
        table.add_column(head, justify="left" if head == "split" else "right")
    for name, n, n_positive in counts_by_split(converted.samples):
        table.add_row(name, f"{n:,}", f"{n_positive / n:.1%}")
    console = Console()
    console.print(table)
    for note in converted.notes:
        console.print(note, highlight=False)
    console.print(f"{EVENTS_FILE}, {SAMPLES_FILE} and {STATE_FILE} written to {out}")


def _in_and_out(command: Any) -> Any:
    """Add the options that every log has."""
    data = click.option(
        "--data", type=click.Path(file_okay=False, exists=True, path_type=Path), required=True,
        help="Directory of the log's files.",
    )  # fmt: skip
    out = click.option(
        "--out", type=click.Path(file_okay=False, path_type=Path), required=True,
        help="Directory to write both tables and the state rules to.",
    )  # fmt: skip
    return data(out(command))


EXAMPLE = """\b
Example:
  uic convert movielens --data ml-1m --out tables
  uic train --events tables/events.parquet --samples tables/samples.parquet \\
    --state-config tables/state.json --out bundle
"""


@click.group("convert", epilog=EXAMPLE)
def convert() -> None:
    """Turn a public log into the tables of events and samples that `uic train` reads.

    Beside the tables stands state.json, the state rules that know the log's event types.
    """


@convert.command("movielens")
@_in_and_out
@click.option("--without-types", is_flag=True, help="One event type for every rating.")
def movielens(data: Path, out: Path, without_types: bool) -> None:
    """MovieLens-1M in the split of ReChorus 2.0: ratings in time order, label = rating >= 4.

    Every rating is an event, its type says the rating (rate1 to rate5). The column order, the row
    number of the rating, decides among ratings of the same second.
    """
    _finish(convert_movielens(data, with_types=not without_types), out)
