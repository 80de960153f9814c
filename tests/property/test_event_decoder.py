"""Whatever lies in the topic, the decoder accounts for it and does not raise."""

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from packed import packed

from interest_center.core.event_decoder import EventDecoder
from interest_center.core.events import BehaviorEvent, EventRules
from interest_center.core.layout import StateConfig
from streams.reference.history import PartitionHistory
from streams.reference.records import id_bits
from streams.reference.states import event_hash

APPEND_MS = 1_700_000_000_000
N_PARTITIONS = 2


@dataclass(frozen=True)
class Sent:
    """A record as Kafka hands it out."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp: int = APPEND_MS


CLOUD_NAMES = ["specversion", "id", "source", "type", "time", "partitionkey", "data", "data_base64"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
GOOD = st.fixed_dictionaries(
    {
        "event_id": st.text(min_size=1, max_size=5),
        "user_id": st.sampled_from(["u1", "u2"]),
        "item_id": st.text(min_size=1, max_size=5),
        "event_type": st.sampled_from(["click", "view"]),
        "event_time_ms": st.integers(APPEND_MS - 10, APPEND_MS),
    }
)
CHANGED = st.builds(
    lambda event, changes: {**event, **changes},
    GOOD,
    st.dictionaries(
        st.sampled_from([*BehaviorEvent.__struct_fields__, *CLOUD_NAMES]), JSON, max_size=4
    ),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return a good event with some bytes exchanged, or cut."""
    value = bytearray(json.dumps(draw(GOOD)).encode())
    for _ in range(draw(st.integers(1, 3))):
        value[draw(st.integers(0, len(value) - 1))] = draw(st.integers(0, 255))
    return bytes(value[: draw(st.integers(0, len(value)))])


VALUES = st.one_of(
    st.none(),
    st.binary(max_size=40),
    damaged(),
    CHANGED.map(lambda event: json.dumps(event).encode()),
    JSON.map(lambda value: json.dumps(value).encode()),
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["content-type", "x", *("ce_" + name for name in CLOUD_NAMES)]),
        st.none()
        | st.binary(max_size=12)
        | st.sampled_from(
            [b"1.0", b"application/cloudevents+json", b"2023-11-14T22:13:19Z", b"click"]
        ),
    ),
    max_size=6,
).map(tuple)
KEYS = st.none() | st.binary(max_size=4) | st.sampled_from([b"u1", b"u2"])


@settings(deadline=None)
@given(st.lists(st.tuples(KEYS, VALUES, HEADERS), max_size=6), st.integers(0, N_PARTITIONS - 1))
def test_every_record_is_an_event_or_a_dead_letter(given_: list[Any], partition: int) -> None:
    records = [Sent(100 + i, *parts) for i, parts in enumerate(given_)]
    decoder = EventDecoder(EventRules("events", N_PARTITIONS))
    batch = decoder.decode(partition, packed(records), 100, 100 + len(records))
    offsets = [*batch.events["offset"].tolist(), *(letter.offset for letter in batch.dead_letters)]
    assert sorted(offsets) == [record.offset for record in records]
    by_offset = {record.offset: record for record in records}
    for letter in batch.dead_letters:
        record = by_offset[letter.offset]
        assert (letter.key, letter.value, letter.headers) == (
            record.key,
            record.value,
            record.headers,
        )
        assert letter.reason
        letter.detail.encode()


@settings(deadline=None)
@given(st.lists(st.tuples(KEYS, VALUES, HEADERS), max_size=8), st.integers(0, 8))
def test_any_split_of_a_run_gives_the_same(given_: list[Any], cut: int) -> None:
    records = [Sent(i, *parts) for i, parts in enumerate(given_)]
    decoder = EventDecoder(EventRules("events", 1))
    whole = decoder.decode(0, packed(records), 0, 9)
    parts = [decoder.decode(0, packed(part), 0, 9) for part in (records[:cut], records[cut:])]
    assert [*parts[0].events.tolist(), *parts[1].events.tolist()] == whole.events.tolist()
    assert [*parts[0].dead_letters, *parts[1].dead_letters] == whole.dead_letters
    assert parts[0].texts | parts[1].texts == whole.texts


@settings(deadline=None)
@given(st.lists(st.tuples(KEYS, VALUES, HEADERS), max_size=6), st.integers(0, N_PARTITIONS - 1))
def test_the_reference_reads_every_record_alike(given_: list[Any], partition: int) -> None:
    records = [Sent(100 + i, *parts) for i, parts in enumerate(given_)]
    decoder = EventDecoder(EventRules("events", N_PARTITIONS))
    batch = decoder.decode(partition, packed(records), 100, 106)
    history = PartitionHistory(partition, N_PARTITIONS, StateConfig(), lambda _: True)
    history.add(records)
    assert history.dead == [letter.offset for letter in batch.dead_letters]
    told = {}
    for user, steps in history.by_user.items():
        for step in steps:
            event = step.event
            told[step.offset] = (
                (id_bits(user), 0, 0, 0, 0)
                if event is None
                else (
                    id_bits(user),
                    id_bits(event.item),
                    0 if event.category is None else id_bits(event.category),
                    event_hash(event.event_id),
                    event.time_ms,
                )
            )
    names = ["user", "item", "category", "event_hash", "event_time_ms"]
    rows = batch.events[["offset", *names]].tolist()
    assert told == {row[0]: tuple(row[1:]) for row in rows}
