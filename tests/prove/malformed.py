"""Records that are no good events, by kind, each with the reason it has to be given.

A kind takes a good event and returns the record made from it: value, key, headers and partition.
The user of every such event is one that the good events have as well, so that a bad record applied
by mistake shows in that user's state.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from prove.partitioning import partition_of
from prove.sending import Message

Event = dict[str, Any]

#: After any append time of a proof, and a time the contract allows.
FUTURE_MS = 4_000_000_000_000
CLOUD_HEADERS = (("ce_specversion", b"1.0"), ("ce_id", b"x"), ("ce_source", b"/x"))


@dataclass(frozen=True)
class Kind:
    """One way to be malformed.

    Attributes:
        name: What it is.
        reason: Reason code of its dead letter.
        make: Turns a good event into record value and changed fields of the message.
    """

    name: str
    reason: str
    make: Callable[[Event], "bytes | dict[str, Any]"]


def _text(event: Event) -> bytes:
    return json.dumps(event).encode()


def _with(**changes: object) -> Callable[[Event], bytes]:
    return lambda event: _text({**event, **changes})


def _without(name: str) -> Callable[[Event], bytes]:
    return lambda event: _text({key: value for key, value in event.items() if key != name})


def _bytes(value: bytes) -> Callable[[Event], bytes]:
    return lambda event: value


def _moved(event: Event) -> dict[str, Any]:
    """Another partitioner's choice: never the partition that murmur2 gives."""
    return {"value": _text(event), "move_by": 1 + len(event["event_id"]) % 3}


KINDS = (
    Kind("not JSON", "not_json", _bytes(b"click;u1;i1")),
    Kind("empty value", "not_json", _bytes(b"")),
    Kind("cut short", "not_json", lambda event: _text(event)[:-1]),
    Kind("more after the object", "not_json", lambda event: _text(event) + b" {}"),
    Kind("single quotes", "not_json", lambda event: str(event).encode()),
    Kind("not UTF-8", "not_utf8", lambda event: _text(event).replace(b"bad-", b"bad\xff\xfe")),
    Kind("UTF-16", "not_utf8", lambda event: b"\xff\xfe" + json.dumps(event).encode("utf-16-le")),
    Kind("an array", "not_an_object", lambda event: _text([event])),  # type: ignore[arg-type]
    Kind("a number", "not_an_object", _bytes(b"42")),
    Kind("a string", "not_an_object", _bytes(b'"click"')),
    Kind("the word null", "not_an_object", _bytes(b"null")),
    Kind("no event_id", "missing_field", _without("event_id")),
    Kind("no user_id", "missing_field", _without("user_id")),
    Kind("no item_id", "missing_field", _without("item_id")),
    Kind("no event_type", "missing_field", _without("event_type")),
    Kind("no event_time_ms", "missing_field", _without("event_time_ms")),
    Kind("event_id a number", "wrong_type", _with(event_id=17)),
    Kind("user_id a number", "wrong_type", _with(user_id=17)),
    Kind("item_id an object", "wrong_type", _with(item_id={"id": "1"})),
    Kind("event_type null", "wrong_type", _with(event_type=None)),
    Kind("event_time_ms a string", "wrong_type", _with(event_time_ms="1511544070000")),
    Kind("event_time_ms with a fraction", "wrong_type", _with(event_time_ms=1511544070000.5)),
    Kind("event_time_ms true", "wrong_type", _with(event_time_ms=True)),
    Kind("category_id a list", "wrong_type", _with(category_id=["1"])),
    Kind("price a string", "wrong_type", _with(price="9.99")),
    Kind("time in seconds", "time_out_of_range", _with(event_time_ms=1_511_544_070)),
    Kind("time negative", "time_out_of_range", _with(event_time_ms=-1)),
    Kind("time beyond 2100", "time_out_of_range", _with(event_time_ms=1_511_544_070_000_000)),
    Kind("in the future", "in_the_future", _with(event_time_ms=FUTURE_MS)),
    Kind("event_id empty", "empty_id", _with(event_id="")),
    Kind("item_id empty", "empty_id", _with(item_id="")),
    Kind("item_id over-long", "id_too_long", _with(item_id="i" * 257)),
    Kind("category_id over-long", "id_too_long", _with(category_id="c" * 5_000)),
    Kind("unknown event type", "unknown_event_type", _with(event_type="teleport")),
    Kind("page negative", "bad_page", _with(page=-1)),
    Kind("price negative", "bad_price", _with(price=-0.01)),
    Kind("huge", "too_large", _with(note="x" * 70_000)),
    Kind("huge and not JSON", "too_large", _bytes(b"\x00" * 300_000)),
    Kind("nested deeply", "too_deep", _bytes(b'{"a":' * 9_000 + b"1" + b"}" * 9_000)),
    Kind("deep and never closed", "too_deep", _bytes(b'{"note":' + b"[" * 60_000)),
    Kind("an array, deep and never closed", "not_an_object", _bytes(b"[" * 60_000)),
    Kind("no key", "key_missing", lambda event: {"value": _text(event), "key": None}),
    Kind("empty key", "key_missing", lambda event: {"value": _text(event), "key": b""}),
    Kind("key of another user", "key_mismatch", _with(user_id="somebody-else")),
    Kind(
        "key not UTF-8", "key_not_utf8", lambda event: {"value": _text(event), "key": b"\xff\xfe"}
    ),
    Kind("key over-long", "id_too_long", lambda event: {"value": _text(event), "key": b"k" * 257}),
    Kind("in a wrong partition", "wrong_partition", _moved),
    Kind("CloudEvent of version 0.3", "bad_cloud_event", _with(specversion="0.3")),
    Kind(
        "CloudEvent without data",
        "bad_cloud_event",
        _bytes(b'{"specversion":"1.0","id":"x","source":"/x","type":"click"}'),
    ),
    Kind(
        "CloudEvent without type",
        "bad_cloud_event",
        lambda event: {"value": _text(event), "headers": CLOUD_HEADERS},
    ),
)


def malformed_messages(
    rng: np.random.Generator, n_partitions: int, count: int, users: list[str] | None = None
) -> list[Message]:
    """Return ``count`` malformed records, every kind equally often, in random order."""
    order = rng.permutation(count)
    return [
        malformed(KINDS[number % len(KINDS)], int(number), users or ["1"], n_partitions)
        for number in order
    ]


def malformed(kind: Kind, number: int, users: list[str], n_partitions: int) -> Message:
    """Return one malformed record of a kind; ``number`` makes it unique."""
    user = users[number % len(users)]
    event = {
        "event_id": f"bad-{number}",
        "user_id": user,
        "item_id": str(1 + number % 997),
        "category_id": str(1 + number % 97),
        "event_type": "click",
        "event_time_ms": 1_511_544_070_000 + number,
    }
    made = kind.make(event)
    changes: dict[str, Any] = {"value": made} if isinstance(made, bytes) else made
    key: bytes | None = changes.get("key", user.encode())
    partition = None
    if key is None or "move_by" in changes:
        right = partition_of(user.encode(), n_partitions)
        partition = (right + changes.get("move_by", 0)) % n_partitions
    return Message(
        key, changes["value"], None, None, kind.reason, changes.get("headers", ()), partition
    )
