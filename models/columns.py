"""Columns of a user's own tables, read strictly: what is missing, cut or of another unit is said.

A wrong value is refused with the name of its column; nothing is rounded, filled in or guessed.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from interest_center.core.errors import ConfigurationError
from interest_center.core.events import EARLIEST_TIME_MS, LATEST_TIME_MS
from interest_center.core.ids import TOP_BIT, encode_id
from models.table_files import read_table

_ROWS = "row 1 is the first row of data"
_HOW_IDS_ARE = "write ids as text or as integers; 12.0 is not the id 12"
_HOW_TIMES_ARE = (
    "times are milliseconds since 1970 UTC, between 2000 and 2100, such as 1767225600000; "
    "seconds times 1000; dates as text with pandas: "
    "pd.to_datetime(t, utc=True).astype('datetime64[ms, UTC]').astype('int64')"
)


def read_columns(path: Path, required: Sequence[str]) -> "Columns":
    """Read a CSV (also ``.csv.gz``) or parquet file.

    Raises:
        ConfigurationError: It cannot be read, or lacks a required column.
    """
    return Columns(read_table(path, required), path)


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


def first_row(marked: pl.Series) -> int:
    """Return the first marked row, the first row of data being 1."""
    place = marked.arg_max()
    assert place is not None
    return place + 1


class Columns:
    """The columns of one table.

    Args:
        frame: As read.
        path: Where it was read from; every refusal names it.
    """

    def __init__(self, frame: pl.DataFrame, path: Path) -> None:
        self._frame = frame
        self.path = path

    def __contains__(self, name: str) -> bool:
        return name in self._frame.columns

    def __len__(self) -> int:
        return len(self._frame)

    def as_read(self, name: str) -> pl.Series:
        """Return a column as it stands in the file, gaps included."""
        return self._frame[name]

    def filled(self, name: str) -> pl.Series:
        """Return a column that must say something in every row.

        Raises:
            ConfigurationError: It is null or empty somewhere.
        """
        column = self._frame[name]
        empty = column.is_null()
        if column.dtype == pl.String:
            empty |= (column == "").fill_null(value=False)
        if empty.any():
            raise ConfigurationError(
                f"column {name} of {self.path} is empty in {empty.sum()} of {len(column)} rows, "
                f"the first is row {first_row(empty)}",
                hint=f"fill it in or leave these rows out; {_ROWS}",
            )
        return column

    def texts(self, name: str) -> pl.Series:
        """Return a column of words without gaps.

        Raises:
            ConfigurationError: It is null or empty somewhere.
        """
        return self.filled(name).cast(pl.String)

    def ids(self, name: str) -> NDArray[np.uint64]:
        """Return the ids of a column without gaps.

        Raises:
            ConfigurationError: It is null or empty somewhere, or holds no ids.
        """
        return encode_ids(self._checked_ids(self.filled(name)))

    def optional_ids(self, name: str) -> NDArray[np.uint64]:
        """Return the ids of a column, 0 where it is null or empty or there is no such column.

        Raises:
            ConfigurationError: It holds no ids.
        """
        if name not in self:
            return np.zeros(len(self), np.uint64)
        return encode_ids(self._checked_ids(self._frame[name]))

    def distinct_texts(self, name: str) -> list[str]:
        """Return every text of a column once, without order; none where there is no such column."""
        if name not in self:
            return []
        texts = self._frame[name].cast(pl.String).unique().to_list()
        return [text for text in texts if text]

    def hashed_ids(self, name: str) -> NDArray[np.uint64]:
        """Return 64 bits that tell the ids of a column without gaps apart.

        Raises:
            ConfigurationError: It is null or empty somewhere, or holds no ids.
        """
        return self._checked_ids(self.filled(name)).cast(pl.String).hash(seed=0).to_numpy()

    def _checked_ids(self, column: pl.Series) -> pl.Series:
        kinds = (pl.String, pl.Categorical, pl.Enum, pl.Null)
        if not column.dtype.is_integer() and column.dtype not in kinds:
            raise ConfigurationError(
                f"column {column.name} of {self.path} holds {column.dtype}, not ids",
                hint=_HOW_IDS_ARE,
            )
        if not column.dtype.is_integer():
            # What pandas writes to CSV when a column of whole numbers has a gap.
            floats = column.cast(pl.String).str.contains(r"^[0-9]+\.0+$").fill_null(value=False)
            if floats.any():
                raise ConfigurationError(
                    f"column {column.name} of {self.path} holds {floats.sum()} ids like 12.0, "
                    f"the first in row {first_row(floats)}",
                    hint=_HOW_IDS_ARE,
                )
        return column

    def times_ms(self, name: str) -> NDArray[np.int64]:
        """Return the times of a column without gaps; dates with a time become milliseconds, in UTC.

        Raises:
            ConfigurationError: It is null somewhere, or holds what is no time in milliseconds
                between 2000 and 2100, the range of the event contract.
        """
        column = self.filled(name)
        is_date = isinstance(column.dtype, pl.Datetime)
        times = column.dt.epoch("ms") if is_date else self._whole(column, _HOW_TIMES_ARE)
        self._check_range(times, (EARLIEST_TIME_MS, LATEST_TIME_MS), _HOW_TIMES_ARE)
        return times.to_numpy()

    def whole_numbers(self, name: str, allowed: tuple[int, int], hint: str) -> NDArray[np.int64]:
        """Return the numbers of a column without gaps.

        Args:
            name: The column.
            allowed: Smallest and largest number.
            hint: What the column holds, for who gave something else.

        Raises:
            ConfigurationError: It is null somewhere, or holds anything else.
        """
        numbers = self._whole(self.filled(name), hint)
        self._check_range(numbers, allowed, hint)
        return numbers.to_numpy()

    def optional_numbers(
        self, name: str, allowed: tuple[int, int], missing: int
    ) -> NDArray[np.int64]:
        """Return the numbers of a column, ``missing`` where it has none or does not exist.

        Raises:
            ConfigurationError: It holds what is no whole number or not allowed.
        """
        if name not in self:
            return np.full(len(self), missing, np.int64)
        hint = "whole numbers; empty where there is none"
        numbers = self._whole(self._frame[name], hint)
        self._check_range(numbers, allowed, hint)
        return numbers.fill_null(missing).to_numpy()

    def probabilities(self, name: str) -> NDArray[np.float64]:
        """Return the probabilities of a column without gaps.

        Raises:
            ConfigurationError: It is null somewhere, or holds anything else.
        """
        values = self._fractions(self.filled(name))
        self._check_fractions(values, 1, "no probability")
        return values.to_numpy()

    def optional_amounts(self, name: str, most: float) -> NDArray[np.float32]:
        """Return the amounts of a column, NaN where it is null or empty.

        Raises:
            ConfigurationError: It holds what is no number from 0 to ``most``.
        """
        column = self._frame[name]
        values = self._fractions(column.replace("", None) if column.dtype == pl.String else column)
        self._check_fractions(values, most, f"not between 0 and {most:g}")
        return values.cast(pl.Float32).fill_null(float("nan")).to_numpy()

    def optional_vectors(
        self, name: str, width: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Return which rows have a vector, ``[n]``, and these, ``[m, width]``.

        Raises:
            ConfigurationError: It holds anything but lists of so many finite numbers.
        """
        if name not in self:
            return np.zeros(len(self), np.bool_), np.zeros((0, width), np.float32)
        hint = f"parquet, with a list of {width} finite numbers in each row, or null"
        column = self._frame[name]
        kinds = pl.List | pl.Array
        if not isinstance(column.dtype, kinds) or not column.dtype.inner.is_numeric():
            raise self._refusal(name, f"holds {column.dtype}, not lists of numbers", hint)
        lists = column.cast(pl.List(pl.Float32))
        lengths, there = lists.list.len(), lists.is_not_null()
        told = f"has {{value}} numbers in row {{row}}, expected {width}"
        self._check(lengths.alias(name), there & (lengths != width), told, hint)
        vectors = lists.drop_nulls().explode().to_numpy().reshape(-1, width)
        wrong = np.zeros(len(self), np.bool_)
        wrong[there.to_numpy()] = ~np.isfinite(vectors).all(1)
        self._check(column, pl.Series(wrong), "is not finite in row {row}", hint)
        return there.to_numpy(), vectors

    def _fractions(self, column: pl.Series) -> pl.Series:
        """Return numbers; nulls stay."""
        hint = "write numbers alone, such as 9.5"
        return self._cast(column, pl.Float64(), "is not numbers", hint)

    def _check_fractions(self, values: pl.Series, most: float, fact: str) -> None:
        outside = ~values.is_between(0, most).fill_null(value=True)
        self._check(
            values,
            outside,
            f"holds what is {fact}: {{value}} in row {{row}}",
            "correct it or leave these rows out",
        )

    def _cast(self, column: pl.Series, dtype: pl.DataType, fact: str, hint: str) -> pl.Series:
        try:
            numbers = column.cast(dtype, strict=False)
        except pl.exceptions.PolarsError as error:
            raise self._refusal(column.name, f"holds {column.dtype}, {fact}", hint) from error
        wrong = numbers.is_null() & column.is_not_null()
        self._check(column, wrong, f"{fact}: it holds {{value!r}} in row {{row}}", hint)
        return numbers

    def _whole(self, column: pl.Series, hint: str) -> pl.Series:
        """Return whole numbers, also written as ``1.0``; nulls stay."""
        dtype, name = column.dtype, column.name
        if not dtype.is_numeric() and dtype not in (pl.String, pl.Boolean, pl.Null):
            raise self._refusal(name, f"holds {dtype}, not whole numbers", hint)
        fact = "is not whole numbers"
        if dtype.is_integer():
            return self._cast(column, pl.Int64(), fact, hint)
        if dtype == pl.String:
            column = column.replace("", None)
        numbers = self._cast(column, pl.Float64(), fact, hint)
        wrong = (~numbers.is_finite() | (numbers != numbers.floor())).fill_null(value=False)
        self._check(column, wrong, f"{fact}: it holds {{value}} in row {{row}}", hint)
        return self._cast(numbers, pl.Int64(), fact, hint)

    def _check_range(self, numbers: pl.Series, allowed: tuple[int, int], hint: str) -> None:
        outside = ~numbers.is_between(*allowed).fill_null(value=True)
        expected = f"expected {allowed[0]} to {allowed[1]}"
        self._check(numbers, outside, f"in row {{row}} holds {{value}}, {expected}", hint)

    def _check(self, column: pl.Series, wrong: pl.Series, fact: str, hint: str) -> None:
        """Refuse a column with rows marked as wrong; the fact names ``{value}`` and ``{row}``."""
        if wrong.any():
            told = fact.format(value=column.filter(wrong)[0], row=first_row(wrong))
            raise self._refusal(column.name, told, f"{hint}; {_ROWS}")

    def _refusal(self, name: str, fact: str, hint: str) -> ConfigurationError:
        return ConfigurationError(f"column {name} of {self.path} {fact}", hint=hint)
