"""What was shown and what came of it, as tables."""

import json

import pytest

from interest_center.core.event_decoder import EventDecoder
from interest_center.core.events import EventRules
from interest_center.core.ids import partition_of
from interest_center.core.layout import DEFAULT_EVENT_TYPES
from interest_center.core.packed_records import Record
from streams.exposure_tables import (
    DEGRADED,
    ERASED,
    NOT_BY_STATE,
    OF_ANOTHER_LOG,
    OPEN,
    UNREADABLE,
    EventRows,
    Outcome,
    ShownRows,
)

NOW = 1_767_225_600_000
HOUR = 3_600_000
OUTCOME = Outcome(("click",), HOUR, NOW + 10 * HOUR)


def event(offset: int, user: str, item: str, kind: str = "click", at: int = NOW) -> Record:
    value = {
        "event_id": f"e{offset}", "user_id": user, "item_id": item, "event_type": kind,
        "event_time_ms": at,
    }  # fmt: skip
    return Record(offset, NOW + HOUR, user.encode(), json.dumps(value).encode(), ())


def erasure(offset: int, user: str) -> Record:
    return Record(offset, NOW, user.encode(), None, ())


def exposure(user: str, items: str, watermark: int | None, at: int = NOW, **more: object) -> Record:
    value = {
        "user_id": user, "time_ms": at, "page": 2, "trigger_item_id": None,
        "trigger_category_id": None, "model": "m", "as_of": None, "watermark": watermark,
        "history": "state", "degraded": None,
        "items": [{"item_id": one, "category_id": "c", "probability": 0.5} for one in items],
    } | more  # fmt: skip
    return Record(0, NOW, user.encode(), json.dumps(value).encode(), ())


def events_of(*records: Record, n_partitions: int = 1) -> EventRows:
    rules = EventRules("events", n_partitions, DEFAULT_EVENT_TYPES)
    rows = EventRows(EventDecoder(rules))
    for partition in range(n_partitions):
        own = [one for one in records if partition_of(one.key or b"", n_partitions) == partition]
        rows.add(partition, own)
        rows.starts[partition] = 0
        rows.ends[partition] = max((one.offset + 1 for one in own), default=0)
    return rows


def shown_by(*records: Record) -> ShownRows:
    rows = ShownRows()
    rows.add(records)
    return rows


def chosen(shown: ShownRows, events: EventRows, outcome: Outcome = OUTCOME) -> list[str]:
    table = shown.samples(events, outcome)
    return [
        f"{row['user_id']}{row['item_id']}{row['watermark']}"
        for row in table.iter_rows(named=True)
        if row["label"]
    ]


def test_an_item_was_chosen_when_its_user_did_so_soon_after_it_was_shown() -> None:
    events = events_of(
        event(0, "u", "a", at=NOW - 1),  # before it was shown
        event(1, "u", "b", at=NOW),
        event(2, "v", "c", at=NOW + 1),  # by somebody else
        event(3, "u", "d", "view", at=NOW + 1),
        event(4, "u", "e", at=NOW + HOUR),
        event(5, "u", "f", at=NOW + HOUR + 1),  # too late
        event(6, "u", "z", at=NOW + 1),  # never shown
    )
    shown = shown_by(exposure("u", "abcdef", 0))
    assert chosen(shown, events) == ["ub0", "ue0"]
    assert chosen(shown, events, Outcome(("view", "click"), 2 * HOUR, NOW + 3 * HOUR)) == [
        "ub0", "ud0", "ue0", "uf0",
    ]  # fmt: skip


def test_a_choice_belongs_to_the_last_time_that_the_item_was_shown() -> None:
    shown = shown_by(exposure("u", "ab", 0), exposure("u", "ab", 1, NOW + 5))
    events = events_of(event(0, "u", "z"), event(1, "u", "a", at=NOW + 7))
    assert chosen(shown, events) == ["ua1"]


def test_what_the_scores_have_seen_is_no_choice() -> None:
    events = events_of(event(0, "u", "a", at=NOW + 3), event(1, "u", "b", at=NOW + 3))
    assert chosen(shown_by(exposure("u", "ab", 1)), events) == ["ub1"]


def test_what_was_seen_and_is_delivered_again_is_no_choice() -> None:
    first = event(0, "u", "a", at=NOW + 3)
    events = events_of(first, first._replace(offset=1))
    assert chosen(shown_by(exposure("u", "a", 1)), events) == []
    assert chosen(shown_by(exposure("u", "a", 0)), events) == ["ua0"]


def test_a_choice_of_a_sender_with_a_fast_clock_is_of_what_it_can_have_been_of() -> None:
    """It says that it was after the second showing, whose scores have seen it."""
    shown = shown_by(exposure("u", "a", 0), exposure("u", "a", 1, NOW + 2))
    assert chosen(shown, events_of(event(0, "u", "a", at=NOW + 3))) == ["ua0"]


def test_of_a_log_without_its_beginning_only_later_scores_are_samples() -> None:
    events = events_of(event(5, "u", "a"), event(6, "u", "b"))
    events.starts[0] = 5
    shown = shown_by(*(exposure("u", "a", watermark) for watermark in (0, 5, 6, 7)))
    assert shown.samples(events, OUTCOME)["watermark"].to_list() == [6, 7]
    assert shown.left_out[OF_ANOTHER_LOG] == 2


def test_a_sample_says_what_was_shown_and_an_event_where_it_stands() -> None:
    events = events_of(event(7, "u", "a", at=NOW + 1))
    shown = shown_by(exposure("u", "ab", 7, trigger_item_id="t"))
    first, second = shown.samples(events, OUTCOME).rows(named=True)
    assert (first["item_id"], first["label"]) == ("a", 1)
    assert second == {
        "user_id": "u", "item_id": "b", "category_id": "c", "time_ms": NOW, "page": 2, "label": 0,
        "trigger_item_id": "t", "trigger_category_id": None, "watermark": 7,
        "served_probability": 0.5, "model": "m",
    }  # fmt: skip
    [row] = events.frame().rows(named=True)
    assert (row["offset"], row["event_id"], row["price"]) == (7, "e7", None)


def test_exposures_that_are_no_samples_are_counted_by_reason() -> None:
    events = events_of(event(0, "u", "a"), event(1, "v", "a"), erasure(2, "v"), event(3, "v", "b"))
    shown = shown_by(
        Record(0, NOW, b"u", b"{}", ()),
        Record(0, NOW, b"u", None, ()),
        Record(0, NOW, b"u", b'{"items":' + b"[" * 100_000, ()),
        exposure("u", "ab", 1, at=2**64),
        exposure("u", "ab", 1, degraded="memory_mismatch"),
        exposure("u", "ab", None, history="none"),
        exposure("u", "ab", 1, history="request"),
        exposure("u", "ab", 1, NOW + 9 * HOUR + 1),
        exposure("u", "ab", 5),
        exposure("v", "ab", 2),
        exposure("v", "ab", 3),
        exposure("u", "ab", 1),
    )
    table = shown.samples(events, OUTCOME)
    assert table.select("user_id", "watermark").unique(maintain_order=True).rows() == [
        ("v", 3),
        ("u", 1),
    ]
    assert shown.n_exposures == 12
    assert dict(shown.left_out) == {
        UNREADABLE: 4, DEGRADED: 1, NOT_BY_STATE: 2, OPEN: 1, OF_ANOTHER_LOG: 1, ERASED: 1,
    }  # fmt: skip
    assert events.frame()["offset"].to_list() == [0, 3]


def test_a_user_who_did_nothing_is_a_sample_too() -> None:
    shown = shown_by(exposure("nobody", "ab", 0, history="none"))
    assert len(shown.samples(events_of(event(0, "u", "a")), OUTCOME)) == 2


def test_records_that_are_no_events_are_counted() -> None:
    bad = event(1, "u", "a", kind="stare")
    assert events_of(event(0, "u", "a"), bad).n_refused == 1


@pytest.mark.parametrize("n_partitions", [1, 3])
def test_a_log_is_as_long_as_the_partition_of_the_user(n_partitions: int) -> None:
    users = [f"user-{number}" for number in range(20)]
    records = [event(number, user, "a") for number, user in enumerate(users)]
    events = events_of(*records, n_partitions=n_partitions)
    shown = shown_by(*(exposure(user, "a", 20) for user in users))
    own = [user for user in users if events.ends[partition_of(user.encode(), n_partitions)] == 20]
    assert sorted(shown.samples(events, OUTCOME)["user_id"].to_list()) == sorted(own)
