"""Every record becomes an event, an erasure or a dead letter that says what to do."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from packed import packed

from interest_center.core.event_decoder import EventDecoder
from interest_center.core.events import (
    MAX_EVENT_BYTES,
    OP_ERASE,
    OP_EVENT,
    DeadLetter,
    EventBatch,
    EventRules,
    hash_event_id,
    record_checksum,
)
from interest_center.core.ids import encode_id, partition_of

APPEND_MS = 1_700_000_000_000
N_PARTITIONS = 4
RULES = EventRules("events", N_PARTITIONS)
GOOD = {
    "event_id": "e1",
    "user_id": "u1",
    "item_id": "77",
    "event_type": "click",
    "event_time_ms": APPEND_MS - 5,
}
CLOUD = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"cloud-1"),
    ("ce_source", b"/shop"),
    ("ce_type", b"com.shop.purchase"),
    ("ce_time", b"2023-11-14T22:13:19.250Z"),
    ("content-type", b"application/json"),
]


@dataclass(frozen=True)
class Sent:
    """A record as Kafka hands it out."""

    value: bytes | None
    key: bytes | None = b"u1"
    headers: Sequence[tuple[str, bytes | None]] = ()
    offset: int = 10
    timestamp: int = APPEND_MS


def text(**changes: object) -> bytes:
    return json.dumps({k: v for k, v in {**GOOD, **changes}.items() if v is not ...}).encode()


def decode(*records: Sent, partition: int | None = None) -> EventBatch:
    if partition is None:
        partition = partition_of(b"u1", N_PARTITIONS)
    return EventDecoder(RULES).decode(partition, packed(records), 10, 10 + len(records))


def event_of(record: Sent) -> Any:
    batch = decode(record)
    assert batch.dead_letters == []
    return batch.events[0]


def letter_of(record: Sent, partition: int | None = None) -> DeadLetter:
    batch = decode(record, partition=partition)
    assert len(batch.events) == 0
    return batch.dead_letters[0]


def test_a_plain_event_becomes_a_row() -> None:
    row = event_of(Sent(text(category_id="shoes", page=2, trigger_item_id="5", price=9.5)))
    assert row["offset"] == 10
    assert row["append_time_ms"] == APPEND_MS
    assert row["event_time_ms"] == APPEND_MS - 5
    assert row["user"] == encode_id("u1")
    assert row["item"] == 77
    assert row["category"] == encode_id("shoes")
    assert row["event_hash"] == hash_event_id("e1")
    assert row["event_type"] == 1
    assert row["op"] == OP_EVENT


def test_texts_hold_hashed_items_and_categories_and_no_user() -> None:
    batch = decode(Sent(text(item_id="sku-1", category_id="shoes")), Sent(text(category_id="12")))
    assert batch.texts == {encode_id("sku-1"): "sku-1", encode_id("shoes"): "shoes"}


def test_a_null_value_erases_the_user_of_the_key() -> None:
    row = event_of(Sent(None))
    assert (row["op"], row["user"], row["event_time_ms"]) == (OP_ERASE, encode_id("u1"), 0)


def test_a_batch_keeps_order_positions_and_the_last_record() -> None:
    last = Sent(b"bad", offset=17)
    batch = decode(Sent(text(), offset=11), Sent(text(event_id="e2"), offset=14), last)
    assert batch.events["offset"].tolist() == [11, 14]
    assert [letter.offset for letter in batch.dead_letters] == [17]
    assert (batch.start_position, batch.next_position, batch.n_records) == (10, 13, 3)
    assert batch.last_record == (17, record_checksum(b"u1", b"bad", APPEND_MS))


def test_an_empty_run_is_a_batch() -> None:
    batch = EventDecoder(RULES).decode(2, packed([]), 5, 9)
    assert (len(batch.events), batch.next_position, batch.last_record) == (0, 9, None)


@pytest.mark.parametrize(
    "value",
    [
        text(unknown={"deep": [1, {}]}),
        text(event_time_ms=float(APPEND_MS)),
        text(page=3.0),
        text(page=None, price=None, category_id=None, trigger_item_id=None),
        text(item_id="specversion"),
        text(category_id='"specversion"'),
        text(price=0),
        b" \n" + text() + b"\r\n",
        text(item_id="\0"),
        text(event_id="字" * 256),
        text().replace(b'"77"', b'"1", "item_id": "77"'),
        text(event_time_ms=APPEND_MS + RULES.future_tolerance_ms),
    ],
)
def test_what_is_unusual_and_good(value: bytes) -> None:
    event_of(Sent(value))


def test_of_a_field_that_is_there_twice_the_last_one_counts() -> None:
    assert event_of(Sent(text().replace(b'"77"', b'"1", "item_id": "77"')))["item"] == 77


def test_headers_without_value_are_no_reason_to_stop() -> None:
    event_of(Sent(text(), headers=[("trace", None), ("content-type", None)]))
    assert letter_of(Sent(b"{}", headers=[("ce_specversion", None)])).reason == "bad_cloud_event"


BAD = [
    ("not_utf8", b"\xff\xfe{}"),
    ("not_utf8", text(note="?").replace(b"?", b"\xc3")),
    ("not_json", b""),
    ("not_json", b"click"),
    ("not_json", text(price=float("nan"))),
    ("not_json", text(price=float("inf"))),
    ("not_json", b"\xef\xbb\xbf" + text()),
    ("not_json", text(item_id="\ud800")),
    ("not_an_object", b"[]"),
    ("not_an_object", b"17"),
    ("not_an_object", b'"specversion"'),
    ("too_large", text(note="x" * MAX_EVENT_BYTES)),
    ("too_deep", text(note=0).replace(b'"note": 0', b'"note": ' + b"[" * 9000 + b"]" * 9000)),
    ("not_an_object", b"[" * 60_000),
    ("missing_field", text(item_id=...)),
    ("wrong_type", text(event_id=1)),
    ("wrong_type", text(event_time_ms=str(APPEND_MS))),
    ("wrong_type", text(event_time_ms=APPEND_MS + 0.5)),
    ("wrong_type", text(event_time_ms=True)),
    ("wrong_type", text(event_time_ms=None)),
    ("wrong_type", text(page="2")),
    ("wrong_type", text(price=[1])),
    ("empty_id", text(item_id="")),
    ("empty_id", text(category_id="")),
    ("id_too_long", text(trigger_item_id="x" * 257)),
    ("time_out_of_range", text(event_time_ms=1_700_000_000)),
    ("time_out_of_range", text(event_time_ms=10**400)),
    ("time_out_of_range", text(event_time_ms=-(2**63) - 1)),
    ("time_out_of_range", text().replace(str(APPEND_MS - 5).encode(), b"1e400")),
    ("in_the_future", text(event_time_ms=APPEND_MS + RULES.future_tolerance_ms + 1)),
    ("unknown_event_type", text(event_type="Click")),
    ("bad_page", text(page=-1)),
    ("bad_page", text(page=2**31)),
    ("bad_page", text(page=10**30)),
    ("bad_price", text(price=-1)),
    ("bad_price", text(price=1e13)),
    ("bad_price", text(price=0).replace(b'"price": 0', b'"price": 1e999')),
    ("key_mismatch", text(user_id="u2")),
]


@pytest.mark.parametrize(("reason", "value"), BAD)
def test_a_bad_value_has_its_reason(reason: str, value: bytes) -> None:
    letter = letter_of(Sent(value, headers=[("trace", b"1")]))
    assert letter.reason == reason
    assert letter.value == value
    assert (letter.topic, letter.offset, letter.key) == ("events", 10, b"u1")
    assert letter.headers == (("trace", b"1"),)
    letter.detail.encode()
    # What is wrong, then what to do about it.
    assert len(letter.detail) > 20
    assert ";" in letter.detail


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("item_id", text(item_id=...)),
        ("price", text(price="9")),
        ("event_time_ms", text(event_time_ms=1)),
        ("page", text(page=-1)),
        ("trigger_item_id", text(trigger_item_id="")),
        ("event_type", text(event_type="?")),
    ],
)
def test_the_detail_names_the_field(field: str, value: bytes) -> None:
    assert field in letter_of(Sent(value)).detail


@pytest.mark.parametrize(
    ("reason", "key"),
    [
        ("key_missing", None),
        ("key_missing", b""),
        ("key_not_utf8", b"\xff"),
        ("id_too_long", b"k" * 257),
    ],
)
def test_a_bad_key_has_its_reason(reason: str, key: bytes | None) -> None:
    assert letter_of(Sent(text(), key=key)).reason == reason
    assert letter_of(Sent(None, key=key)).reason == reason


def test_a_wrong_partition_names_the_setting_of_librdkafka() -> None:
    wrong = (partition_of(b"u1", N_PARTITIONS) + 1) % N_PARTITIONS
    for value in (text(), None):
        letter = letter_of(Sent(value), partition=wrong)
        assert letter.reason == "wrong_partition"
        assert "partitioner=murmur2_random" in letter.detail


def cloud_text(**changes: object) -> bytes:
    whole = {
        "specversion": "1.0",
        "id": "cloud-1",
        "source": "/shop",
        "type": "com.shop.purchase",
        "time": "2023-11-14T22:13:19.250Z",
        "data": {"user_id": "u1", "item_id": "77"},
        **changes,
    }
    return json.dumps({k: v for k, v in whole.items() if v is not ...}).encode()


BASE64_DATA = "eyJ1c2VyX2lkIjoidTEiLCJpdGVtX2lkIjoiNzcifQ=="
STRUCTURED = [("content-type", b"application/cloudevents+json; charset=UTF-8")]


@pytest.mark.parametrize(
    "record",
    [
        Sent(b'{"user_id":"u1","item_id":"77"}', headers=CLOUD),
        Sent(b'{"user_id":"u1","item_id":"77","x":1e999}', headers=CLOUD),
        Sent(b'{"item_id":"77"}', headers=[*CLOUD, ("ce_partitionkey", b"u1")]),
        Sent(cloud_text()),
        Sent(cloud_text(), headers=STRUCTURED),
        Sent(cloud_text(), headers=[("Content-Type", b"application/CloudEvents+json")]),
        Sent(cloud_text(data=..., data_base64=BASE64_DATA)),
        Sent(cloud_text(extension="x", time="2023-11-14T23:13:19.250+01:00")),
    ],
)
def test_attributes_fill_what_the_data_leaves_out(record: Sent) -> None:
    row = event_of(record)
    assert row["event_hash"] == hash_event_id("cloud-1")
    assert row["event_type"] == 1 + RULES.event_types.index("purchase")
    assert row["event_time_ms"] == APPEND_MS - 750
    assert (row["user"], row["item"]) == (encode_id("u1"), 77)


def test_the_data_goes_before_the_attributes() -> None:
    row = event_of(Sent(text(), headers=CLOUD))
    assert row["event_hash"] == hash_event_id("e1")
    assert row["event_type"] == 1
    assert row["event_time_ms"] == APPEND_MS - 5


def without(name: str) -> list[tuple[str, bytes]]:
    return [(key, value) for key, value in CLOUD if key != name]


@pytest.mark.parametrize(
    ("reason", "said", "record"),
    [
        ("bad_cloud_event", "specversion", Sent(cloud_text(specversion="0.3"))),
        ("bad_cloud_event", "specversion", Sent(cloud_text(specversion=1))),
        ("bad_cloud_event", "id", Sent(cloud_text(id=...))),
        ("bad_cloud_event", "type", Sent(text(), headers=without("ce_type"))),
        ("bad_cloud_event", "source", Sent(text(), headers=without("ce_source"))),
        ("bad_cloud_event", "time", Sent(cloud_text(time="yesterday"))),
        ("bad_cloud_event", "time", Sent(cloud_text(time="2023-11-14T22:13:19"))),
        ("bad_cloud_event", "data", Sent(cloud_text(data=...))),
        ("bad_cloud_event", "data", Sent(cloud_text(data=[1]))),
        ("bad_cloud_event", "data", Sent(b"[]", headers=CLOUD)),
        ("bad_cloud_event", "data_base64", Sent(cloud_text(data=..., data_base64="!"))),
        ("bad_cloud_event", "ce_id", Sent(text(), headers=[*without("ce_id"), ("ce_id", b"\xff")])),
        (
            "bad_cloud_event",
            "one event a record",
            Sent(b"[]", headers=[("content-type", b"application/cloudevents-batch+json")]),
        ),
        ("not_json", "", Sent(b"{", headers=CLOUD)),
        ("not_utf8", "", Sent(b"\xff", headers=CLOUD)),
        ("too_deep", "", Sent(b'{"a":' * 9000, headers=CLOUD)),
        ("missing_field", "event_time_ms", Sent(cloud_text(time=...))),
        ("missing_field", "user_id", Sent(cloud_text(data={"item_id": "1"}))),
        ("empty_id", "event_id", Sent(cloud_text(id=""))),
        ("unknown_event_type", "event_type", Sent(cloud_text(type="com.shop.sneeze"))),
        ("time_out_of_range", "event_time_ms", Sent(cloud_text(time="0001-01-01T00:00:00+23:00"))),
    ],
)
def test_a_bad_cloud_event_has_its_reason(reason: str, said: str, record: Sent) -> None:
    letter = letter_of(record)
    assert letter.reason == reason
    assert said in letter.detail


def test_ids_and_senders_are_remembered_without_mixing_them_up() -> None:
    decoder = EventDecoder(EventRules("events", 1))
    records = [
        Sent(text(user_id=f"u{n % 7}", item_id=f"i{n % 11}"), key=f"u{n % 7}".encode())
        for n in range(500)
    ]
    events = decoder.decode(0, packed(records), 0, 500).events
    assert events["user"].tolist() == [encode_id(f"u{n % 7}") for n in range(500)]
    assert events["item"].tolist() == [encode_id(f"i{n % 11}") for n in range(500)]
    assert events["item"].dtype == np.dtype("<u8")
