"""Files that are no CSV with commas: what they are, and what to do, is said."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from interest_center.core.errors import ConfigurationError
from models.table_files import column_names, read_table

TABLE = pl.DataFrame({"user_id": ["u1", "u2"], "label": [1, 0]})
NEEDED = ("user_id", "label")


def refusal(path: Path) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as refused:
        read_table(path, NEEDED)
    assert str(path) in refused.value.message
    return refused.value


@pytest.mark.parametrize(("separator", "name"), [(";", ";"), ("\t", "a tab"), ("|", "|")])
def test_another_separator_is_named(tmp_path: Path, separator: str, name: str) -> None:
    TABLE.write_csv(tmp_path / "t.csv", separator=separator)
    error = refusal(tmp_path / "t.csv")
    assert f"it has user_id{separator}label" in error.message
    assert error.hint.startswith(f"its separator seems to be {name}:")


@pytest.mark.parametrize("content", ['{"user_id": "u1", "label": 1}\n', '[{"user_id": "u1"}]'])
def test_json_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    assert refusal(tmp_path / "t.csv").hint.startswith("it seems to be JSON: write it as CSV")


def test_a_wrong_suffix_is_named(tmp_path: Path) -> None:
    TABLE.write_parquet(tmp_path / "t.csv")
    assert refusal(tmp_path / "t.csv").hint == "it is parquet: name it .parquet"
    TABLE.write_csv(tmp_path / "t.parquet")
    assert "it is not parquet" in refusal(tmp_path / "t.parquet").hint


def test_missing_columns_are_named_beside_those_there_are(tmp_path: Path) -> None:
    TABLE.rename({"label": "clicked"}).write_csv(tmp_path / "t.csv")
    error = refusal(tmp_path / "t.csv")
    assert "lacks the columns label, it has user_id, clicked" in error.message
    assert error.hint.startswith("columns needed: user_id, label; rename yours")


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_the_columns_of_a_file_are_read_alone(tmp_path: Path, name: str) -> None:
    if name.endswith("parquet"):
        TABLE.write_parquet(tmp_path / name)
    else:
        text = TABLE.write_csv().encode()
        (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    assert column_names(tmp_path / name) == ["user_id", "label"]
    assert len(read_table(tmp_path / name, NEEDED)) == 2
