"""Every form that an event is sent in is decoded back to the same event by the worker."""

import pytest
from interest_nodes import Sent
from packed import packed

from interest_center.core.event_decoder import EventDecoder, decode_event
from interest_center.core.events import (
    EARLIEST_TIME_MS,
    LATEST_TIME_MS,
    BehaviorEvent,
    EventRules,
)
from interest_center.core.layout import DEFAULT_EVENT_TYPES
from streams.event_forms import FORMS

DOTTED = "shop.click"
EVENTS = [
    BehaviorEvent("e1", "u", "i", "click", 1_700_000_000_123),
    BehaviorEvent("e2", "\u00fc \U0001f600", "a/b", "cart", EARLIEST_TIME_MS, "c", 0, "t", 0.1),
    BehaviorEvent("e3", "7", "8", "view", LATEST_TIME_MS, "9", 2**31 - 1, "10", 1e12),
    BehaviorEvent("e4", "u", "specversion", DOTTED, 1_700_000_000_000),
]
RULES = EventRules("events", 1, (*DEFAULT_EVENT_TYPES, DOTTED))


def decoded(event: BehaviorEvent, form: str) -> tuple[list[object], dict[int, str]]:
    value, headers = FORMS[form](event)
    record = Sent(5, LATEST_TIME_MS, event.user_id.encode(), value, tuple(headers))
    batch = EventDecoder(RULES).decode(0, packed([record]), 5, 6)
    assert not batch.dead_letters, batch.dead_letters
    return batch.events.tolist(), batch.texts


@pytest.mark.parametrize("event", EVENTS)
def test_every_form_is_the_same_event_to_the_worker(event: BehaviorEvent) -> None:
    plain, _ = FORMS["plain"](event)
    assert decode_event(plain) == event
    expected = decoded(event, "plain")
    assert len(expected[0]) == 1
    for form in FORMS:
        assert decoded(event, form) == expected, form


def test_the_modes_of_cloud_events_are_those_of_the_kafka_binding() -> None:
    event = EVENTS[1]
    value, headers = FORMS["cloudevents-binary"](event)
    names = dict(headers)
    assert names["ce_specversion"] == b"1.0"
    assert names["ce_id"] == b"e2"
    assert names["ce_time"] == b"2000-01-01T00:00:00.000Z"
    assert names["content-type"] == b"application/json"
    assert b'"event_id"' not in value
    value, headers = FORMS["cloudevents-structured"](event)
    assert dict(headers)["content-type"].startswith(b"application/cloudevents+json")
    assert b'"specversion":"1.0"' in value
