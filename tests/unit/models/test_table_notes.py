"""What is said of tables: columns not read, where the split came from, days of no sample."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from training_process import write_tables

from models.excluded_days import days_text, parse_days
from models.table_notes import split_text, training_notes, unread_columns
from models.tables import read_samples
from models.training_tables import TrainingTables, read_training_data


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> TrainingTables:
    return write_tables(tmp_path_factory.mktemp("world"))


def test_columns_that_are_not_read_are_named(tables: TrainingTables, tmp_path: Path) -> None:
    assert list(unread_columns(tables.events, tables.samples)) == []
    events, samples = tmp_path / "e.csv", tmp_path / "s.csv"
    pl.read_parquet(tables.events).with_columns(foo=1, bar=2).write_csv(events)
    pl.read_parquet(tables.samples).with_columns(Split=3).write_csv(samples)
    assert list(unread_columns(events, samples)) == [
        f"columns of {events} not read: foo, bar",
        f"columns of {samples} not read: Split",
    ]


def test_the_split_is_told_with_where_it_came_from(tables: TrainingTables, tmp_path: Path) -> None:
    samples = pl.read_parquet(tables.samples)
    n = dict(samples.group_by("split").len().iter_rows())
    told = f"train {n['train']:,}, validation {n['validation']:,}, test {n['test']:,}"
    by_column = split_text(tables.samples, read_samples(tables.samples))
    assert by_column == f"samples: {told}; split by column split of {tables.samples}"
    path = tmp_path / "s.csv"
    samples.drop("split").write_csv(path)
    by_time = split_text(path, read_samples(path))
    assert by_time.endswith(f"; split by time: {path} has no column split")


def test_excluded_days_that_no_sample_falls_on_are_named(tables: TrainingTables) -> None:
    times = pl.from_epoch(pl.read_parquet(tables.samples)["time_ms"], time_unit="ms")
    first = times.dt.date().sort()[0]
    wrong = "2020-01-01,2021-12-24..2021-12-26"
    data = read_training_data(replace(tables, excluded=parse_days(f"{first},{wrong}")))
    notes = list(training_notes(data))
    assert any(
        note.startswith(f"excluded days without a training sample: {wrong}; ") for note in notes
    )
    data = read_training_data(replace(tables, excluded=parse_days(str(first))))
    assert not any("excluded days" in note for note in training_notes(data))


def test_days_are_written_as_they_are_read() -> None:
    text = "2026-11-11,2026-12-24..2026-12-26"
    assert days_text(parse_days(text)) == text
