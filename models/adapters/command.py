"""``uic convert``: public logs to the canonical tables that ``uic train`` reads."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from models.adapters.amazon import convert_amazon
from models.adapters.converted import (
    EVENTS_FILE,
    SAMPLES_FILE,
    STATE_FILE,
    Converted,
    write_converted,
)
from models.adapters.ebnerd import convert_ebnerd
from models.adapters.movielens import convert_movielens
from models.adapters.taobao import convert_taobao
from models.negatives import POPULARITY, UNIFORM, Policy
from models.sampling_command import drawing_bar, negative_options, split_table


def _finish(converted: Converted, out: Path) -> None:
    """Write the tables and say what is in them."""
    write_converted(converted, out)
    console = Console()
    console.print(split_table(converted.samples, f"{len(converted.events):,} events"))
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


EPILOG = """\b
Files that the directory --data holds:
  movielens  ratings_rebuilt.csv.gz, movies.dat
  ebnerd     impressions.csv.gz, history.csv.gz
  amazon     stream.csv.gz or stream.csv
  taobao     UserBehavior.csv or UserBehavior.csv.gz

\b
Example:
  uic convert movielens --data ml-1m --out tables
  uic train --events tables/events.parquet --samples tables/samples.parquet \\
    --state-config tables/state.json --out bundle
"""


@click.group("convert", epilog=EPILOG)
def convert() -> None:
    """Turn a public log into the tables of events and samples that `uic train` reads.

    Beside the tables stands state.json, the state rules that know the log's event types.
    """


@convert.command("movielens")
@_in_and_out
@click.option("--without-types", is_flag=True, help="One event type for every rating.")
def movielens(data: Path, out: Path, without_types: bool) -> None:
    """MovieLens-1M in the split of ReChorus 2.0: ratings in time order, label = rating >= 4.

    Needs ratings_rebuilt.csv.gz (columns user, item, rating, timestamp, split) and movies.dat.
    Every rating is an event, its type says the rating (rate1 to rate5). The column order, the row
    number of the rating, decides among ratings of the same second.
    """
    _finish(convert_movielens(data, with_types=not without_types), out)


@convert.command("ebnerd")
@_in_and_out
def ebnerd(data: Path, out: Path) -> None:
    """EB-NeRD: news articles in view, label = clicked, trigger = the article the reader was on.

    Needs impressions.csv.gz and history.csv.gz. The earlier week trains, its last day validates,
    the later week tests. An event is the opening of an article; category_id is the article's age.
    """
    _finish(convert_ebnerd(data), out)


@convert.command("amazon")
@_in_and_out
@negative_options(POPULARITY, 1)
def amazon(data: Path, out: Path, negatives: str, per_positive: int, seed: int) -> None:
    """Amazon Reviews 2023, electronics: each review beside drawn items, in the split of the file.

    Needs stream.csv.gz. Every review is an event, its type says the rating: purchase (4 and 5),
    view (3), dislike.
    """
    with drawing_bar() as on_drawn:
        converted = convert_amazon(data, Policy(negatives, per_positive), seed, on_drawn)
    _finish(converted, out)


@convert.command("taobao")
@_in_and_out
@negative_options(UNIFORM, 1)
def taobao(data: Path, out: Path, negatives: str, per_positive: int, seed: int) -> None:
    """Taobao UserBehavior: each click beside drawn items; the last day tests.

    Needs UserBehavior.csv. Every behaviour is an event: click (pv), cart, favorite (fav), purchase
    (buy). The trigger is the user's latest click before, if it is at most 4 hours old.
    """
    with drawing_bar() as on_drawn:
        converted = convert_taobao(data, Policy(negatives, per_positive), seed, on_drawn)
    _finish(converted, out)
