"""The event contract: one behavior of one user, as columns for the engine and as a struct."""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from interest_center.core.layout import DEFAULT_EVENT_TYPES

OP_EVENT = 0
OP_ERASE = 1

#: One event or erasure of a batch; ``category`` 0 is none, ``event_type`` is 1 + its index.
EVENT_DTYPE = np.dtype(
    [
        ("offset", "<i8"),
        ("append_time_ms", "<i8"),
        ("event_time_ms", "<i8"),
        ("user", "<u8"),
        ("item", "<u8"),
        ("category", "<u8"),
        ("event_hash", "<u8"),
        ("event_type", "u1"),
        ("op", "u1"),
    ]
)

EARLIEST_TIME_MS = 946_684_800_000  # 2000-01-01
LATEST_TIME_MS = 4_102_444_800_000  # 2100-01-01
MAX_ID_CHARS = 256
MAX_EVENT_BYTES = 65_536
FUTURE_TOLERANCE_MS = 300_000
MAX_PAGE = 2**31 - 1
MAX_PRICE = 1e12

#: Kafka allows a header without a value.
Headers = Sequence[tuple[str, bytes | None]]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARS)]
TimeMs = Annotated[int, msgspec.Meta(ge=EARLIEST_TIME_MS, le=LATEST_TIME_MS)]
Page = Annotated[int, msgspec.Meta(ge=0, le=MAX_PAGE)]
Price = Annotated[float, msgspec.Meta(ge=0.0, le=MAX_PRICE)]


class BehaviorEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One behavior of one user; ``event.schema.json`` says the same as a JSON Schema.

    Attributes:
        event_id: Identity of the event; a second one of the same user changes nothing.
        user_id: Who; also the key of the Kafka record.
        item_id: What was clicked, bought, ...
        event_type: One of the configured types, for example ``click``.
        event_time_ms: When, milliseconds since 1970 UTC, between 2000 and 2100.
        category_id: Category of the item; without one no sub-sequence is kept.
        page: Page number of the list in which the item was seen, from 0.
        trigger_item_id: Item whose page led here.
        price: Price of the item, in the shop's currency.

    Other fields are ignored, so that senders may be newer than the center. Of a field that is
    there twice the last one counts. Whole numbers may be written as ``1.0``.
    """

    event_id: Id
    user_id: Id
    item_id: Id
    event_type: Id
    event_time_ms: TimeMs
    category_id: Id | None = None
    page: Page | None = None
    trigger_item_id: Id | None = None
    price: Price | None = None


class ConsumedRecord(Protocol):
    """A record as a Kafka client hands it out; times in milliseconds."""

    @property
    def offset(self) -> int:
        """Offset in the partition."""
        ...

    @property
    def timestamp(self) -> int:
        """Append time of the record."""
        ...

    @property
    def key(self) -> bytes | None:
        """Key as sent."""
        ...

    @property
    def value(self) -> bytes | None:
        """Value as sent; None erases the user."""
        ...

    @property
    def headers(self) -> Headers:
        """Headers as sent."""
        ...


@dataclass(frozen=True)
class DeadLetter:
    """A record that is not a good event, with everything needed to mend and send it again."""

    topic: str
    partition: int
    offset: int
    append_time_ms: int
    reason: str
    detail: str
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True)
class EventRules:
    """What a good event is, besides its form.

    Attributes:
        topic: Name of the events topic.
        n_partitions: Its number of partitions; a user's is murmur2 of the key.
        event_types: Known types, in the order of their codes.
        future_tolerance_ms: How far an event may be ahead of its append time.
        max_event_bytes: Longest value.
    """

    topic: str
    n_partitions: int
    event_types: tuple[str, ...] = DEFAULT_EVENT_TYPES
    future_tolerance_ms: int = FUTURE_TOLERANCE_MS
    max_event_bytes: int = MAX_EVENT_BYTES


@dataclass(frozen=True)
class EventBatch:
    """A run of records of one partition, decoded.

    Attributes:
        partition: Partition of the run.
        start_position: Fetch position before the run.
        next_position: Fetch position after it; larger than ``start_position + n_records`` by
            transaction markers and aborted records.
        n_records: Records in the run, bad ones included.
        events: Good events and erasures in offset order, of ``EVENT_DTYPE``.
        texts: Texts of the hashed item and category ids in the run; never of users.
        dead_letters: Bad records in offset order.
        last_record: Offset and checksum of the last record; None in an empty run.
    """

    partition: int
    start_position: int
    next_position: int
    n_records: int
    events: NDArray[np.void]
    texts: dict[int, str] = field(default_factory=dict)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    last_record: tuple[int, int] | None = None


def hash_event_id(event_id: str) -> int:
    """Return the 64 bits of an event id: the first eight bytes of BLAKE2b, little-endian."""
    return int.from_bytes(hashlib.blake2b(event_id.encode(), digest_size=8).digest(), "little")


def record_checksum(key: bytes | None, value: bytes | None, timestamp_ms: int) -> int:
    """Return 32 bits by which the same offset of another log is told apart."""
    checksum = zlib.crc32(key or b"")
    checksum = zlib.crc32(value or b"", checksum)
    return zlib.crc32(timestamp_ms.to_bytes(8, "little", signed=True), checksum)
