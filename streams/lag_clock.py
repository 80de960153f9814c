"""How far a partition is behind: in offsets, and by the age of its first unapplied record."""

import time

from streams.log_identity import LogReader
from streams.pending_runs import PendingRuns


class LagClock:
    """Knows the end of one partition's log and when the first unapplied record was appended.

    Args:
        pending: Received runs, which know their records' append times.
        reader: Looks a record up that has not been received.
        partition: Number of the partition.
    """

    def __init__(self, pending: PendingRuns, reader: LogReader, partition: int) -> None:
        self.end = 0
        self._pending = pending
        self._reader = reader
        self._partition = partition
        self._caught_up_at = time.time()
        self._probed: tuple[int, int] | None = None

    def saw(self, end: int) -> None:
        """Learn that the log reaches to ``end`` at least."""
        self.end = max(self.end, end)

    def applied_to(self, position: int) -> None:
        """Note the position of the state."""
        if position >= self.end:
            self._caught_up_at = time.time()

    def offsets(self, position: int) -> int:
        """Return the lag in offsets."""
        return max(0, self.end - position)

    def seconds(self, position: int, now: float) -> float:
        """Return the age of the first unapplied record, 0 when there is none."""
        if position >= self.end:
            return 0.0
        first_ms = self._pending.first_append_time_ms(position)
        if first_ms is None and self._probed is not None and self._probed[0] >= position:
            first_ms = self._probed[1]
        # Not looked up yet: it came after the state was last level with the log.
        since = self._caught_up_at if first_ms is None else first_ms / 1000
        return max(0.0, now - since)

    async def probe(self, position: int) -> None:
        """Look the first unapplied record up where it has not been received."""
        self.applied_to(position)
        if position >= self.end or self._pending.first_append_time_ms(position) is not None:
            return
        if self._probed is not None and self._probed[0] >= position:
            return
        record = await self._reader.first_record_from(self._partition, position, self.end)
        if record is not None:
            self._probed = (record.offset, record.timestamp)
