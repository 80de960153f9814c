"""Reading of raw logs: what is wrong is said by file, column and row, with a way out."""

from pathlib import Path

import polars as pl
import pytest

from interest_center.core.errors import ConfigurationError
from models.adapters.raw_files import check_columns, check_filled, find_file, read_texts, typed

PATH = Path("log.csv")


def test_the_first_file_there_is_taken(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("x\n1\n")
    assert find_file(tmp_path, "a.csv", "b.csv") == tmp_path / "b.csv"
    with pytest.raises(ConfigurationError, match=r"has no a\.csv or c\.csv .*--data"):
        find_file(tmp_path, "a.csv", "c.csv")


def test_what_is_no_csv_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ConfigurationError, match=r"cannot read .*empty\.csv"):
        read_texts(tmp_path / "empty.csv")


def test_columns_and_rows_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item\n")
    frame = read_texts(tmp_path / "log.csv")
    with pytest.raises(
        ConfigurationError, match=r"lacks the columns time of the news log.*user, item"
    ):
        check_columns(PATH, frame, ("user", "time"), "news")
    with pytest.raises(ConfigurationError, match="has no rows"):
        check_columns(PATH, frame, ("user",), "news")


def test_the_first_wrong_row_is_named() -> None:
    frame = pl.DataFrame({"user": ["1", None, "x", "y"]})
    with pytest.raises(ConfigurationError) as caught:
        typed(PATH, frame, {"user": pl.col("user").cast(pl.Int64, strict=False)})
    assert caught.value.message == (
        "column user of log.csv cannot be read in 2 rows, the first is row 3: 'x'"
    )
    assert "row 1 is the first row of data" in caught.value.hint


def test_the_first_empty_row_is_named() -> None:
    frame = pl.DataFrame({"user": [1, None, 3, None], "item": [None] * 4})
    with pytest.raises(ConfigurationError, match=r"user of log.csv is empty in 2 rows.*row 2 "):
        check_filled(PATH, frame, ("user",))
