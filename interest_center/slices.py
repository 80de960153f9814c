"""One slice of a batch at a time: the engine's scan, then the memory model over what it applied."""

import numpy as np

from interest_center.answers import CenterOptions
from interest_center.core.layout import StateConfig
from interest_center.core.protocols import MemoryUpdater
from interest_center.engine_scan import scan_events
from interest_center.hot_rows import HotRows
from interest_center.scan_arrays import (
    MAX_TIME_MS,
    N_EVICTED,
    NO_TIME_MS,
    Columns,
    new_outcome,
    rules_of,
)

#: Events whose rows are brought into memory together.
LONGEST_CHUNK = 8192
_FIRST_SLICE = 128
_SHORTEST_SLICE = 32


class SliceScanner:
    """Walks columns slice by slice; the caller holds the partition's lock during a slice.

    Args:
        hot: Rows of the partition.
        config: Rules of the states.
        updater: Long-term memory, None to keep none.
        options: How long a slice may take.

    Attributes:
        rules: The configuration as the scan reads it.
        sums: Counts of the last slice, by the names in ``engine_scan``.
    """

    def __init__(
        self,
        hot: HotRows,
        config: StateConfig,
        updater: MemoryUpdater | None,
        options: CenterOptions,
    ) -> None:
        self.rules = rules_of(config)
        self._hot = hot
        self._updater = updater
        self._options = options
        self._outcome = new_outcome(LONGEST_CHUNK)
        self._n_slice = _FIRST_SLICE
        self.sums = self._outcome.sums

    def scan(self, columns: Columns, start: int) -> int:
        """Apply a slice of events from ``start`` on and return its end."""
        timer = self._options.timer
        begun = timer() if timer is not None else 0.0
        end = min(start + self._n_slice, len(columns.row))
        self._scan(columns, start, end)
        if timer is not None and end - start >= _SHORTEST_SLICE:
            self._aim(end - start, timer() - begun)
        return end

    def evicted(self) -> set[tuple[int, int]]:
        """Return the (user, category) pairs that lost their sub-sequence in the last slice."""
        n = int(self.sums[N_EVICTED])
        users = self._outcome.evicted_user[:n].tolist()
        return set(zip(users, self._outcome.evicted_category[:n].tolist(), strict=True))

    def _scan(self, columns: Columns, start: int, end: int) -> None:
        """Run both scans over a slice."""
        self.sums[:] = 0
        self.sums[MAX_TIME_MS] = NO_TIME_MS
        self._outcome.to_memory[start:end] = False
        scan_events(self._hot.hot, self.rules, columns, start, end, self._outcome)
        if self._updater is None:
            return
        seen = start + np.flatnonzero(self._outcome.to_memory[start:end])
        if len(seen):
            self._updater.update_many(
                self._hot.memories.values,
                columns.row[seen],
                columns.item[seen],
                columns.category[seen],
            )

    def _aim(self, n_events: int, seconds: float) -> None:
        """Choose the next slice's length so that it takes about the time it may."""
        fitting = n_events * self._options.slice_seconds / max(seconds, 1e-7)
        n = int(min(max(fitting, 0.25 * self._n_slice), 2.0 * self._n_slice))
        self._n_slice = min(max(n, _SHORTEST_SLICE), LONGEST_CHUNK)
