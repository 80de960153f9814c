"""Public shopping logs as events: Taobao UserBehavior and Amazon Reviews 2023 (electronics)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import polars as pl

from interest_center.core.errors import ConfigurationError
from streams.event_tables import FrameTable
from streams.input_files import STDIN, check_input

_NUMBER = "__number__"


@dataclass(frozen=True)
class RealLog:
    """One public log.

    Attributes:
        columns: Its columns; without ``header`` they are not in the file.
        header: Whether the first line names the columns.
        time_column: Column to sort by: the log is replayed in time order.
        to_events: Makes the columns of events.
    """

    columns: tuple[str, ...]
    header: bool
    time_column: str
    to_events: Callable[[pl.LazyFrame], pl.LazyFrame]


def _taobao_events(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Name the behaviours as we do; seconds to milliseconds."""
    names = {"pv": "click", "cart": "cart", "fav": "favorite", "buy": "purchase"}
    return frame.with_columns(
        event_type=pl.col("behaviour").replace(names),
        event_time_ms=pl.when(pl.col("time").str.contains(r"^[0-9]{1,12}$"))
        .then(pl.col("time") + "000")
        .otherwise(pl.col("time")),
    ).drop("behaviour", "time")


def _amazon_events(frame: pl.LazyFrame) -> pl.LazyFrame:
    """A rating of 4 or 5 is a purchase, 3 a view, less a dislike."""
    rating = pl.col("rating").cast(pl.Float64, strict=False)
    return frame.with_columns(
        event_type=pl.when(rating >= 4)
        .then(pl.lit("purchase"))
        .when(rating >= 3)
        .then(pl.lit("view"))
        .when(rating.is_not_null())
        .then(pl.lit("dislike")),
    ).rename({"category": "category_id", "timestamp": "event_time_ms"})


REAL_LOGS = {
    "taobao": RealLog(
        ("user_id", "item_id", "category_id", "behaviour", "time"), False, "time", _taobao_events
    ),
    "amazon": RealLog(
        ("timestamp", "user_id", "item_id", "category", "brand", "price", "rating", "split"),
        True,
        "timestamp",
        _amazon_events,
    ),
}


def open_real_log(path: Path, name: str) -> FrameTable:
    """Open a public log, sorted by time; rows of the same time keep their order.

    The whole log is sorted in memory. A last line that was cut short is dropped with a warning.

    Raises:
        ConfigurationError: The file cannot be read or has other columns.
    """
    log = REAL_LOGS[name]
    if path == STDIN:
        raise ConfigurationError(
            f"a {name} log is sorted by time before it is sent", hint="name its file"
        )
    check_input(path)
    try:
        frame = pl.read_csv(
            path,
            has_header=log.header,
            new_columns=None if log.header else list(log.columns),
            infer_schema=False,
            quote_char='"' if log.header else None,
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error
    if set(frame.columns) != set(log.columns):
        raise ConfigurationError(
            f"{path} has columns {', '.join(frame.columns)}, the {name} log has "
            f"{', '.join(log.columns)}"
        )
    if frame.height and _is_cut_short(path, frame, log):
        click.echo(f"warning: the last line of {path} is cut short and dropped", err=True)
        frame = frame.head(-1)
    order = pl.col(log.time_column).cast(pl.Int64, strict=False)
    ordered = frame.with_row_index(_NUMBER, 1).sort(order, maintain_order=True)
    return FrameTable(log.to_events(ordered.lazy()).collect().lazy(), _NUMBER)


def _is_cut_short(path: Path, frame: pl.DataFrame, log: RealLog) -> bool:
    """Tell whether the last line lacks columns and its end."""
    if path.suffix == ".gz" or frame[log.time_column][-1] is not None:
        return False
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) != b"\n"
