"""Files of tables: CSV or parquet, and what a file that is neither probably is."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from interest_center.core.errors import ConfigurationError

_FORM = "write it as CSV with commas and a line of column names, or as parquet"
#: What other programs write between columns, and its name.
_OTHER_SEPARATORS = {";": ";", "\t": "a tab", "|": "|"}


def read_table(path: Path, required: Sequence[str]) -> pl.DataFrame:
    """Read a CSV (also ``.csv.gz``) or parquet file; the columns of a CSV are text.

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
        raise ConfigurationError(f"cannot read {path}: {error}", hint=_other_form(path)) from error
    missing = [name for name in required if name not in frame.columns]
    if missing:
        raise ConfigurationError(
            f"{path} lacks the columns {', '.join(missing)}, it has {', '.join(frame.columns)}",
            hint=_other_form(path)
            or _other_separator(frame.columns)
            or f"columns needed: {', '.join(required)}; rename yours, their order does not matter",
        )
    if not len(frame):
        raise ConfigurationError(f"{path} has no rows")
    return frame


def column_names(path: Path) -> list[str]:
    """Return the columns of a file that ``read_table`` has read."""
    if path.suffix == ".parquet":
        return list(pl.read_parquet_schema(path))
    return pl.read_csv(path, infer_schema=False, n_rows=0).columns


def _other_form(path: Path) -> str:
    """Say what a file is that its name does not say; nothing if it looks right."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return ""
    is_parquet = head.startswith(b"PAR1")
    if path.suffix == ".parquet":
        return "" if is_parquet else f"it is not parquet; name it .csv if it is CSV, or {_FORM}"
    if is_parquet:
        return "it is parquet: name it .parquet"
    return f"it seems to be JSON: {_FORM}" if head.lstrip()[:1] in (b"{", b"[") else ""


def _other_separator(columns: Sequence[str]) -> str:
    """Say which separator a CSV seems to have if it is not the comma."""
    for separator, name in _OTHER_SEPARATORS.items():
        if any(separator in name for name in columns[:1]):
            return f"its separator seems to be {name}: {_FORM}"
    return ""
