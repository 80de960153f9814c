"""What was read of the tables and what was not, said before hours are spent on them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from models.excluded_days import days_of, days_text
from models.table_files import column_names
from models.tables import (
    EVENT_COLUMNS,
    OPTIONAL_EVENT_COLUMNS,
    OPTIONAL_SAMPLE_COLUMNS,
    ORACLE_COLUMN,
    OTHER_EVENT_COLUMNS,
    OTHER_SAMPLE_COLUMNS,
    SAMPLE_COLUMNS,
    SPLITS,
    Samples,
)
from models.training_tables import TrainingData

_EVENTS = frozenset((*EVENT_COLUMNS, *OPTIONAL_EVENT_COLUMNS, *OTHER_EVENT_COLUMNS))
_SAMPLES = frozenset(
    (*SAMPLE_COLUMNS, *OPTIONAL_SAMPLE_COLUMNS, *OTHER_SAMPLE_COLUMNS, ORACLE_COLUMN)
)


def unread_columns(events: Path | None = None, samples: Path | None = None) -> Iterator[str]:
    """Yield a line for each table that was read and has columns of unknown names."""
    for path, known in ((events, _EVENTS), (samples, _SAMPLES)):
        unread = [] if path is None else [n for n in column_names(path) if n not in known]
        if unread:
            yield f"columns of {path} not read: {', '.join(unread)}"


def split_text(path: Path, samples: Samples) -> str:
    """Return how many samples each split has, and whether the table or their time says so."""
    by_column = "split" in column_names(path)
    counts = np.bincount(samples.splits, minlength=len(SPLITS))
    told = ", ".join(f"{name} {n:,}" for name, n in zip(SPLITS, counts, strict=True))
    made = f"by column split of {path}" if by_column else f"by time: {path} has no column split"
    return f"samples: {told}; split {made}"


def training_notes(data: TrainingData) -> Iterator[str]:
    """Yield what a person should know of the tables of a training, a line each."""
    tables = data.tables
    yield from unread_columns(tables.events, tables.samples)
    yield split_text(tables.samples, data.samples)
    if data.days_without_samples:
        yield (
            f"excluded days without a training sample: {days_text(data.days_without_samples)}; "
            f"the samples are of {days_text((days_of(data.samples.times_ms),))}"
        )
