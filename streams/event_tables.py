"""Files of events as rows: JSON lines, CSV and parquet, read in pieces; each row has a number."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Protocol

import msgspec
import polars as pl

from interest_center.core.errors import ConfigurationError
from interest_center.core.event_decoder import BadEventError
from streams.input_files import STDIN, ByteStream, check_input

ROWS_AT_ONCE = 20_000
MAX_CSV_FIELD = 1 << 20

_FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}
FORMATS = ("jsonl", "csv", "parquet")


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        number: Its number in the file from 1, without the header and blank lines.
        fields: Its columns; empty when it cannot be read.
        raw: What stands in the file, for the rejects.
        problem: Why it cannot be read, None when it can.
    """

    number: int
    fields: Mapping[str, object]
    raw: object
    problem: BadEventError | None = None


class EventTable(Protocol):
    """A table of events that can be read from any row on."""

    @property
    def columns(self) -> list[str] | None:
        """Columns of every row, None when each row has its own."""
        ...

    def rows(self, skip: int) -> Iterator[Row]:
        """Yield the rows after the first ``skip``, numbered as in the file."""
        ...

    def share_read(self) -> float | None:
        """Return how much of the input is read, 0 to 1; None when that is not known."""
        ...


class JsonLines:
    """A file with one JSON object a line.

    Args:
        path: The file; ``-`` is the standard input.
    """

    columns = None

    def __init__(self, path: Path) -> None:
        self._stream = ByteStream(path)

    def rows(self, skip: int) -> Iterator[Row]:
        """Yield the rows after the first ``skip``."""
        number = 0
        for line in self._stream.checked(self._stream.bytes):
            text = line.strip()
            if not text:
                continue
            number += 1
            if number > skip:
                yield _json_row(number, text)

    def share_read(self) -> float | None:
        """Return how much of the file is read."""
        return self._stream.share_read()


def _json_row(number: int, line: bytes) -> Row:
    """Read one line."""
    try:
        fields = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeError) as error:
        return Row(number, {}, line, BadEventError("not_json", f"the line is not JSON: {error}"))
    except RecursionError:
        return Row(number, {}, line, BadEventError("too_deep", "the line is nested too deeply"))
    if not isinstance(fields, dict):
        return Row(number, {}, line, BadEventError("not_an_object", "the line is not an object"))
    return Row(number, fields, line)


class CsvTable:
    """A CSV file with a header.

    Args:
        path: The file; ``-`` is the standard input.

    Raises:
        ConfigurationError: There is no header.
    """

    def __init__(self, path: Path) -> None:
        csv.field_size_limit(MAX_CSV_FIELD)
        self._stream = ByteStream(path)
        # Bytes that are no UTF-8 pass as surrogates, so that the row can be rejected as it is.
        text = TextIOWrapper(self._stream.bytes, "utf-8-sig", "surrogateescape", newline="")
        self._reader = csv.reader(self._stream.checked(text))
        try:
            self._columns = next(self._reader)
        except (StopIteration, csv.Error) as error:
            raise ConfigurationError(f"{path} has no header line") from error

    @property
    def columns(self) -> list[str]:
        """Columns of the header."""
        return self._columns

    def rows(self, skip: int) -> Iterator[Row]:
        """Yield the rows after the first ``skip``."""
        number = 0
        while True:
            problem = None
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                cells, problem = [], BadEventError("not_csv", f"the row is not CSV: {error}")
            if not cells and problem is None:
                continue
            number += 1
            if number > skip:
                yield self._row(number, cells, problem)

    def share_read(self) -> float | None:
        """Return how much of the file is read."""
        return self._stream.share_read()

    def _row(self, number: int, cells: list[str], problem: BadEventError | None) -> Row:
        """Give the cells their columns."""
        if problem is None and len(cells) != len(self._columns):
            problem = BadEventError(
                "not_csv",
                f"the row has {len(cells)} cells and the header {len(self._columns)}; "
                "quote cells that hold a comma",
            )
        if problem is not None:
            return Row(number, {}, cells, problem)
        return Row(number, dict(zip(self._columns, cells, strict=True)), cells)


class FrameTable:
    """A table that polars reads, in pieces.

    Args:
        frame: The table.
        first_number: Column with the number of a row in its file; None: count from 1.
    """

    def __init__(self, frame: pl.LazyFrame, first_number: str | None = None) -> None:
        self._frame = frame
        self._number_column = first_number
        self._n_rows = int(frame.select(pl.len()).collect().item())
        self._read = 0

    @property
    def columns(self) -> list[str]:
        """Columns of the table."""
        return self._frame.collect_schema().names()

    def rows(self, skip: int) -> Iterator[Row]:
        """Yield the rows after the first ``skip``."""
        for start in range(skip, self._n_rows, ROWS_AT_ONCE):
            try:
                piece = self._frame.slice(start, ROWS_AT_ONCE).collect()
            except (OSError, pl.exceptions.PolarsError) as error:
                raise ConfigurationError(f"cannot read on after row {start:,}: {error}") from error
            for index, fields in enumerate(piece.iter_rows(named=True), start + 1):
                self._read = index
                number = fields.pop(self._number_column) if self._number_column else index
                yield Row(number, fields, fields)

    def share_read(self) -> float | None:
        """Return how much of the table is read."""
        return self._read / self._n_rows if self._n_rows else None


def format_of(path: Path, given: str | None) -> str:
    """Return the format of a file: as given, else by its name.

    Raises:
        ConfigurationError: The name does not tell.
    """
    if given:
        return given
    if path == STDIN:
        return "jsonl"
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if suffix.lower() not in _FORMATS:
        raise ConfigurationError(
            f"the name of {path} does not tell its format", hint=f"--format {'|'.join(FORMATS)}"
        )
    return _FORMATS[suffix.lower()]


def open_table(path: Path, given_format: str | None = None) -> EventTable:
    """Open a table of events in the given format, or in that of its name.

    Raises:
        ConfigurationError: It cannot be read, or its format is not known.
    """
    check_input(path)
    table_format = format_of(path, given_format)
    if table_format == "jsonl":
        return JsonLines(path)
    if table_format == "csv":
        return CsvTable(path)
    if path == STDIN:
        raise ConfigurationError(
            "parquet cannot be read from the standard input", hint="name the file"
        )
    try:
        return FrameTable(pl.scan_parquet(path, glob=False))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error


def row_as_text(raw: Any) -> object:
    """Return what stands in a file as JSON can hold it: bytes that are no text as hexadecimals."""
    if isinstance(raw, bytes):
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return {"hex": raw.hex()}
    if isinstance(raw, str):
        return row_as_text(raw.encode("utf-8", "surrogateescape"))
    if isinstance(raw, Mapping):
        return {str(name): row_as_text(value) for name, value in raw.items()}
    if isinstance(raw, list):
        return [row_as_text(value) for value in raw]
    return raw if isinstance(raw, int | float | None) else str(raw)
