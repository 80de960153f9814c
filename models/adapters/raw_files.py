"""Files of public logs, read strictly: every column as text first, then as what it must be."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from interest_center.core.errors import ConfigurationError

_HOW_TO_GO_ON = "correct or remove these rows; row 1 is the first row of data"


def find_file(directory: Path, *names: str) -> Path:
    """Return the first of these files that is in a directory.

    Raises:
        ConfigurationError: None of them is there.
    """
    for name in names:
        if (directory / name).is_file():
            return directory / name
    raise ConfigurationError(
        f"{directory} has no {' or '.join(names)}", hint="name the directory of the log by --data"
    )


def read_texts(path: Path) -> pl.DataFrame:
    """Read a CSV file (also ``.csv.gz``) with a header, every column as text.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        return pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error


def check_columns(path: Path, frame: pl.DataFrame, needed: Sequence[str], log: str) -> None:
    """Refuse a file without the columns of its log, or without rows.

    Raises:
        ConfigurationError: A column is missing, or every row.
    """
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise ConfigurationError(
            f"{path} lacks the columns {', '.join(missing)} of the {log} log, "
            f"it has {', '.join(frame.columns)}",
            hint="is it the right file? `uic convert --help` says which log is meant",
        )
    if not len(frame):
        raise ConfigurationError(f"{path} has no rows", hint="load it again")


def typed(path: Path, frame: pl.DataFrame, types: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """Return a frame of the given columns, each made from the column of texts of its name.

    Args:
        path: Where the frame was read from; a refusal names it.
        frame: Columns as text, rows as in the file.
        types: Name of each wanted column and what is made of it, null where that fails.

    Raises:
        ConfigurationError: A value that is there cannot be read.
    """
    made = frame.select(**types)
    for name in types:
        wrong = frame[name].is_not_null() & made[name].is_null()
        if wrong.any():
            row = wrong.arg_max()
            assert row is not None
            raise ConfigurationError(
                f"column {name} of {path} cannot be read in {wrong.sum()} rows, "
                f"the first is row {row + 1}: {frame[name][row]!r}",
                hint=_HOW_TO_GO_ON,
            )
    return made


def check_filled(path: Path, frame: pl.DataFrame, names: Sequence[str]) -> None:
    """Refuse columns with empty cells.

    Args:
        path: Where the frame was read from; a refusal names it.
        frame: Rows as in the file.
        names: Columns that must say something in every row.

    Raises:
        ConfigurationError: One of them is empty somewhere.
    """
    for name in names:
        empty = frame[name].is_null()
        if empty.any():
            row = empty.arg_max()
            assert row is not None
            raise ConfigurationError(
                f"column {name} of {path} is empty in {empty.sum()} rows, "
                f"the first is row {row + 1}",
                hint=_HOW_TO_GO_ON,
            )
