"""Runs that a partition has received but not yet made durable: what is waiting, and since when."""

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from interest_center.core.packed_records import OFFSET, TIME_MS
from streams.record_runs import RecordRun


class Acknowledged(Protocol):
    """A Faust event, as far as it matters here."""

    def ack(self) -> bool:
        """Mark the message as processed."""
        ...


@dataclass(frozen=True, slots=True)
class ReceivedRun:
    """A run with the Faust event that brought it."""

    run: RecordRun
    event: Acknowledged


@dataclass(frozen=True, slots=True)
class AppliedRun:
    """What is still needed of a run until it is durable; its records are let go.

    Attributes:
        next_position: Fetch position after it.
        append_times_ms: Of its first and its last record.
        event: The Faust event that brought it.
    """

    next_position: int
    append_times_ms: tuple[int, ...]
    event: Acknowledged


class PendingRuns:
    """Received runs of one partition, in order.

    A run waits, is worked on, is applied, and leaves when a checkpoint has made it durable.
    """

    def __init__(self) -> None:
        self._waiting: deque[ReceivedRun] = deque()
        self._current: ReceivedRun | None = None
        self._applied: deque[AppliedRun] = deque()

    def __len__(self) -> int:
        """Return how many runs wait."""
        return len(self._waiting)

    def add(self, received: ReceivedRun) -> None:
        """Queue a run."""
        self._waiting.append(received)

    def begin(self) -> RecordRun:
        """Take the next run to work on it."""
        self._current = self._waiting.popleft()
        return self._current.run

    def finish(self) -> None:
        """Note that the run worked on is applied."""
        assert self._current is not None
        run = self._current.run
        times_ms = run.packed.append_times_ms
        self._applied.append(AppliedRun(run.next_position, times_ms, self._current.event))
        self._current = None

    def forget(self) -> None:
        """Drop everything; it is replayed from the watermark."""
        self._waiting.clear()
        self._applied.clear()
        self._current = None

    def durable(self, watermark: int) -> list[int]:
        """Acknowledge the runs before a durable watermark; return append times, two a run."""
        times_ms = list[int]()
        while self._applied and self._applied[0].next_position <= watermark:
            applied = self._applied.popleft()
            applied.event.ack()
            times_ms += applied.append_times_ms
        return times_ms

    def first_append_time_ms(self, watermark: int) -> int | None:
        """Return when the first received record at or after ``watermark`` was appended.

        Returns:
            Milliseconds, None when no such record has been received.
        """
        received = [self._current] if self._current is not None else []
        for pending in (*received, *self._waiting):
            places = pending.run.packed.places
            first = int(np.searchsorted(places[:, OFFSET], watermark))
            if first < len(places):
                return int(places[first, TIME_MS])
        return None
