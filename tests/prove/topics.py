"""What lies in the topics, read by a client of its own: ends, committed records, dead letters."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from prove.sending import Message, Sent

Place = tuple[int, int]


@dataclass(frozen=True)
class DeadLetter:
    """One record of the dead-letter topic, with the place that it names as its origin."""

    place: Place
    reason: str
    detail: str
    key: bytes | None
    value: bytes | None


def _consumer(bootstrap: str) -> Any:
    return KafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 << 20,
        check_crcs=False,
    )


def end_offsets(bootstrap: str, topic: str) -> dict[int, int]:
    """Return the end of each partition."""
    consumer = _consumer(bootstrap)
    try:
        places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        return {place.partition: end for place, end in consumer.end_offsets(places).items()}
    finally:
        consumer.close()


def committed_records(bootstrap: str, topic: str) -> Iterator[Any]:
    """Yield every committed record of a topic, to its end as it is now."""
    consumer = _consumer(bootstrap)
    try:
        places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends = consumer.end_offsets(places)
        # A position may stand on a transaction marker, which never comes as a record.
        while any(consumer.position(place) < ends[place] for place in places):
            for records in consumer.poll(timeout_ms=500).values():
                yield from records
    finally:
        consumer.close()


def committed_counts(bootstrap: str, topic: str) -> dict[int, int]:
    """Return how many records a reader of committed records finds in each partition."""
    return dict(Counter(record.partition for record in committed_records(bootstrap, topic)))


def dead_letters(bootstrap: str, topic: str) -> list[DeadLetter]:
    """Return every dead letter; after a crash the same one may lie there twice."""
    letters = []
    for record in committed_records(bootstrap, topic):
        said = {
            name: value.decode()
            for name, value in record.headers
            if not name.startswith("original.")
        }
        place = (int(said["partition"]), int(said["offset"]))
        letters.append(DeadLetter(place, said["reason"], said["detail"], record.key, record.value))
    return letters


def produced_events(bootstrap: str, topic: str) -> list[Sent]:
    """Return every committed record of a topic that holds good events, in whichever form."""
    found = []
    for record in committed_records(bootstrap, topic):
        event = plain_event(dict(record.headers), record.value)
        headers = tuple(record.headers)
        message = Message(record.key, record.value, event["user_id"], event, headers=headers)
        found.append(Sent(message, record.partition, record.offset, record.timestamp))
    return found


def form_of(headers: dict[str, bytes], value: bytes) -> str:
    """Return in which form an event lies in the topic."""
    if "ce_specversion" in headers:
        return "CloudEvents binary"
    return "CloudEvents structured" if "specversion" in json.loads(value) else "plain JSON"


def plain_event(headers: dict[str, bytes], value: bytes) -> dict[str, Any]:
    """Return the event inside plain JSON or a CloudEvent of either mode, without empty fields."""
    content = json.loads(value)
    attributes = {
        name.removeprefix("ce_"): text.decode()
        for name, text in headers.items()
        if name.startswith("ce_")
    }
    if "specversion" in content:
        attributes, content = content, content["data"]
    if attributes:
        since = datetime.fromisoformat(attributes["time"])
        content = {
            **content,
            "event_id": attributes["id"],
            "event_type": attributes["type"].rpartition(".")[2],
            "event_time_ms": round(since.timestamp() * 1000),
        }
    return {name: field for name, field in content.items() if field is not None}
