"""Public shopping logs as columns of text: Taobao UserBehavior and Amazon Reviews 2023.

They are replayed as events by ``uic produce --from`` and made into tables by ``uic convert``; both
read them here. Nothing is checked here but the columns: a replay sets a bad row aside, a table is
refused for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from interest_center.core.errors import ConfigurationError


@dataclass(frozen=True)
class ShoppingLog:
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


#: What Taobao calls a behaviour, and what we do.
TAOBAO_BEHAVIOURS = {"pv": "click", "cart": "cart", "fav": "favorite", "buy": "purchase"}


def _taobao_events(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Name the behaviours as we do; seconds to milliseconds."""
    return frame.with_columns(
        event_type=pl.col("behaviour").replace(TAOBAO_BEHAVIOURS),
        event_time_ms=pl.when(pl.col("time").str.contains(r"^[0-9]{1,12}$"))
        .then(pl.col("time") + "000")
        .otherwise(pl.col("time")),
    ).drop("behaviour", "time")


def _amazon_events(frame: pl.LazyFrame) -> pl.LazyFrame:
    """A rating of 4 or 5 is a purchase, 3 a view, less a dislike: what replays call them."""
    rating = pl.col("rating").cast(pl.Float64, strict=False)
    return frame.with_columns(
        event_type=pl.when(rating >= 4)
        .then(pl.lit("purchase"))
        .when(rating >= 3)
        .then(pl.lit("view"))
        .when(rating.is_not_null())
        .then(pl.lit("dislike")),
    ).rename({"category": "category_id", "timestamp": "event_time_ms"})


SHOPPING_LOGS = {
    "taobao": ShoppingLog(
        ("user_id", "item_id", "category_id", "behaviour", "time"), False, "time", _taobao_events
    ),
    "amazon": ShoppingLog(
        ("timestamp", "user_id", "item_id", "category", "brand", "price", "rating", "split"),
        True,
        "timestamp",
        _amazon_events,
    ),
}


def read_shopping_log(path: Path, name: str) -> tuple[pl.DataFrame, bool]:
    """Read a public log, its rows as in the file, every column as text.

    Returns:
        The rows, and whether a last line that was cut short is left out.

    Raises:
        ConfigurationError: The file cannot be read or has other columns.
    """
    log = SHOPPING_LOGS[name]
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
            f"{', '.join(log.columns)}",
            hint="name the file of the log as it was loaded",
        )
    is_cut_short = bool(frame.height) and _is_cut_short(path, frame, log)
    return frame.head(-1) if is_cut_short else frame, is_cut_short


def _is_cut_short(path: Path, frame: pl.DataFrame, log: ShoppingLog) -> bool:
    """Tell whether the last line lacks columns and its end."""
    if path.suffix == ".gz" or frame[log.time_column][-1] is not None:
        return False
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) != b"\n"
