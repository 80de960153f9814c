"""Public shopping logs as events: Taobao UserBehavior and Amazon Reviews 2023 (electronics)."""

from pathlib import Path

import click
import polars as pl

from interest_center.core.errors import ConfigurationError
from models.adapters.shopping_logs import SHOPPING_LOGS, read_shopping_log
from streams.event_tables import FrameTable
from streams.input_files import STDIN, check_input

_NUMBER = "__number__"

#: What ``uic produce --from`` knows.
REAL_LOGS = tuple(sorted(SHOPPING_LOGS))


def open_real_log(path: Path, name: str) -> FrameTable:
    """Open a public log, sorted by time; rows of the same time keep their order.

    The whole log is sorted in memory. A last line that was cut short is dropped with a warning.

    Raises:
        ConfigurationError: The file cannot be read or has other columns.
    """
    log = SHOPPING_LOGS[name]
    if path == STDIN:
        raise ConfigurationError(
            f"a {name} log is sorted by time before it is sent", hint="name its file"
        )
    check_input(path)
    frame, is_cut_short = read_shopping_log(path, name)
    if is_cut_short:
        click.echo(f"warning: the last line of {path} is cut short and dropped", err=True)
    order = pl.col(log.time_column).cast(pl.Int64, strict=False)
    ordered = frame.with_row_index(_NUMBER, 1).sort(order, maintain_order=True)
    return FrameTable(log.to_events(ordered.lazy()).collect().lazy(), _NUMBER)
