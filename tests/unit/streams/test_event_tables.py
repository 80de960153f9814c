"""Files as rows: every format, packed or not, from any row on; what is bad or refused."""

import contextlib
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from interest_center.core.errors import ConfigurationError
from streams import event_tables
from streams.event_tables import Row, format_of, open_table, row_as_text
from streams.input_files import STDIN

EVENTS = [
    {"user_id": f"u{n}", "item_id": f"i,\n{n} \u00e4", "event_time_ms": 1_700_000_000_000 + n}
    for n in range(1, 8)
]


def as_json_lines(path: Path) -> None:
    path.write_bytes(b"\r\n\n".join(json.dumps(event).encode() for event in EVENTS))


def as_csv(path: Path) -> None:
    path.write_text("\ufeff" + pl.DataFrame(EVENTS).write_csv(), encoding="utf-8")


def as_parquet(path: Path) -> None:
    pl.DataFrame(EVENTS).write_parquet(path)


def rows_of(path: Path, skip: int = 0, given_format: str | None = None) -> list[Row]:
    return list(open_table(path, given_format).rows(skip))


WRITERS: dict[str, Callable[[Path], None]] = {
    "events.jsonl": as_json_lines,
    "events.ndjson": as_json_lines,
    "events.csv": as_csv,
    "events.CSV": as_csv,
    "events.parquet": as_parquet,
    "events.jsonl.gz": as_json_lines,
    "events.csv.gz": as_csv,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_rows_from_any_row_on(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_tables, "ROWS_AT_ONCE", 3)
    path = tmp_path / name
    WRITERS[name](path)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(path.read_bytes()))
    # CSV knows text only.
    wanted = [{k: str(v) for k, v in event.items()} if "csv" in name.lower() else event
              for event in EVENTS]  # fmt: skip
    for skip in range(len(EVENTS) + 2):
        table = open_table(path)
        if table.columns is not None:
            assert table.columns == list(EVENTS[0])
        rows = list(table.rows(skip))
        assert [row.number for row in rows] == list(range(skip + 1, len(EVENTS) + 1))
        assert [dict(row.fields) for row in rows] == wanted[skip:]
        assert not any(row.problem for row in rows)
        assert skip >= len(EVENTS) or table.share_read() == 1.0


def test_bad_lines_are_numbered_rows_and_blank_ones_none(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = [b'{"a": 1}', b"", b"{", b"[1]", b"  ", b'{"a": "\xff"}', b"[" * 100_000, b'{"a": 2}']
    path.write_bytes(b"\n".join(lines))
    rows = rows_of(path)
    reasons = [row.problem and row.problem.reason for row in rows]
    assert reasons[:4] == [None, "not_json", "not_an_object", "not_json"]
    assert reasons[4] in {"too_deep", "not_json"}
    assert [row.number for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row.raw for row in rows] == [line for line in lines if line.strip()]
    assert rows_of(path, 5)[0].fields == {"a": 2}


def test_bad_csv_rows_are_numbered_rows_and_blank_ones_none(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(b'a,b\n1,2\n\n1,2,3\n"x\ny",2\n' + b"z" * (1 << 21) + b",2\n\xff,4\n")
    rows = rows_of(path)
    assert [row.problem and row.problem.reason for row in rows] == [
        None, "not_csv", None, "not_csv", None,
    ]  # fmt: skip
    assert [row.number for row in rows] == [1, 2, 3, 4, 5]
    assert rows[2].fields == {"a": "x\ny", "b": "2"}
    assert row_as_text(rows[4].raw) == [{"hex": "ff"}, "4"]
    assert [row.number for row in rows_of(path, 4)] == [5]


@pytest.mark.parametrize("name", ["events.csv.gz", "events.jsonl.gz"])
def test_a_file_that_is_no_gzip_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    with pytest.raises(ConfigurationError, match="Not a gzipped file") as refused:
        rows_of(path)
    assert "gzip -t" in refused.value.hint


@pytest.mark.parametrize("name", ["events.csv.gz", "events.jsonl.gz"])
@pytest.mark.parametrize("damage", ["cut short", "changed"])
def test_a_damaged_gzip_file_gives_its_whole_rows_and_then_an_error(
    tmp_path: Path, name: str, damage: str
) -> None:
    line = b'{"a": "%d"}\n' if "jsonl" in name else b"%d\n"
    content = b"a\n" * ("csv" in name) + b"".join(line % n for n in range(50_000))
    packed = bytearray(gzip.compress(content))
    if damage == "cut short":
        del packed[len(packed) // 2 :]
    else:
        packed[len(packed) // 2] ^= 0xFF
    path = tmp_path / name
    path.write_bytes(packed)
    read: list[Row] = []
    with pytest.raises(ConfigurationError, match="cannot read"):
        read.extend(open_table(path).rows(0))
    # `extend` keeps nothing of a failed read.
    rows = open_table(path).rows(0)
    with contextlib.suppress(ConfigurationError):
        while True:
            read.append(next(rows))
    assert len(read) > 1000
    assert read[1000].fields == {"a": "1000"}


def test_what_is_no_regular_file_is_refused_unread(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # Open at both ends, so that a reader would find the line.
    end = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    os.write(end, b'{"a": 1}\n')
    for given_format in ("jsonl", "csv", "parquet"):
        with pytest.raises(ConfigurationError, match="is not a regular file") as refused:
            open_table(pipe, given_format)
        assert "standard input" in refused.value.hint
    assert os.read(end, 100) == b'{"a": 1}\n'
    os.close(end)
    with pytest.raises(ConfigurationError, match="is a directory"):
        open_table(tmp_path)
    with pytest.raises(ConfigurationError, match="No such file"):
        open_table(tmp_path / "missing.jsonl")


def test_files_of_the_wrong_kind_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.csv"
    empty.touch()
    with pytest.raises(ConfigurationError, match="has no header line"):
        open_table(empty)
    text = tmp_path / "text.parquet"
    text.write_text("no parquet")
    with pytest.raises(ConfigurationError, match="cannot read"):
        open_table(text)
    with pytest.raises(ConfigurationError, match="from the standard input"):
        open_table(STDIN, "parquet")
    damaged = tmp_path / "damaged.parquet"
    pl.DataFrame({"a": [str(n) for n in range(5000)]}).write_parquet(damaged, compression="zstd")
    content = bytearray(damaged.read_bytes())
    content[100:2000] = bytes(1900)
    damaged.write_bytes(content)
    with pytest.raises(ConfigurationError, match="cannot read on after row 0"):
        rows_of(damaged)


def test_a_format_comes_from_the_option_or_the_name() -> None:
    assert format_of(Path("a.dat"), "csv") == "csv"
    assert format_of(STDIN, None) == "jsonl"
    with pytest.raises(ConfigurationError, match="does not tell its format") as refused:
        format_of(Path("events.gz"), None)
    assert refused.value.hint == "--format jsonl|csv|parquet"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"a\xc3\xa4", "a\u00e4"),
        (b"\xff", {"hex": "ff"}),
        (
            {"a": "\udcff", "b": [1, None, 1.5, True]},
            {"a": {"hex": "ff"}, "b": [1, None, 1.5, True]},
        ),
        (EVENTS, EVENTS),
    ],
)
def test_rejected_content_fits_into_json(raw: Any, text: object) -> None:
    assert row_as_text(raw) == text
    json.dumps(row_as_text(raw))
