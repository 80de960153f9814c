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


def read_columns(path: Path, required: Sequence[str]) -> "Columns":
    """Read a CSV (also ``.csv.gz``) or parquet file.

    Raises:
        ConfigurationError: It cannot be read, or lacks a required column.
    """
    try:
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path)
        else:
            # Every id is text: a column that begins with numbers may hold words further on.
            frame = pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error
    missing = [name for name in required if name not in frame.columns]
    if missing:
        raise ConfigurationError(
            f"{path} lacks the columns {', '.join(missing)}",
            hint="columns needed: " + ", ".join(required),
        )
    if not len(frame):
        raise ConfigurationError(f"{path} has no rows")
    return Columns(frame, path)


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


HOW_IDS_ARE = "write ids as text or as integers; 12.0 is not the id 12"


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
        n_empty = column.null_count()
        if column.dtype == pl.String:
            n_empty += int((column == "").sum())
        if n_empty:
            raise ConfigurationError(
                f"column {name} of {self.path} is empty in {n_empty} of {len(column)} rows",
                hint="fill it in or leave these rows out",
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
                hint=HOW_IDS_ARE,
            )
        if not column.dtype.is_integer():
            # What pandas writes to CSV when a column of whole numbers has a gap.
            floats = column.cast(pl.String).str.contains(r"^[0-9]+\.0+$").sum()
            if floats:
                raise ConfigurationError(
                    f"column {column.name} of {self.path} holds {floats} ids like 12.0",
                    hint=HOW_IDS_ARE,
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
        times = column.dt.epoch("ms") if is_date else self._whole(column)
        self._check_range(
            times,
            (EARLIEST_TIME_MS, LATEST_TIME_MS),
            "times are milliseconds since 1970 UTC, between 2000 and 2100; seconds times 1000",
        )
        return times.to_numpy()

    def whole_numbers(self, name: str, allowed: tuple[int, int]) -> NDArray[np.int64]:
        """Return the numbers of a column without gaps.

        Args:
            name: The column.
            allowed: Smallest and largest number.

        Raises:
            ConfigurationError: It is null somewhere, or holds anything else.
        """
        numbers = self._whole(self.filled(name))
        self._check_range(numbers, allowed)
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
        numbers = self._whole(self._frame[name])
        self._check_range(numbers, allowed)
        return numbers.fill_null(missing).to_numpy()

    def probabilities(self, name: str) -> NDArray[np.float64]:
        """Return the probabilities of a column without gaps.

        Raises:
            ConfigurationError: It is null somewhere, or holds anything else.
        """
        values = self._fractions(self.filled(name))
        if not values.is_between(0, 1).all():
            raise self._refusal(name, "holds what is no probability")
        return values.to_numpy()

    def optional_amounts(self, name: str, most: float) -> NDArray[np.float32]:
        """Return the amounts of a column, NaN where it is null or empty.

        Raises:
            ConfigurationError: It holds what is no number from 0 to ``most``.
        """
        column = self._frame[name]
        values = self._fractions(column.replace("", None) if column.dtype == pl.String else column)
        if not values.drop_nulls().is_between(0, most).all():
            raise self._refusal(name, f"holds what is not between 0 and {most:g}")
        return values.cast(pl.Float32).fill_null(float("nan")).to_numpy()

    def _fractions(self, column: pl.Series) -> pl.Series:
        """Return numbers; nulls stay."""
        try:
            return column.cast(pl.Float64)
        except pl.exceptions.PolarsError as error:
            raise self._refusal(column.name, "is not numbers", error) from error

    def _whole(self, column: pl.Series) -> pl.Series:
        """Return whole numbers, also written as ``1.0``; nulls stay."""
        dtype, name = column.dtype, column.name
        if not dtype.is_numeric() and dtype not in (pl.String, pl.Boolean, pl.Null):
            raise self._refusal(name, f"holds {dtype}, not whole numbers")
        try:
            if dtype.is_integer():
                return column.cast(pl.Int64)
            if dtype == pl.String:
                column = column.replace("", None)
            numbers = column.cast(pl.Float64)
            wrong = (~numbers.is_finite() | (numbers != numbers.floor())).fill_null(value=False)
            if wrong.any():
                found = column.filter(wrong)[0]
                raise self._refusal(name, f"is not whole numbers: it holds {found}")
            return numbers.cast(pl.Int64)
        except pl.exceptions.PolarsError as error:
            raise self._refusal(name, "is not whole numbers", error) from error

    def _check_range(self, numbers: pl.Series, allowed: tuple[int, int], hint: str = "") -> None:
        outside = numbers.filter((numbers < allowed[0]) | (numbers > allowed[1]))
        if len(outside):
            raise ConfigurationError(
                f"column {numbers.name} of {self.path} holds {outside[0]}, "
                f"expected {allowed[0]} to {allowed[1]}",
                hint=hint,
            )

    def _refusal(self, name: str, fact: str, error: Exception | None = None) -> ConfigurationError:
        detail = "" if error is None else f": {str(error).splitlines()[0]}"
        return ConfigurationError(f"column {name} of {self.path} {fact}{detail}")
