"""Days left out, prices that training may see, and a fingerprint over all that it reads."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from interest_center.core.errors import ConfigurationError
from interest_center.core.layout import StateConfig
from models.excluded_days import parse_days
from models.tables import TEST, TRAIN, VALIDATION
from models.training_tables import TrainingTables, read_training_data

DAY_MS = 86_400_000
#: 2026-11-01, UTC.
FIRST_MS = 1_793_491_200_000
STATE = StateConfig()
EVENTS = pl.DataFrame(
    {
        "user_id": ["u", "u", "v", "v"],
        "item_id": ["a", "b", "a", "b"],
        "category_id": ["c", "c", "c", "c"],
        "event_type": ["click"] * 4,
        "event_time_ms": [FIRST_MS + at for at in (0, 4 * DAY_MS + 5, DAY_MS, 8 * DAY_MS)],
        "price": [1.0, 2.0, 3.0, 4.0],
    }
)
SAMPLES = pl.DataFrame(
    {
        "user_id": ["u", "v"] * 4,
        "item_id": ["a", "b"] * 4,
        "category_id": ["c"] * 8,
        # A day of training each, then one of validation and one of test.
        "time_ms": [FIRST_MS + day * DAY_MS + 9 for day in (3, 3, 4, 4, 5, 5, 6, 6)],
        "label": [0, 1] * 4,
        "split": ["train"] * 4 + ["validation"] * 2 + ["test"] * 2,
    }
)


def write(directory: Path, events: pl.DataFrame, samples: pl.DataFrame) -> TrainingTables:
    tables = TrainingTables(directory / "events.csv", directory / "samples.csv", STATE)
    events.write_csv(tables.events)
    samples.write_csv(tables.samples)
    return tables


@pytest.fixture
def tables(tmp_path: Path) -> TrainingTables:
    return write(tmp_path, EVENTS, SAMPLES)


def test_excluded_days_lose_their_training_samples_and_nothing_else(
    tables: TrainingTables,
) -> None:
    whole = read_training_data(tables)
    # The second day of training; those of validation and test are named too, and stay.
    days = parse_days("2026-11-05..2026-11-07")
    data = read_training_data(replace(tables, excluded=days))
    assert [(data.samples.splits == split).sum() for split in (TRAIN, VALIDATION, TEST)] == [2] * 3
    left = data.samples.times_ms[data.samples.splits == TRAIN]
    assert left.tolist() == [FIRST_MS + 3 * DAY_MS + 9] * 2
    assert data.counts["n_excluded"] == 2
    assert data.counts["n_events"] == whole.counts["n_events"] == 4
    assert data.joined.ring.times_ms.tolist() == whole.joined.ring.times_ms.tolist()
    assert whole.counts["n_excluded"] == 0
    assert data.fingerprint != whole.fingerprint


def test_when_all_days_are_excluded_the_way_out_is_fewer(tables: TrainingTables) -> None:
    with pytest.raises(ConfigurationError, match="no row of split train") as refused:
        read_training_data(replace(tables, excluded=parse_days("2026-01-01..2026-12-31")))
    assert refused.value.hint == "exclude fewer days"


def test_training_sees_no_price_of_its_future(tables: TrainingTables) -> None:
    prices = read_training_data(tables).prices
    assert prices is not None
    # The last event is younger than the last training sample: its price is not seen.
    assert prices[1].tolist() == [1.0, 3.0, 2.0]


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("events", pl.col("event_time_ms") + 1),
        ("events", pl.lit("view").alias("event_type")),
        ("events", pl.col("price") * 2),
        ("samples", (1 - pl.col("label")).alias("label")),
        ("samples", pl.col("time_ms") + 1),
        ("samples", pl.lit("a").alias("item_id")),
    ],
)
def test_the_fingerprint_follows_what_training_reads(
    tables: TrainingTables, tmp_path: Path, table: str, change: pl.Expr
) -> None:
    before = read_training_data(tables).fingerprint
    assert read_training_data(tables).fingerprint == before
    both = {"events": EVENTS, "samples": SAMPLES}
    both[table] = both[table].with_columns(change)
    other = tmp_path / "other"
    other.mkdir()
    assert read_training_data(write(other, **both)).fingerprint != before
