"""Event and sample tables made ready for a training: read, checked, joined."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from interest_center.core.errors import ConfigurationError
from interest_center.core.layout import StateConfig
from models.excluded_days import DaySpans, falls_on
from models.samples import PointInTime, point_in_time
from models.tables import SPLITS, TRAIN, Events, Samples, read_events, read_samples

Prices = tuple[NDArray[np.uint64], NDArray[np.float64]]


@dataclass(frozen=True)
class TrainingTables:
    """What a training reads, and where from.

    Attributes:
        events: Event table.
        samples: Sample table.
        state: Rules of the state that the ranking will read.
        excluded: Days whose samples are not trained on, for example those of a big sale.
    """

    events: Path
    samples: Path
    state: StateConfig
    excluded: DaySpans = ()


@dataclass(frozen=True)
class TrainingData:
    """Tables made ready.

    Attributes:
        tables: Where they came from.
        joined: Histories and requests; samples of excluded days are in none.
        samples: The sample table, without the samples of excluded days.
        counts: How many rows of what there are.
        prices: Items and their prices, None when the tables have none.
        days_without_samples: Excluded days on which no training sample falls.
    """

    tables: TrainingTables
    joined: PointInTime
    samples: Samples
    counts: dict[str, int]
    prices: Prices | None
    days_without_samples: DaySpans = ()

    @property
    def files(self) -> dict[str, str]:
        """The files by name, for a report."""
        return {"events": str(self.tables.events), "samples": str(self.tables.samples)}

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits over all that training reads of the tables."""
        digest = hashlib.blake2b(digest_size=8)
        joined = self.joined
        columns = [joined.user_ids, *(self.prices or ())]
        for part in (joined.ring, joined.memory, joined.categorised, joined.requests):
            columns += vars(part).values()
        for column in columns:
            digest.update(f"{column.dtype.str} {column.shape}".encode())
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()


def read_training_data(tables: TrainingTables) -> TrainingData:
    """Read and join the tables.

    Raises:
        ConfigurationError: A table cannot be used, a split that training needs is empty, or the
            tables do not belong together.
    """
    everything = read_samples(tables.samples)
    samples = _without(everything, tables)
    for code, name in enumerate(SPLITS[:2]):
        labels = samples.labels[samples.splits == code]
        if code == TRAIN and not len(labels):
            raise ConfigurationError(
                f"{tables.samples} has no row of split train to train on",
                hint="exclude fewer days"
                if len(samples.labels) < len(everything.labels)
                else "its column split holds train, validation and test; without the column the "
                "splits are made by time",
            )
        if len(np.unique(labels)) < 2:
            raise ConfigurationError(
                f"split {name} of {tables.samples} needs samples with and without a click, it has "
                f"{len(labels):,} samples, {labels.sum():,} of them clicks",
                hint="`uic sample` draws samples without a click where a log has none; see the "
                "columns label and split",
            )
    events = read_events(tables.events, tables.state)
    data = point_in_time(events, samples, tables.state)
    if not data.has_history[data.requests.splits == TRAIN].any():
        raise ConfigurationError(
            f"no training sample of {tables.samples} has an event of its user before it",
            hint=f"{tables.events} must name users by the same ids and hold events of theirs that "
            "are older than the samples",
        )
    counts = {
        "n_events": len(events.items),
        "n_duplicate_events": data.n_duplicate_events,
        "n_late_events": data.n_late_events,
        "n_samples": len(samples.labels),
        "n_excluded": len(everything.labels) - len(samples.labels),
        "n_samples_without_history": data.n_samples_without_history,
    }
    prices = _prices(events, samples)
    return TrainingData(tables, data, samples, counts, prices, _untouched(everything, tables))


def _untouched(samples: Samples, tables: TrainingTables) -> DaySpans:
    """Return the excluded days that no training sample falls on."""
    times = samples.times_ms[samples.splits == TRAIN]
    return tuple(span for span in tables.excluded if not falls_on(times, (span,)).any())


def _without(samples: Samples, tables: TrainingTables) -> Samples:
    """Return the samples but the training samples of excluded days."""
    if not tables.excluded:
        return samples
    kept = (samples.splits != TRAIN) | ~falls_on(samples.times_ms, tables.excluded)
    columns = {name: column[kept] for name, column in vars(samples).items() if column is not None}
    return replace(samples, **columns)


def _prices(events: Events, samples: Samples) -> Prices | None:
    """Return all prices in the order of time, but those that training may not see."""
    parts = []
    if events.prices is not None:
        seen = samples.times_ms[samples.splits == TRAIN].max(initial=0)
        known = events.times_ms < seen
        parts.append((events.items[known], events.prices[known], events.times_ms[known]))
    if samples.prices is not None:
        train = samples.splits == TRAIN
        parts.append((samples.items[train], samples.prices[train], samples.times_ms[train]))
    if not parts:
        return None
    items, prices, times = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(times, kind="stable")
    return items[order], prices[order].astype(np.float64)
