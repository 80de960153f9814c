"""A bound on the events per second of a worker, for tests and shared machines."""

import asyncio


class Throttle:
    """Spreads events evenly over time.

    Args:
        events_per_second: The bound; 0 for none.
    """

    def __init__(self, events_per_second: int) -> None:
        self.events_per_second = events_per_second
        self._free_at = 0.0

    def run_limit(self, max_records: int) -> int:
        """Return the largest run that keeps the progress smooth: at most a twentieth second."""
        if not self.events_per_second:
            return max_records
        return max(1, min(max_records, self.events_per_second // 20))

    async def take(self, n_events: int) -> None:
        """Wait until so many events may be worked on."""
        if not self.events_per_second or not n_events:
            return
        now = asyncio.get_running_loop().time()
        start = max(now, self._free_at)
        self._free_at = start + n_events / self.events_per_second
        if start > now:
            await asyncio.sleep(start - now)
