"""Tables as users bring them: CSV and parquet, text and numbers, and what is wrong with them."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from interest_center.core.errors import ConfigurationError
from interest_center.core.ids import encode_id
from interest_center.core.layout import StateConfig
from models.tables import NO_PAGE, encode_ids, read_events, read_samples

EVENTS = pl.DataFrame(
    {
        "user_id": ["u1", "7", "u1"],
        "item_id": ["12", "abc", "0012"],
        "category_id": ["c", None, ""],
        "event_type": ["click", "dislike", "view"],
        "event_time_ms": [1000, 2000, 3000],
    }
)
SAMPLES = pl.DataFrame(
    {
        "user_id": ["u1", "7"],
        "item_id": ["12", "13"],
        "time_ms": [4000, 5000],
        "label": [1, 0],
        "split": ["train", "Valid"],
        "page": [None, 3],
        "trigger_item_id": [None, "12"],
    }
)


def write(table: pl.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        table.write_parquet(path)
    else:
        table.write_csv(path)
    return path


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_ids_are_those_of_the_stream(tmp_path: Path, suffix: str) -> None:
    events = read_events(write(EVENTS, tmp_path / f"e.{suffix}"), StateConfig())
    assert events.users.tolist() == [encode_id("u1"), 7, encode_id("u1")]
    assert events.items.tolist() == [12, encode_id("abc"), encode_id("0012")]
    assert events.categories.tolist() == [encode_id("c"), 0, 0]
    assert events.types.tolist() == [1, 7, 2]
    assert events.times_ms.tolist() == [1000, 2000, 3000]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_samples_with_and_without_optional_columns(tmp_path: Path, suffix: str) -> None:
    samples = read_samples(write(SAMPLES, tmp_path / f"s.{suffix}"))
    assert samples.pages.tolist() == [NO_PAGE, 3]
    assert samples.triggers.tolist() == [0, 12]
    assert samples.splits.tolist() == [0, 1]
    assert samples.categories.tolist() == [0, 0]
    assert samples.oracle is None


def test_without_a_split_column_time_decides(tmp_path: Path) -> None:
    n = 100
    table = pl.DataFrame(
        {
            "user_id": [1] * n,
            "item_id": [2] * n,
            "time_ms": list(range(n))[::-1],
            "label": [0, 1] * (n // 2),
        }
    )
    splits = read_samples(write(table, tmp_path / "s.parquet")).splits[::-1]
    assert (np.diff(splits) >= 0).all()
    assert np.bincount(splits).tolist() == [80, 10, 10]


def test_integer_ids_stand_for_themselves_unless_they_cannot() -> None:
    assert encode_ids(pl.Series([5, 2**62])).tolist() == [5, 2**62]
    assert encode_ids(pl.Series([5, 0, None, -3])).tolist() == [
        5, encode_id("0"), 0, encode_id("-3"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pl.exclude("event_time_ms"), "lacks the columns event_time_ms"),
        ([pl.exclude("event_type"), pl.lit("jump").alias("event_type")], "unknown event types"),
        ([pl.exclude("event_time_ms"), pl.lit("soon").alias("event_time_ms")], "whole numbers"),
    ],
)
def test_wrong_events_are_refused_with_the_reason(
    tmp_path: Path, change: pl.Expr, message: str
) -> None:
    path = write(EVENTS.select(change), tmp_path / "e.csv")
    with pytest.raises(ConfigurationError, match=message):
        read_events(path, StateConfig())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pl.exclude("label"), "lacks the columns label"),
        ([pl.exclude("label"), pl.lit(2).alias("label")], "must hold 0 and 1"),
        ([pl.exclude("split"), pl.lit("later").alias("split")], "holds .*later"),
    ],
)
def test_wrong_samples_are_refused_with_the_reason(
    tmp_path: Path, change: pl.Expr, message: str
) -> None:
    path = write(SAMPLES.select(change), tmp_path / "s.csv")
    with pytest.raises(ConfigurationError, match=message):
        read_samples(path)


def test_missing_empty_and_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        read_samples(tmp_path / "none.csv")
    (tmp_path / "bad.parquet").write_bytes(b"not parquet")
    with pytest.raises(ConfigurationError, match="cannot read"):
        read_samples(tmp_path / "bad.parquet")
    with pytest.raises(ConfigurationError, match="no rows"):
        read_samples(write(SAMPLES.clear(), tmp_path / "s.csv"))
