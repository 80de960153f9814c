"""``uic convert`` as a user calls it: files written, figures said, mistakes with a way out."""

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from interest_center.cli import cli
from interest_center.core.layout import load_state_config
from models.tables import read_events, read_samples

#: Five users in turn, each item once: every user has enough items left that it did nothing with.
TAOBAO = "".join(
    f"{k % 5 + 1},{100 + k},{10 + k % 4},{'pv' if k % 3 else 'buy'},{1_511_544_000 + k * 1800}\n"
    for k in range(120)
)


def test_the_tables_are_written_with_their_state_rules(tmp_path: Path) -> None:
    (tmp_path / "UserBehavior.csv").write_text(TAOBAO)
    out = tmp_path / "tables"
    options = ["--data", str(tmp_path), "--out", str(out)]
    more = ["--per-positive", "3", "--negatives", "category"]
    result = CliRunner().invoke(cli, ["convert", "taobao", *options, *more])
    assert result.exit_code == 0, result.output
    assert "120 events" in result.stdout
    assert "25.0%" in result.stdout
    assert "3 events of users without an earlier event are no samples" in result.stdout
    state = load_state_config(out / "state.json")
    assert len(read_events(out / "events.parquet", state).users) == 120
    samples = read_samples(out / "samples.parquet")
    assert samples.triggers.any()
    assert json.loads((out / "state.json").read_text())["event_types"][0] == "click"
    assert pl.read_parquet(out / "samples.parquet")["label"].sum() == 80 - 3


@pytest.mark.parametrize("name", ["amazon", "ebnerd", "movielens", "taobao"])
def test_a_directory_without_the_log_gets_a_way_out(tmp_path: Path, name: str) -> None:
    options = ["--data", str(tmp_path), "--out", str(tmp_path / "tables")]
    result = CliRunner().invoke(cli, ["convert", name, *options])
    assert result.exit_code == 2
    assert f"error: {tmp_path} has no " in result.stderr
    assert "next: name the directory of the log by --data" in result.stderr
    assert not (tmp_path / "tables").exists()


def test_help_names_the_logs() -> None:
    text = CliRunner().invoke(cli, ["convert", "--help"]).output
    for name in ("amazon", "ebnerd", "movielens", "taobao"):
        assert name in text
    text = CliRunner().invoke(cli, ["--help"]).output
    assert "sample" in text


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("amazon", ["stream.csv.gz"]),
        ("ebnerd", ["impressions.csv.gz", "history.csv.gz"]),
        ("movielens", ["ratings_rebuilt.csv.gz", "movies.dat"]),
        ("taobao", ["UserBehavior.csv"]),
    ],
)
def test_help_names_the_files_that_each_log_needs(name: str, files: list[str]) -> None:
    every = CliRunner().invoke(cli, ["convert", "--help"]).output
    own = CliRunner().invoke(cli, ["convert", name, "--help"]).output
    for file in files:
        assert file in every
        assert file in own
