"""``uic sample`` as a user calls it: tables in, a table out that trains, and what it refuses."""

from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from interest_center.cli import cli
from interest_center.core.layout import StateConfig
from models.samples import point_in_time
from models.sampling_command import sample
from models.simulate import simulate_walk
from models.tables import SPLITS, read_events, read_samples


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the events of a few simulated shoppers."""
    path = tmp_path_factory.mktemp("log") / "events.parquet"
    simulate_walk(3, 30, 12.0).events_table().write_parquet(path)
    return path


def run(events: Path, out: Path, *more: str) -> Result:
    return CliRunner().invoke(cli, ["sample", "--events", str(events), "--out", str(out), *more])


@pytest.mark.parametrize("policy", ["uniform", "popularity", "category"])
def test_the_table_is_one_to_train_on(log: Path, tmp_path: Path, policy: str) -> None:
    out = tmp_path / "new" / "samples.parquet"
    wanted = ("--negatives", policy, "--positives", "click, purchase", "--per-positive", "2")
    result = run(log, out, *wanted, "--trigger-within", "1h")
    assert result.exit_code == 0, result.output
    table = pl.read_parquet(out)
    assert set(table["split"]) == set(SPLITS)
    assert table["trigger_item_id"].null_count() < len(table)
    assert "price" in table.columns
    joined = point_in_time(read_events(log, StateConfig()), read_samples(out), StateConfig())
    assert joined.n_samples_without_history == 0
    # One request holds a positive and its negatives.
    assert (joined.requests.starts[1:] - joined.requests.starts[:-1] == 3).all()
    assert f"{(table['split'] == 'test').sum():,}" in result.output


def test_csv_in_and_out_and_ids_as_they_are_written(log: Path, tmp_path: Path) -> None:
    events = pl.read_parquet(log)
    events = events.with_columns(item_id=pl.format("00{}", pl.col("item_id").rank("dense")))
    events.write_csv(tmp_path / "events.csv")
    events.write_parquet(tmp_path / "events.parquet")
    for suffix in ("csv", "parquet"):
        result = run(tmp_path / f"events.{suffix}", tmp_path / f"s.{suffix}", "--seed", "4")
        assert result.exit_code == 0, result.output
    text = pl.read_csv(tmp_path / "s.csv", infer_schema=False)
    table = pl.read_parquet(tmp_path / "s.parquet")
    assert set(table["item_id"]) <= set(events["item_id"])
    assert text["item_id"].to_list() == table["item_id"].to_list()
    read = [read_samples(tmp_path / f"s.{suffix}") for suffix in ("csv", "parquet")]
    assert (read[0].items == read[1].items).all()
    assert (read[0].categories == read[1].categories).all()


def test_a_repeated_event_is_one(log: Path, tmp_path: Path) -> None:
    events = pl.read_parquet(log)
    pl.concat([events, events]).write_parquet(tmp_path / "twice.parquet")
    for name, table in (("once", log), ("twice", tmp_path / "twice.parquet")):
        assert run(table, tmp_path / f"{name}.csv").exit_code == 0
    assert (tmp_path / "once.csv").read_bytes() == (tmp_path / "twice.csv").read_bytes()


def test_a_seed_decides(log: Path, tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert run(log, tmp_path / f"{name}.csv", "--seed", seed).exit_code == 0
    tables = [(tmp_path / f"{name}.csv").read_bytes() for name in "abc"]
    assert tables[0] == tables[1] != tables[2]


@pytest.mark.parametrize(
    ("options", "fact", "way_out"),
    [
        (["--positives", "buy"], "no event has the type buy", "click ("),
        (["--positives", " , "], "no event has the type of a positive", "--positives"),
        (["--test-days", "40"], "a split has no positive", "choose other days"),
        (["--trigger-within", "soon"], "'soon' is not a duration", "15m, 1h"),
    ],
)
def test_a_mistake_gets_a_way_out(
    log: Path, tmp_path: Path, options: list[str], fact: str, way_out: str
) -> None:
    result = run(log, tmp_path / "s.parquet", *options)
    assert result.exit_code == 2
    assert fact in result.stderr
    assert way_out in result.stderr.split("next: ")[1]
    assert not (tmp_path / "s.parquet").exists()


def test_bad_files_are_refused(log: Path, tmp_path: Path) -> None:
    assert ".parquet nor .csv" in run(log, tmp_path / "s.json").stderr
    assert "is the event table" in run(log, log).stderr
    assert "cannot read" in run(tmp_path / "none.csv", tmp_path / "s.csv").stderr
    events = pl.read_parquet(log)
    events.drop("event_type").write_parquet(tmp_path / "e.parquet")
    assert "lacks the columns event_type" in run(tmp_path / "e.parquet", tmp_path / "s.csv").stderr
    events.with_columns(pl.col("event_time_ms") // 1000).write_parquet(tmp_path / "e.parquet")
    assert "seconds times 1000" in run(tmp_path / "e.parquet", tmp_path / "s.csv").stderr


def test_help_teaches_the_policies() -> None:
    text = CliRunner().invoke(sample, ["--help"]).output
    for word in ("uniform", "popularity", "category", "uic train", "--per-positive"):
        assert word in text


@pytest.mark.parametrize("days", ["inf", "nan", "-1", "0", "many", "1e300"])
@pytest.mark.parametrize("option", ["--test-days", "--validation-days"])
def test_what_is_no_number_of_days_is_refused(
    log: Path, tmp_path: Path, option: str, days: str
) -> None:
    result = run(log, tmp_path / "s.csv", f"{option}={days}")
    assert result.exit_code == 2
    assert f"'{option}': '{days}' is not a number of days, such as 1 or 0.5" in result.stderr
    assert not (tmp_path / "s.csv").exists()


def test_columns_that_are_not_read_are_named(log: Path, tmp_path: Path) -> None:
    events = tmp_path / "e.csv"
    pl.read_parquet(log).with_columns(foo=1).write_csv(events)
    result = run(events, tmp_path / "s.csv", "--test-days", "0.5")
    assert result.exit_code == 0
    assert f"columns of {events} not read: foo\n" in result.stderr
