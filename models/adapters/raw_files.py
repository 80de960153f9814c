"""Files of public logs, read strictly: every column as text first, then as what it must be."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from interest_center.core.errors import ConfigurationError


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


def read_texts(path: Path, header: bool = True, quoted: bool = True) -> pl.DataFrame:
    """Read a CSV file (also ``.csv.gz``), every column as text.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        return pl.read_csv(
            path, has_header=header, infer_schema=False, quote_char='"' if quoted else None
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error


def check_columns(path: Path, frame: pl.DataFrame, needed: Sequence[str], log: str) -> None:
    """Refuse a file without the columns of its log.

    Raises:
        ConfigurationError: One is missing.
    """
    if not set(needed) <= set(frame.columns):
        raise ConfigurationError(
            f"{path} has columns {', '.join(frame.columns)}, the {log} log has {', '.join(needed)}"
        )


def typed(path: Path, frame: pl.DataFrame, types: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """Return a frame of the given columns, each made from the column of texts of its name.

    Args:
        path: Where the frame was read from; a refusal names it.
        frame: Columns as text.
        types: Name of each wanted column and what is made of it, null where that fails.

    Raises:
        ConfigurationError: A value that is there cannot be read.
    """
    made = frame.select(**types)
    for name in types:
        wrong = frame[name].is_not_null() & made[name].is_null()
        if wrong.any():
            raise ConfigurationError(
                f"column {name} of {path} cannot be read in {wrong.sum()} rows, "
                f"the first holds {frame[name].filter(wrong)[0]!r}"
            )
    return made
