"""Event and sample tables of a user's own logs: CSV or parquet in, columns of 64-bit ids out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from interest_center.core.errors import ConfigurationError
from interest_center.core.ids import TOP_BIT, encode_id
from interest_center.core.layout import StateConfig

EVENT_COLUMNS = ("user_id", "item_id", "event_type", "event_time_ms")
SAMPLE_COLUMNS = ("user_id", "item_id", "time_ms", "label")
#: Written by a simulator: the true probability. Shown beside a model's figures, never read by one.
ORACLE_COLUMN = "probability"

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
_SPLIT_SHARES = (0.8, 0.9)
NO_PAGE = -1


@dataclass(frozen=True)
class Events:
    """Behavior events in table order, which is taken as the order of arrival; columns ``[n]``."""

    users: NDArray[np.uint64]
    items: NDArray[np.uint64]
    categories: NDArray[np.uint64]
    types: NDArray[np.uint8]
    times_ms: NDArray[np.int64]


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


def read_table(path: Path, required: Sequence[str]) -> pl.DataFrame:
    """Read a CSV (also ``.csv.gz``) or parquet file.

    Raises:
        ConfigurationError: It cannot be read, or lacks a required column.
    """
    try:
        if path.suffix == ".parquet":
            table = pl.read_parquet(path)
        else:
            # Every id is text: a column that begins with numbers may hold words further on.
            table = pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error
    missing = [name for name in required if name not in table.columns]
    if missing:
        raise ConfigurationError(
            f"{path} lacks the columns {', '.join(missing)}",
            hint="columns needed: " + ", ".join(required),
        )
    if not len(table):
        raise ConfigurationError(f"{path} has no rows")
    return table


def encode_ids(column: pl.Series) -> NDArray[np.uint64]:
    """Turn a column of ids (text or integers) into 64 bits each, 0 where it is null or empty."""
    if column.dtype.is_integer():
        lowest, highest = column.min(), column.max()
        if column.null_count() == 0 and _within(lowest, highest):
            return column.cast(pl.UInt64).to_numpy()
    texts = column.cast(pl.String).fill_null("")
    unique = texts.unique()
    codes = np.array([encode_id(text) if text else 0 for text in unique.to_list()], np.uint64)
    known = pl.DataFrame({"text": unique, "code": codes})
    joined = pl.DataFrame({"text": texts}).join(known, on="text", how="left", maintain_order="left")
    return joined["code"].to_numpy()


def _within(lowest: object, highest: object) -> bool:
    return isinstance(lowest, int) and isinstance(highest, int) and 0 < lowest <= highest < TOP_BIT


def _numbers(table: pl.DataFrame, name: str, path: Path) -> NDArray[np.int64]:
    try:
        return (
            table[name]
            .cast(pl.Float64 if table[name].dtype.is_float() else pl.Int64)
            .cast(pl.Int64)
            .to_numpy()
        )
    except pl.exceptions.PolarsError as error:
        raise ConfigurationError(
            f"column {name} of {path} is not whole numbers: {error}"
        ) from error


def _optional_ids(table: pl.DataFrame, name: str) -> NDArray[np.uint64]:
    if name not in table.columns:
        return np.zeros(len(table), np.uint64)
    return encode_ids(table[name])


def read_events(path: Path, state: StateConfig) -> Events:
    """Read an event table.

    Args:
        path: Columns ``user_id, item_id, category_id, event_type, event_time_ms``; the category
            may be missing.
        state: Known event types.

    Raises:
        ConfigurationError: A column is missing or holds what it must not.
    """
    table = read_table(path, EVENT_COLUMNS)
    codes = {name: code for code, name in enumerate(state.event_types, start=1)}
    unknown = sorted(set(table["event_type"].unique().to_list()) - set(codes), key=str)
    if unknown:
        raise ConfigurationError(
            f"{path} holds unknown event types {unknown}",
            hint="give the state configuration that the worker uses, by --state-config",
        )
    types = table["event_type"].replace_strict(codes, return_dtype=pl.UInt8)
    return Events(
        users=encode_ids(table["user_id"]),
        items=encode_ids(table["item_id"]),
        categories=_optional_ids(table, "category_id"),
        types=types.to_numpy(),
        times_ms=_numbers(table, "event_time_ms", path),
    )


def read_samples(path: Path) -> Samples:
    """Read a sample table.

    Args:
        path: Columns ``user_id, item_id, time_ms, label``, optional ``category_id, split,
            trigger_item_id, trigger_category_id, page``. Without ``split`` the latest tenth by
            time is for testing, the tenth before it for validation.

    Raises:
        ConfigurationError: A column is missing or holds what it must not.
    """
    table = read_table(path, SAMPLE_COLUMNS)
    times = _numbers(table, "time_ms", path)
    labels = _numbers(table, "label", path)
    if not np.isin(labels, (0, 1)).all():
        raise ConfigurationError(f"column label of {path} must hold 0 and 1 only")
    pages = np.full(len(table), NO_PAGE, np.int64)
    if "page" in table.columns:
        filled = table.select(pl.col("page").cast(pl.Int64).fill_null(NO_PAGE))
        pages = filled["page"].to_numpy()
    oracle = None
    if ORACLE_COLUMN in table.columns:
        oracle = table[ORACLE_COLUMN].cast(pl.Float64).to_numpy()
    return Samples(
        users=encode_ids(table["user_id"]),
        items=encode_ids(table["item_id"]),
        categories=_optional_ids(table, "category_id"),
        times_ms=times,
        labels=labels.astype(np.int8),
        splits=_splits(table, times, path),
        pages=pages,
        triggers=_optional_ids(table, "trigger_item_id"),
        trigger_categories=_optional_ids(table, "trigger_category_id"),
        oracle=oracle,
    )


def _splits(table: pl.DataFrame, times: NDArray[np.int64], path: Path) -> NDArray[np.int8]:
    if "split" not in table.columns:
        edges = np.quantile(times, _SPLIT_SHARES)
        return np.searchsorted(edges, times, side="right").astype(np.int8)
    names = table["split"].cast(pl.String).str.to_lowercase()
    unknown = sorted(set(names.unique().to_list()) - set(_SPLIT_CODES), key=str)
    if unknown:
        raise ConfigurationError(
            f"column split of {path} holds {unknown}", hint="known: " + ", ".join(_SPLIT_CODES)
        )
    return names.replace_strict(_SPLIT_CODES, return_dtype=pl.Int8).to_numpy()
