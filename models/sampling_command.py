"""``uic sample``: a table of samples out of a user's own event log, negatives drawn by a policy."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import click
import polars as pl
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from interest_center.core.errors import ConfigurationError
from interest_center.core.events import MAX_PRICE
from models.bundle_files import write_atomically, writing
from models.columns import read_columns
from models.durations import parse_duration
from models.negatives import POLICIES, Policy
from models.sampling import OnDrawn, SamplingPlan, make_samples, split_by_time
from models.table_notes import unread_columns
from models.tables import EVENT_COLUMNS, PRICE_COLUMN, SPLITS, event_types_in

#: Longer than any log: the times of the event contract span a century.
_MOST_DAYS = 36_525
_SUFFIXES = (".parquet", ".csv")


class _Days(click.ParamType):
    """Days of 24 hours, more than none."""

    name = "float"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; inf and nan, which are floats as well, are none."""
        try:
            days = float(value)
        except ValueError:
            days = math.nan
        if not 0 < days <= _MOST_DAYS:
            self.fail(f"{value!r} is not a number of days, such as 1 or 0.5", param, ctx)
        return days


def negative_options(policy: str, per_positive: int) -> Callable[[Any], Any]:
    """Add the options of negative sampling, with these defaults."""
    name = click.option(
        "--negatives", type=click.Choice(POLICIES), default=policy, show_default=True,
        help="uniform: any item alike; popularity: as often as it is chosen; category: an item of "
        "the positive's category.",
    )  # fmt: skip
    number = click.option(
        "--per-positive", type=click.IntRange(1, 63), default=per_positive, show_default=True,
        help="Negatives beside each positive.",
    )  # fmt: skip
    seed = click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True,
        help="The same seed draws the same negatives.",
    )  # fmt: skip
    return lambda command: name(number(seed(command)))


@contextmanager
def drawing_bar() -> Iterator[OnDrawn]:
    """Show on standard error how many positives have their negatives."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("negatives", total=None)
        yield lambda n_drawn, n_positives: bar.update(task, completed=n_drawn, total=n_positives)


def split_table(samples: pl.DataFrame, title: str) -> Table:
    """Return how many samples each split has, and how many of them are positive."""
    table = Table(title=title)
    for head in ("split", "samples", "positive"):
        table.add_column(head, justify="left" if head == "split" else "right")
    rows = samples.group_by("split").agg(pl.len(), pl.col("label").mean()).iter_rows()
    counted = {name: (n, share) for name, n, share in rows}
    for name in (name for name in SPLITS if name in counted):
        table.add_row(name, f"{counted[name][0]:,}", f"{counted[name][1]:.1%}")
    return table


def read_log(path: Path) -> pl.DataFrame:
    """Read an event table as ``uic train`` does, its ids as they are written.

    Of a user's events with the same ``event_id`` the first one stays.

    Raises:
        ConfigurationError: A column is missing or holds what it must not.
    """
    table = read_columns(path, EVENT_COLUMNS)
    for name in ("user_id", "item_id"):
        table.ids(name)
    table.optional_ids("category_id")
    log = {name: table.as_read(name) for name in ("user_id", "item_id")}
    log["event_type"] = table.texts("event_type")
    log["event_time_ms"] = pl.Series(table.times_ms("event_time_ms"))
    if "category_id" in table:
        log["category_id"] = table.as_read("category_id")
    if PRICE_COLUMN in table:
        prices = table.optional_amounts(PRICE_COLUMN, MAX_PRICE)
        log[PRICE_COLUMN] = pl.Series(prices, nan_to_null=True)
    if "event_id" in table:
        log["event_id"] = pl.Series(table.hashed_ids("event_id"))
        return pl.DataFrame(log).unique(["user_id", "event_id"], keep="first", maintain_order=True)
    return pl.DataFrame(log)


def _write(samples: pl.DataFrame, out: Path) -> None:
    packed = BytesIO()
    if out.suffix == ".csv":
        samples.write_csv(packed)
    else:
        samples.write_parquet(packed)
    with writing(out.parent):
        write_atomically(out, packed.getvalue())


EPILOG = """\b
A positive becomes a sample of its own moment, which sees the user's earlier events only. No
negative of it is an item that the user has done anything with by then. Negatives are drawn
from the events of the positive's own split. The columns written are those of `uic train`:
user_id, item_id, time_ms, label, split; category_id and price where the events have them.

\b
Examples:
  uic sample --events E.csv --out S.parquet
  uic sample --events E.parquet --out S.parquet --positives click,purchase \\
    --negatives popularity --per-positive 4 --validation-days 2 --test-days 2
  uic train --events E.parquet --samples S.parquet --out bundle
"""


@click.command("sample", epilog=EPILOG)
@click.option(
    "--events", type=click.Path(dir_okay=False, path_type=Path), required=True,
    help="Event table, CSV (with commas) or parquet, in any order. Required: "
    f"{', '.join(EVENT_COLUMNS)}. Optional: category_id, event_id, price.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True,
    help="Sample table to write, .parquet or .csv.",
)  # fmt: skip
@click.option(
    "--positives", default="click", show_default=True, metavar="TYPES",
    help="Event types to predict, with commas: click,purchase.",
)  # fmt: skip
@negative_options("popularity", 4)
@click.option(
    "--validation-days", type=_Days(), default=1.0, show_default=True,
    help="Days of 24 hours before the test days, to stop the training by.",
)  # fmt: skip
@click.option(
    "--test-days", type=_Days(), default=1.0, show_default=True,
    help="Days of 24 hours at the end of the log, to test on.",
)  # fmt: skip
@click.option(
    "--trigger-within", default="0", metavar="AGE",
    help="Take the user's latest positive event for the trigger, if it is at most so old (4h).",
)  # fmt: skip
def sample(  # noqa: PLR0913 - one parameter an option
    events: Path,
    out: Path,
    positives: str,
    negatives: str,
    per_positive: int,
    seed: int,
    validation_days: float,
    test_days: float,
    trigger_within: str,
) -> None:
    """Make a table of samples out of a log that holds only what users did.

    A model learns from what was chosen beside what was not. Where a log does not say what was
    shown, items that the user did not choose are drawn for each positive, by a named policy.
    Figures of different policies cannot be compared: popular negatives are harder than uniform
    ones, those of the same category harder still.
    """
    if out.suffix not in _SUFFIXES:
        raise ConfigurationError(f"{out} is neither .parquet nor .csv", hint="name it so by --out")
    if out.resolve() == events.resolve():
        raise ConfigurationError(f"{out} is the event table", hint="name another file by --out")
    types = event_types_in(positives)
    policy = Policy(negatives, per_positive)
    plan = SamplingPlan(types, policy, parse_duration(trigger_within), seed)
    log = read_log(events)
    for note in unread_columns(events):
        click.echo(note, err=True)
    splits = split_by_time(log["event_time_ms"].to_numpy(), validation_days, test_days)
    with drawing_bar() as on_drawn:
        sampled = make_samples(log, splits, plan, on_drawn)
    _write(sampled.samples, out)
    console = Console()
    console.print(split_table(sampled.samples, f"{len(log):,} events"))
    for note in sampled.notes:
        console.print(note, highlight=False)
    console.print(f"samples written to {out}")
