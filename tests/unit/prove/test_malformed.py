"""Every kind of malformed record gets the reason that the proof expects; good ones get none."""

from dataclasses import dataclass

from packed import packed
from prove.malformed import KINDS, malformed
from prove.partitioning import partition_of
from prove.sending import Message, good

from interest_center.core.event_decoder import EventDecoder
from interest_center.core.events import EventRules

N_PARTITIONS = 4


@dataclass
class Consumed:
    """A record as a Kafka client hands it out."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


def decoded_reasons(message: Message) -> list[str]:
    key = message.key
    right = partition_of(key or b"", N_PARTITIONS)
    partition = right if message.partition is None else message.partition
    record = Consumed(5, 1_700_000_000_000, key, message.value, message.headers)
    decoder = EventDecoder(EventRules("events", N_PARTITIONS))
    batch = decoder.decode(partition, packed([record]), 5, 6)
    return [letter.reason for letter in batch.dead_letters]


def test_there_are_at_least_25_kinds() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 25


def test_each_kind_has_its_reason() -> None:
    found = {
        kind.name: decoded_reasons(malformed(kind, number, ["u7"], N_PARTITIONS))
        for number, kind in enumerate(KINDS)
    }

    assert found == {kind.name: [kind.reason] for kind in KINDS}


def test_a_good_event_has_none() -> None:
    event = {
        "event_id": "e1",
        "user_id": "u7",
        "item_id": "i1",
        "event_type": "click",
        "event_time_ms": 1_511_544_070_000,
    }

    assert decoded_reasons(good(event)) == []
