"""How far a partition's replay is, how fast it goes, and when it will be done."""

import time

import structlog

log = structlog.get_logger(__name__)

REPORT_SECONDS = 10.0


class Replay:
    """The way from where a state was to where its log ended when the partition was assigned.

    Args:
        partition: Number of the partition, for the log.
    """

    def __init__(self, partition: int) -> None:
        self.target = 0
        self._partition = partition
        self._start = 0
        self._began_at = self._told_at = time.monotonic()

    def begin(self, position: int, target: int) -> None:
        """Note where the state is now and where it has to get to."""
        self._start, self.target = position, target
        self._began_at = self._told_at = time.monotonic()

    def share(self, position: int) -> float:
        """Return how much of the way is done; 1 when all is."""
        due = self.target - self._start
        return min(1.0, (position - self._start) / due) if due > 0 else 1.0

    def rate(self, position: int) -> float:
        """Return the offsets a second since the beginning."""
        return (position - self._start) / max(time.monotonic() - self._began_at, 1e-3)

    def seconds_left(self, position: int) -> float | None:
        """Return how long the rest takes at the rate so far; None before anything is done."""
        left = self.target - position
        if left <= 0:
            return 0.0
        rate = self.rate(position)
        return left / rate if rate > 0 else None

    def tell(self, position: int) -> None:
        """Write a log line, not more than one in ten seconds."""
        if position >= self.target or time.monotonic() - self._told_at < REPORT_SECONDS:
            return
        self._told_at = time.monotonic()
        left = self.seconds_left(position)
        log.info(
            "partition_replays",
            partition=self._partition,
            position=position,
            end=self.target,
            per_second=round(self.rate(position)),
            seconds_left=None if left is None else round(left),
        )

    def tell_done(self, position: int) -> None:
        """Write the log line of the end."""
        log.info(
            "partition_ready",
            partition=self._partition,
            position=position,
            replayed=max(0, position - self._start),
            seconds=round(time.monotonic() - self._began_at, 3),
        )
