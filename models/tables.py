"""Event and sample tables of a user's own logs: CSV or parquet in, columns of 64-bit ids out."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from interest_center.core.errors import ConfigurationError
from interest_center.core.events import MAX_PAGE, MAX_PRICE
from interest_center.core.layout import StateConfig
from models.columns import Columns, first_row, read_columns

EVENT_COLUMNS = ("user_id", "item_id", "event_type", "event_time_ms")
SAMPLE_COLUMNS = ("user_id", "item_id", "time_ms", "label")
#: What may stand beside them, and is read.
OPTIONAL_EVENT_COLUMNS = ("category_id", "event_id", "order", "price", "offset")
OPTIONAL_SAMPLE_COLUMNS = (
    "category_id", "split", "trigger_item_id", "trigger_category_id", "page", "order", "price",
    "watermark",
)  # fmt: skip
#: Of the event contract: a worker takes them, training has no use for them.
OTHER_EVENT_COLUMNS = ("page", "trigger_item_id")
#: Written by `uic exposures`: what was answered, and by which bundle.
OTHER_SAMPLE_COLUMNS = ("served_probability", "model")
#: Written by a simulator: the true probability. Shown beside a model's figures, never read by one.
ORACLE_COLUMN = "probability"
#: Rank of arrival: decides among events, and between an event and a sample, of equal time.
ORDER_COLUMN = "order"
#: Where an event stands in the log of its user's partition, and before which offset a sample sees.
OFFSET_COLUMN = "offset"
WATERMARK_COLUMN = "watermark"
PRICE_COLUMN = "price"
#: What a CSV can hold as text and every reader of numbers gives back unchanged.
MAX_ORDER = 2**53

TRAIN, VALIDATION, TEST = range(3)
SPLITS = ("train", "validation", "test")
_SPLIT_CODES = {
    "train": TRAIN,
    "validation": VALIDATION,
    "valid": VALIDATION,
    "val": VALIDATION,
    "dev": VALIDATION,
    "test": TEST,
}
#: What the column may hold, in letters of any case.
SPLIT_NAMES = tuple(_SPLIT_CODES)
_SPLIT_SHARES = (0.8, 0.9)
_HOW_LABELS_ARE = "a label is 1 for a click and 0 for none"
NO_PAGE = -1
_TYPES_SHOWN = 8


@dataclass(frozen=True)
class Events:
    """Behavior events in the order of their arrival; columns ``[n]``.

    Attributes:
        users: User ids.
        items: Item ids.
        categories: Category ids, 0 where an event has none.
        types: Codes of the state configuration.
        times_ms: Event times.
        event_ids: What tells events apart; None where the table has no event ids.
        orders: Rank of arrival among equal times; None where the table has no such column.
        prices: Price of the item, NaN where it is not known; None without such a column.
        offsets: Where each event stands in the log of its user, which is the order of arrival for
            samples with watermarks; None where the table has no such column.
    """

    users: NDArray[np.uint64]
    items: NDArray[np.uint64]
    categories: NDArray[np.uint64]
    types: NDArray[np.uint8]
    times_ms: NDArray[np.int64]
    event_ids: NDArray[np.uint64] | None = None
    orders: NDArray[np.int64] | None = None
    prices: NDArray[np.float32] | None = None
    offsets: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Samples:
    """Impressions in table order; columns ``[n]``.

    Attributes:
        users: User ids.
        items: Items shown.
        categories: Their categories, 0 where the table has none.
        times_ms: When they were shown.
        labels: 1 for a click.
        splits: ``TRAIN``, ``VALIDATION`` or ``TEST``.
        pages: Page number, ``NO_PAGE`` where there is none.
        triggers: Trigger item, 0 where there is none.
        trigger_categories: Its category, 0 where the table has none.
        oracle: True probability of a simulated click, None for real logs.
        orders: Rank among events and samples of equal time; None without such a column.
        prices: Price of the item, NaN where it is not known; None without such a column.
        watermarks: Offset before which each sample sees the log of its user; None without such a
            column.
    """

    users: NDArray[np.uint64]
    items: NDArray[np.uint64]
    categories: NDArray[np.uint64]
    times_ms: NDArray[np.int64]
    labels: NDArray[np.int8]
    splits: NDArray[np.int8]
    pages: NDArray[np.int64]
    triggers: NDArray[np.uint64]
    trigger_categories: NDArray[np.uint64]
    oracle: NDArray[np.float64] | None
    orders: NDArray[np.int64] | None = None
    prices: NDArray[np.float32] | None = None
    watermarks: NDArray[np.int64] | None = None


def event_types_in(text: str) -> tuple[str, ...]:
    """Return the event types of a text with commas, each once."""
    return tuple(dict.fromkeys(filter(None, (part.strip() for part in text.split(",")))))


def read_events(path: Path, state: StateConfig) -> Events:
    """Read an event table; its events arrive in the order of their times.

    Rows may stand in any order, an export newest first included. Among events of equal time the
    column ``order`` decides, without it the order of the rows.

    Args:
        path: Columns ``user_id, item_id, event_type, event_time_ms``, optional ``category_id,
            event_id, order, price, offset``. With event ids a second event of an id counts as
            little as it does in a worker; without them every row is an event.
        state: Known event types.

    Raises:
        ConfigurationError: A column is missing or holds what it must not.
    """
    table = read_columns(path, EVENT_COLUMNS)
    codes = {name: code for code, name in enumerate(state.event_types, start=1)}
    names = table.texts("event_type")
    there = sorted(names.unique().to_list())
    unknown = [name for name in there if name not in codes]
    if unknown:
        more = f" and {len(unknown) - _TYPES_SHOWN} more" if len(unknown) > _TYPES_SHOWN else ""
        raise ConfigurationError(
            f"{path} holds unknown event types {unknown[:_TYPES_SHOWN]}{more}, the first in row "
            f"{first_row(names.is_in(unknown))} of column event_type",
            hint=f"known: {', '.join(state.event_types)}; others are all named by --state-config "
            f"FILE, JSON such as {_rules_for(there[:_TYPES_SHOWN])}",
        )
    types = names.replace_strict(codes, return_dtype=pl.UInt8).to_numpy()
    times = table.times_ms("event_time_ms")
    ranks, offsets = _ranks(table, ORDER_COLUMN), _ranks(table, OFFSET_COLUMN)
    order = np.argsort(times, kind="stable") if ranks is None else np.lexsort((ranks, times))
    prices = _prices(table)
    return Events(
        users=table.ids("user_id")[order],
        items=table.ids("item_id")[order],
        categories=table.optional_ids("category_id")[order],
        types=types[order],
        times_ms=times[order],
        event_ids=table.hashed_ids("event_id")[order] if "event_id" in table else None,
        orders=None if ranks is None else ranks[order],
        prices=None if prices is None else prices[order],
        offsets=None if offsets is None else offsets[order],
    )


def read_samples(path: Path) -> Samples:
    """Read a sample table.

    Args:
        path: Columns ``user_id, item_id, time_ms, label``, optional ``category_id, split,
            trigger_item_id, trigger_category_id, page, order, price, watermark``. Without ``split``
            the latest tenth by time is for testing, the tenth before it for validation. Samples
            that are scored together share their ``order`` and their ``watermark``.

    Raises:
        ConfigurationError: A column is missing or holds what it must not.
    """
    table = read_columns(path, SAMPLE_COLUMNS)
    times = table.times_ms("time_ms")
    return Samples(
        users=table.ids("user_id"),
        items=table.ids("item_id"),
        categories=table.optional_ids("category_id"),
        times_ms=times,
        labels=table.whole_numbers("label", (0, 1), _HOW_LABELS_ARE).astype(np.int8),
        splits=_splits(table, times),
        pages=table.optional_numbers("page", (0, MAX_PAGE), missing=NO_PAGE),
        triggers=table.optional_ids("trigger_item_id"),
        trigger_categories=table.optional_ids("trigger_category_id"),
        oracle=table.probabilities(ORACLE_COLUMN) if ORACLE_COLUMN in table else None,
        orders=_ranks(table, ORDER_COLUMN),
        prices=_prices(table),
        watermarks=_ranks(table, WATERMARK_COLUMN),
    )


def _rules_for(names: list[str]) -> str:
    """Return state rules that know these event types and let all parts of a state see them."""
    fields = ("event_types", "behavior_types", "subsequence_types", "memory_types")
    return json.dumps(dict.fromkeys(fields, names))


def _ranks(table: Columns, name: str) -> NDArray[np.int64] | None:
    if name not in table:
        return None
    return table.whole_numbers(name, (0, MAX_ORDER), "write a whole number in every row")


def _prices(table: Columns) -> NDArray[np.float32] | None:
    return table.optional_amounts(PRICE_COLUMN, MAX_PRICE) if PRICE_COLUMN in table else None


def _splits(table: Columns, times: NDArray[np.int64]) -> NDArray[np.int8]:
    if "split" not in table:
        edges = np.quantile(times, _SPLIT_SHARES)
        return np.searchsorted(edges, times, side="right").astype(np.int8)
    names = table.texts("split").str.to_lowercase()
    unknown = sorted(set(names.unique().to_list()) - set(_SPLIT_CODES))
    if unknown:
        raise ConfigurationError(
            f"column split of {table.path} holds {unknown}, the first in row "
            f"{first_row(names.is_in(unknown))}",
            hint=f"known: {', '.join(SPLIT_NAMES)}; without the column the splits are made by time",
        )
    return names.replace_strict(_SPLIT_CODES, return_dtype=pl.Int8).to_numpy()
