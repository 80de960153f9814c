"""The lag in seconds is the age of the first unapplied record, whoever knows it."""

import time
from typing import Any, cast

from faust.types import TP
from packed import packed

from interest_center.core.packed_records import Record
from streams.lag_clock import LagClock
from streams.log_identity import LogReader
from streams.pending_runs import PendingRuns, ReceivedRun
from streams.record_runs import RecordRun


def at(offset: int, timestamp: int) -> Record:
    """Return a record, as far as the lag is concerned."""
    return Record(offset, timestamp, None, None, ())


class Log:
    """A log in memory, with the one method that the clock asks."""

    def __init__(self, records: list[Record]) -> None:
        self.records = records
        self.asked: list[int] = []

    async def first_record_from(self, partition: int, position: int, end: int) -> Record | None:
        self.asked.append(position)
        return next((r for r in self.records if position <= r.offset < end), None)


def clock(log: Log | None = None) -> tuple[LagClock, PendingRuns]:
    pending = PendingRuns()
    return LagClock(pending, cast(LogReader, log or Log([])), 0), pending


def test_level_means_no_lag() -> None:
    lag, _ = clock()
    lag.saw(10)
    assert lag.offsets(10) == 0
    assert lag.seconds(10, time.time() + 100) == 0.0


def test_a_received_record_tells_its_age() -> None:
    lag, pending = clock()
    lag.saw(10)
    records = packed([at(5, 50_000), at(9, 90_000)])
    run = RecordRun(TP("events", 0), 5, 10, records)
    pending.add(ReceivedRun(run, cast(Any, None)))
    assert lag.offsets(5) == 5
    assert lag.seconds(5, 100.0) == 50.0
    assert lag.seconds(6, 100.0) == 10.0


async def test_a_record_not_received_is_looked_up_once() -> None:
    log = Log([at(7, 70_000)])
    lag, _ = clock(log)
    lag.saw(10)
    await lag.probe(5)
    await lag.probe(5)
    assert log.asked == [5]
    assert lag.seconds(5, 100.0) == 30.0


def test_before_any_look_up_the_lag_counts_from_when_all_was_applied() -> None:
    lag, _ = clock()
    lag.saw(10)
    lag.applied_to(10)
    lag.saw(11)
    assert 0.0 <= lag.seconds(10, time.time()) < 1.0
