"""Pending runs: order of acknowledgement, and the append time of the first unapplied record."""

from faust.types import TP
from packed import packed

from interest_center.core.packed_records import Record
from streams.pending_runs import PendingRuns, ReceivedRun
from streams.record_runs import RecordRun


class Event:
    """Notes its acknowledgement."""

    def __init__(self) -> None:
        self.acked = False

    def ack(self) -> bool:
        self.acked = True
        return True


def received(start: int, stop: int, offsets: list[int]) -> ReceivedRun:
    """Make a run whose records were appended at ten times their offset."""
    records = packed([Record(offset, 10 * offset, None, None, ()) for offset in offsets])
    return ReceivedRun(RecordRun(TP("events", 0), start, stop, records), Event())


def test_runs_are_acknowledged_when_durable_and_in_order() -> None:
    pending = PendingRuns()
    runs = [received(0, 5, [0, 1]), received(5, 9, [6]), received(9, 12, [9])]
    for one in runs:
        pending.add(one)
    for _ in range(2):
        pending.begin()
        pending.finish()
    assert len(pending) == 1
    assert pending.durable(4) == []
    assert pending.durable(5) == [0, 10]
    assert pending.durable(100) == [60, 60]
    assert [one.event.acked for one in runs] == [True, True, False]


def test_first_unapplied_record_is_found_in_the_run_worked_on_and_behind_empty_ones() -> None:
    pending = PendingRuns()
    assert pending.first_append_time_ms(0) is None
    pending.add(received(0, 10, [0, 3, 7]))
    pending.add(received(10, 20, []))
    pending.add(received(20, 30, [25]))
    pending.begin()
    assert pending.first_append_time_ms(0) == 0
    assert pending.first_append_time_ms(1) == 30
    assert pending.first_append_time_ms(7) == 70
    assert pending.first_append_time_ms(8) == 250
    pending.finish()
    assert pending.first_append_time_ms(10) == 250
    assert pending.first_append_time_ms(26) is None


def test_forgotten_runs_are_never_acknowledged() -> None:
    pending = PendingRuns()
    run = received(0, 5, [0])
    pending.add(run)
    pending.begin()
    pending.finish()
    pending.forget()
    assert pending.durable(100) == []
    assert not run.event.acked
