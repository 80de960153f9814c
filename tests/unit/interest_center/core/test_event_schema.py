"""The JSON Schema of an event says what the decoder does."""

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packed import packed

from interest_center.core.event_decoder import EventDecoder
from interest_center.core.events import (
    EARLIEST_TIME_MS,
    LATEST_TIME_MS,
    MAX_ID_CHARS,
    MAX_PAGE,
    MAX_PRICE,
    BehaviorEvent,
    EventRules,
)
from interest_center.core.layout import DEFAULT_EVENT_TYPES

SCHEMA = json.loads(files("interest_center.core").joinpath("event.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
DECODER = EventDecoder(EventRules("events", 1, future_tolerance_ms=LATEST_TIME_MS))
GOOD: dict[str, Any] = {
    "event_id": "e1",
    "user_id": "u1",
    "item_id": "77",
    "event_type": "click",
    "event_time_ms": 1_700_000_000_000,
}


class Sent:
    """A record with a value, keyed by the user that the value names."""

    offset, timestamp, headers = 0, 0, ()

    def __init__(self, value: object) -> None:
        self.value = json.dumps(value).encode()
        user = value.get("user_id") if isinstance(value, dict) else None
        # A value without a good user has another reason to be refused than its key.
        self.key = user.encode() if isinstance(user, str) and 0 < len(user) <= 256 else b"u1"


def schema_accepts(value: object) -> bool:
    return VALIDATOR.is_valid(json.loads(json.dumps(value)))


def decoder_accepts(value: object) -> bool:
    return len(DECODER.decode(0, packed([Sent(value)]), 0, 1).events) == 1


TRIED = [
    *("", "x", "x" * MAX_ID_CHARS, "x" * (MAX_ID_CHARS + 1), "字" * MAX_ID_CHARS, "click", "Click"),
    *(0, 1, -1, 1.0, 0.5, -0.5, -0.0, True, None, [], {}, ["x"], {"x": 1}),
    *(MAX_PAGE, MAX_PAGE + 1, MAX_PRICE, MAX_PRICE * 2, 10**30, -(10**30), 1e300),
    *(EARLIEST_TIME_MS, EARLIEST_TIME_MS - 1, LATEST_TIME_MS, LATEST_TIME_MS + 1),
    float(LATEST_TIME_MS),
]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]) == set(BehaviorEvent.__struct_fields__)
    assert tuple(SCHEMA["properties"]["event_type"]["enum"]) == DEFAULT_EVENT_TYPES


@pytest.mark.parametrize("field", BehaviorEvent.__struct_fields__)
def test_same_verdict_for_every_field_and_value(field: str) -> None:
    for value in TRIED:
        event = {**GOOD, field: value}
        assert schema_accepts(event) == decoder_accepts(event), value
    missing = {name: value for name, value in GOOD.items() if name != field}
    assert schema_accepts(missing) == decoder_accepts(missing)


@pytest.mark.parametrize("value", [None, True, 1, "x", [], [GOOD], {}, GOOD, {**GOOD, "x": [{}]}])
def test_same_verdict_for_the_whole(value: object) -> None:
    assert schema_accepts(value) == decoder_accepts(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)  # fmt: skip
NAMES = st.sampled_from([*BehaviorEvent.__struct_fields__, "note"])


@given(st.dictionaries(NAMES, st.sampled_from(TRIED) | JSON, max_size=3))
def test_same_verdict_for_random_changes(changes: dict[str, object]) -> None:
    event = {**GOOD, **changes}
    assert schema_accepts(event) == decoder_accepts(event)
