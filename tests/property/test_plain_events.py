"""The compiled reading gives what the decoder gives record by record, and reads what is common."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packed import packed

from interest_center.core.event_decoder import BadEventError, EventDecoder
from interest_center.core.events import EVENT_DTYPE, EventRules
from interest_center.core.ids import partition_of
from interest_center.core.packed_records import Record
from interest_center.core.plain_events import new_rows, new_work, read_plain

APPEND_MS = 1_700_000_000_000
RULES = EventRules("events", 2, ("click", "view", "käufe"))
EVENT: dict[str, Any] = {
    "event_id": "e1",
    "user_id": "u1",
    "item_id": "42",
    "event_type": "click",
    "event_time_ms": APPEND_MS,
}

IDS = st.one_of(
    st.integers(0, 2**64).map(str),
    st.integers(1, 20).map(lambda n: "9" * n),
    st.from_regex(r"[ -~]{1,8}", fullmatch=True),
    st.sampled_from(["0", "007", "", " 1", "1 ", "x" * 256, "x" * 257, "é", 'a"b', "a\\b", "\x7f"]),
)
FIELDS = st.fixed_dictionaries(
    {
        "event_id": IDS,
        "user_id": IDS,
        "item_id": IDS,
        "event_type": st.sampled_from(["click", "view", "käufe", "sneeze"]),
        "event_time_ms": st.sampled_from(
            [APPEND_MS, APPEND_MS + 300_000, APPEND_MS + 300_001, 946_684_800_000, 946_684_799_999]
        ),
    },
    optional={
        "category_id": st.none() | IDS,
        "page": st.none() | st.integers(-1, 2**31) | st.just(10**18),
        "trigger_item_id": st.none() | IDS,
        "price": st.none() | st.floats(0, 2e12) | st.integers(-1, 2 * 10**12),
        "more": st.none(),
    },
)
#: Turned into other JSON, or into none.
EDITS = st.sampled_from(
    [
        ("", ""),
        (":", " : "),
        (",", " ,\n\t"),
        ("{", " {\r"),
        ("}", "} "),
        ("}", "}}"),
        ("}", ""),
        ('"', "'"),
        ("000,", "000.0,"),
        ("000,", "000e0,"),
        (": 1", ": 01"),
        (": 1", ": -1"),
        ("null", "nul"),
        ("}", ', "page": 3}'),
        ("}", ', "specversion": "1.0"}'),
        ("}", ', "item_id": "1"}'),
    ]
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["x", "trace", "ce_id", "CE_ID", "ce_specversion", "Content-Type"]),
        st.none() | st.sampled_from([b"1", b"application/json", b"application/cloudevents"]),
    ),
    max_size=2,
).map(tuple)


@st.composite
def records(draw: st.DrawFn, offset: int = 0) -> Record:
    """Return a record that is nearly, or wholly, a good event."""
    fields = draw(FIELDS)
    value = json.dumps(fields, ensure_ascii=draw(st.booleans())).replace(*draw(EDITS)).encode()
    key = draw(st.sampled_from([fields["user_id"].encode(), b"u1", b"", b"\xff"]))
    if draw(st.integers(0, 9)) == 0:
        return Record(offset, APPEND_MS, key, None, draw(HEADERS))
    return Record(offset, APPEND_MS, key, value, draw(HEADERS))


def one_by_one(decoder: EventDecoder, partition: int, record: Record) -> tuple[Any, ...] | None:
    """Return the row of a record as the decoder reads it by itself, None for a bad one."""
    try:
        return decoder._row(partition, record, {})
    except BadEventError:
        return None


def rows_of(decoder: EventDecoder, partition: int, given_: list[Record]) -> Any:
    """Return what the compiled loops read."""
    taken = packed(given_)
    rows = new_rows(len(taken))
    read_plain(taken.numbers, taken.places, decoder._plain_rules(partition), new_work(), rows)
    return rows


@settings(max_examples=1_000, deadline=None)
@given(st.lists(records(), min_size=1, max_size=4), st.integers(0, 1))
def test_what_is_read_is_what_the_decoder_reads(given_: list[Record], partition: int) -> None:
    decoder = EventDecoder(RULES)
    rows = rows_of(decoder, partition, given_)
    for number in np.flatnonzero(rows.is_plain):
        row = one_by_one(decoder, partition, given_[number])
        assert row is not None
        assert rows.events[number] == np.array([row], EVENT_DTYPE)[0]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=30), st.binary(max_size=120))
def test_any_bytes_are_borne(key: bytes, value: bytes) -> None:
    decoder = EventDecoder(RULES)
    rows = rows_of(decoder, 0, [Record(0, APPEND_MS, key, value, ())])
    assert not rows.is_plain[0] or one_by_one(decoder, 0, Record(0, APPEND_MS, key, value, ()))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"category_id": "shoes", "page": 3, "price": 19.99, "trigger_item_id": "41"},
        {"category_id": None, "page": None, "price": 0, "trigger_item_id": None},
        {"item_id": "sku-" + "x" * 200, "event_id": "3c60799b7778e1fd0000000000000003"},
        {"event_type": "view"},
    ],
)
@pytest.mark.parametrize("spaces", [(", ", ": "), (",", ":"), (" , ", " :\n")])
@pytest.mark.parametrize("headers", [(), (("traceparent", b"00-1"),)])
def test_common_events_cost_no_python(
    changes: dict[str, Any], spaces: tuple[str, str], headers: Any
) -> None:
    decoder = EventDecoder(RULES)
    value = json.dumps(EVENT | changes, separators=spaces).encode()
    record = Record(7, APPEND_MS, b"u1", value, headers)
    partition = partition_of(b"u1", RULES.n_partitions)
    rows = rows_of(decoder, partition, [record, record._replace(value=None)])
    assert rows.is_plain.tolist() == [True, True]
    expected = [one_by_one(decoder, partition, r) for r in (record, record._replace(value=None))]
    assert rows.events.tolist() == expected
