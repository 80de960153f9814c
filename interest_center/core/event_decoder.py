"""Kafka records to columns: every record becomes an event, an erasure or a dead letter."""

import re
from dataclasses import dataclass
from functools import lru_cache

import msgspec
import numpy as np

from interest_center.core.cloud_events import CloudEventError, is_cloud_event, unwrap
from interest_center.core.events import (
    MAX_ID_CHARS,
    OP_ERASE,
    OP_EVENT,
    BehaviorEvent,
    ConsumedRecord,
    DeadLetter,
    EventBatch,
    EventRules,
    hash_event_id,
    record_checksum,
)
from interest_center.core.ids import TOP_BIT, encode_id, is_hashed, partition_of
from interest_center.core.packed_records import PackedRecords
from interest_center.core.plain_events import PlainRows, PlainRules, new_rows, new_work, read_plain

CACHED_IDS = 1 << 17

_FIELD = re.compile(r"`\$\.?([^`]*)`$")
_MISSING = re.compile(r"missing required field `([^`]+)`")
_ID_FIELDS = frozenset(
    {"event_id", "user_id", "item_id", "category_id", "trigger_item_id", "event_type"}
)
_INTEGER_FIELDS = frozenset({"event_time_ms", "page"})
_RECORD_DECODER = msgspec.json.Decoder(BehaviorEvent)
_FIELDS_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])


class BadEventError(Exception):
    """A record is not a good event.

    Args:
        reason: Short code of the dead letter.
        detail: Sentence that names the field, what is wrong with it, and what to do.
        field: The field, empty when it is the whole record.
    """

    def __init__(self, reason: str, detail: str, field: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.field = field


@dataclass(frozen=True)
class Sender:
    """What the key of a record says: the user, and the partition where that user belongs."""

    user_id: str
    user: int
    partition: int


class EventDecoder:
    """Decodes runs of records of the events topic.

    Any bytes of a key, value or header give an event, an erasure or a dead letter; nothing raises.
    Plain events are read by compiled loops (``plain_events.py``), all others one by one here.

    Args:
        rules: What a good event is.
    """

    def __init__(self, rules: EventRules) -> None:
        self._rules = rules
        self._type_codes = {name: code for code, name in enumerate(rules.event_types, start=1)}
        self._encode_id = lru_cache(CACHED_IDS)(encode_id)
        self._sender = lru_cache(CACHED_IDS)(self._read_key)
        names = [name.encode() for name in rules.event_types]
        self._plain = PlainRules(
            partition=0,
            n_partitions=rules.n_partitions,
            type_bytes=np.frombuffer(b"".join(names), np.uint8),
            type_ends=np.cumsum([len(name) for name in names]),
            future_tolerance_ms=rules.future_tolerance_ms,
            max_event_bytes=rules.max_event_bytes,
        )

    def decode(
        self, partition: int, packed: PackedRecords, start_position: int, next_position: int
    ) -> EventBatch:
        """Decode a run of records of one partition, in offset order.

        Args:
            partition: Partition of the run.
            packed: Its records; may be none.
            start_position: Fetch position before the run.
            next_position: Fetch position after it.
        """
        n = len(packed)
        rows = new_rows(n)
        read_plain(packed.numbers, packed.places, self._plain_rules(partition), new_work(), rows)
        texts = _texts_of(packed, rows)
        dead_letters: list[DeadLetter] = []
        is_good = rows.is_plain.copy()
        for number in np.flatnonzero(~rows.is_plain).tolist():
            record = packed.record(number)
            try:
                rows.events[number] = self._row(partition, record, texts)
                is_good[number] = True
            except BadEventError as bad:
                dead_letters.append(self._dead_letter(partition, record, bad))
        last_record = None
        if n:
            last = packed.record(n - 1)
            last_record = (last.offset, record_checksum(last.key, last.value, last.timestamp))
        return EventBatch(
            partition=partition,
            start_position=start_position,
            next_position=next_position,
            n_records=n,
            events=rows.events[is_good] if dead_letters else rows.events,
            texts=texts,
            dead_letters=dead_letters,
            last_record=last_record,
        )

    def _plain_rules(self, partition: int) -> PlainRules:
        return self._plain._replace(partition=partition)

    def decode_record(
        self, partition: int, record: ConsumedRecord
    ) -> tuple[Sender, BehaviorEvent | None]:
        """Return who did what by one record of a partition; None is an erasure.

        Raises:
            BadEventError: It is neither an event nor an erasure.
        """
        sender = self._sender(record.key)
        if sender.partition != partition:
            raise BadEventError(
                "wrong_partition",
                f"the key {sender.user_id!r} belongs to partition {sender.partition} of "
                f"{self._rules.n_partitions} and came in {partition}; partition by murmur2 of the "
                "key (librdkafka clients: partitioner=murmur2_random) and let no sender choose",
            )
        if record.value is None:
            return sender, None
        event = self._event(record)
        if event.user_id != sender.user_id:
            raise BadEventError(
                "key_mismatch",
                f"user_id is {event.user_id!r} and the record's key {sender.user_id!r}; "
                "send the user_id as key",
            )
        if event.event_type not in self._type_codes:
            raise BadEventError(
                "unknown_event_type",
                f"event_type {event.event_type!r} is none of {list(self._type_codes)}; correct it "
                "or add it to the state configuration",
            )
        if event.event_time_ms > record.timestamp + self._rules.future_tolerance_ms:
            raise BadEventError(
                "in_the_future",
                f"event_time_ms {event.event_time_ms} is more than "
                f"{self._rules.future_tolerance_ms} ms after the append time {record.timestamp}; "
                "set the sender's clock, send milliseconds since 1970 UTC",
            )
        return sender, event

    def _row(
        self, partition: int, record: ConsumedRecord, texts: dict[int, str]
    ) -> tuple[int, ...]:
        """Return the columns of one record, in the order of ``EVENT_DTYPE``."""
        sender, event = self.decode_record(partition, record)
        at = (record.offset, record.timestamp)
        if event is None:
            return (*at, 0, sender.user, 0, 0, 0, 0, OP_ERASE)
        item = self._id(event.item_id, texts)
        category = 0 if event.category_id is None else self._id(event.category_id, texts)
        identity, code = hash_event_id(event.event_id), self._type_codes[event.event_type]
        return (*at, event.event_time_ms, sender.user, item, category, identity, code, OP_EVENT)

    def _event(self, record: ConsumedRecord) -> BehaviorEvent:
        """Decode the value of a record in whichever of the three forms it came."""
        value = record.value
        assert value is not None
        if len(value) > self._rules.max_event_bytes:
            raise BadEventError(
                "too_large",
                f"the value has {len(value)} bytes, at most {self._rules.max_event_bytes} are "
                "allowed; send the event's fields only",
            )
        try:
            if not value.isascii():
                value.decode()
            if is_cloud_event(record.headers, value):
                value = unwrap(record.headers, value)
            return decode_event(value)
        except CloudEventError as error:
            raise BadEventError("bad_cloud_event", str(error)) from error
        except UnicodeError as error:
            raise BadEventError(
                "not_utf8", f"the value is not UTF-8 ({error}); send JSON in UTF-8"
            ) from error
        except RecursionError as error:
            raise BadEventError(
                "too_deep", "the value is nested too deeply; an event is one flat object"
            ) from error
        except msgspec.ValidationError as error:
            raise explain_invalid(str(error)) from error
        except msgspec.DecodeError as error:
            raise BadEventError(
                "not_json", f"the value is not JSON ({error}); send one JSON object"
            ) from error

    def _id(self, text: str, texts: dict[int, str]) -> int:
        """Return the 64 bits of an id; remember its text when they do not say it."""
        identifier = self._encode_id(text)
        if is_hashed(identifier):
            texts[identifier] = text
        return identifier

    def _read_key(self, key: bytes | None) -> Sender:
        """Return whom a record's key names."""
        if not key:
            raise BadEventError("key_missing", "the record has no key; send the user_id as key")
        try:
            user_id = key.decode()
        except UnicodeDecodeError as error:
            raise BadEventError(
                "key_not_utf8",
                f"the record's key is not UTF-8 ({error}); send the user_id as key, in UTF-8",
            ) from error
        if len(user_id) > MAX_ID_CHARS:
            raise BadEventError(
                "id_too_long",
                f"the record's key has {len(user_id)} characters, at most {MAX_ID_CHARS} are "
                "allowed; send the user_id as key",
            )
        return Sender(user_id, encode_id(user_id), partition_of(key, self._rules.n_partitions))

    def _dead_letter(
        self, partition: int, record: ConsumedRecord, bad: BadEventError
    ) -> DeadLetter:
        return DeadLetter(
            topic=self._rules.topic,
            partition=partition,
            offset=record.offset,
            append_time_ms=record.timestamp,
            reason=bad.reason,
            detail=bad.detail,
            key=record.key,
            value=record.value,
            headers=tuple(record.headers or ()),
        )


def _texts_of(packed: PackedRecords, rows: PlainRows) -> dict[int, str]:
    """Return the texts of the hashed item and category ids of plain rows."""
    texts = {}
    for column, at in (("item", 0), ("category", 2)):
        hashed = np.flatnonzero(rows.is_plain & (rows.events[column] >= np.uint64(TOP_BIT)))
        ids, first = np.unique(rows.events[column][hashed], return_index=True)
        spans = rows.texts[hashed[first], at : at + 2].tolist()
        for identifier, (start, end) in zip(ids.tolist(), spans, strict=True):
            texts[identifier] = packed.data[start:end].decode("ascii")
    return texts


def decode_event(value: bytes) -> BehaviorEvent:
    """Decode a plain JSON event.

    Raises:
        msgspec.ValidationError: A field is missing or wrong.
        msgspec.DecodeError: The value is not JSON.
        RecursionError: It is nested too deeply.
    """
    try:
        return _RECORD_DECODER.decode(value)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
        return msgspec.convert(_whole_numbers(value), BehaviorEvent)


def _whole_numbers(value: bytes) -> dict[str, object]:
    """Read numbers like 1.0 as the integers they are, which JSON does not tell apart."""
    fields: dict[str, object] = {}
    for name, raw in _FIELDS_DECODER.decode(value).items():
        if name in BehaviorEvent.__struct_fields__:
            content: object = msgspec.json.decode(raw)
            whole = name in _INTEGER_FIELDS and isinstance(content, float) and content.is_integer()
            fields[name] = int(content) if whole else content  # type: ignore[call-overload]
    return fields


def explain_invalid(message: str) -> BadEventError:
    """Turn msgspec's message into a reason that names the field and says what to do."""
    missing = _MISSING.search(message)
    if missing:
        return BadEventError("missing_field", f"field {missing[1]} is missing; add it", missing[1])
    found = _FIELD.search(message)
    field = found[1] if found else ""
    what = message.split(" - at ")[0].replace("`", "")
    if not field:
        return BadEventError("not_an_object", f"the value is not an object ({what}); send one")
    detail = f"field {field}: {what[0].lower()}{what[1:]}"
    if "got" in what:
        return BadEventError("wrong_type", f"{detail}; send the type that the schema names", field)
    if field in _ID_FIELDS:
        if "length >=" in what:
            return BadEventError(
                "empty_id", f"{detail}; leave out a field that has no value", field
            )
        return BadEventError("id_too_long", f"{detail}; shorten or hash it", field)
    if field == "event_time_ms":
        return BadEventError(
            "time_out_of_range",
            f"{detail}; send milliseconds since 1970 UTC, years 2000 to 2100",
            field,
        )
    reason = {"page": "bad_page", "price": "bad_price"}.get(field, "wrong_type")
    return BadEventError(reason, f"{detail}; correct it or leave it out", field)
