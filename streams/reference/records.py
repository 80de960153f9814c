"""One record of the events topic, read plainly: an event, an erasure, or no good event."""

import base64
import datetime
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kafka.partitioner.default import murmur2

Headers = Sequence[tuple[str, bytes | None]]

MAX_ID_CHARS = 256
MAX_VALUE_BYTES = 65_536
#: Years 2000 to 2100, milliseconds.
EARLIEST_MS, LATEST_MS = 946_684_800_000, 4_102_444_800_000
FUTURE_MS = 300_000
MAX_PAGE = 2**31 - 1
MAX_PRICE = 1e12

_REQUIRED = ("event_id", "user_id", "item_id", "event_type", "event_time_ms")
_TEXTS = ("event_id", "user_id", "item_id", "event_type", "category_id", "trigger_item_id")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SURROGATE = re.compile("[\ud800-\udfff]")


class NotGoodError(Exception):
    """The record is no good event: it belongs to the dead letters."""


@dataclass(frozen=True)
class Event:
    """One behavior.

    Attributes:
        event_id: Its identity.
        item: Item id as sent.
        category: Category id as sent, None without one.
        event_type: Its type.
        time_ms: When.
    """

    event_id: str
    item: str
    category: str | None
    event_type: str
    time_ms: int


def id_bits(text: str) -> int:
    """Return the 64 bits of an id: a decimal below 2**63 is itself, all else a marked hash."""
    if text.isascii() and text.isdigit() and text[0] != "0" and len(text) <= 19:
        number = int(text)
        if number < 1 << 63:
            return number
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") | 1 << 63


def partition_of(key: bytes, n_partitions: int) -> int:
    """Return the partition that Kafka's default partitioner chooses, by kafka-python's hash."""
    return int((murmur2(key) & 0x7FFFFFFF) % n_partitions)


def user_of(key: bytes | None) -> str:
    """Return the user that a key names.

    Raises:
        NotGoodError: It names none.
    """
    if not key:
        raise NotGoodError("no key")
    try:
        user = key.decode()
    except UnicodeDecodeError as error:
        raise NotGoodError("key not UTF-8") from error
    if len(user) > MAX_ID_CHARS:
        raise NotGoodError("key too long")
    return user


def event_of(
    user: str, value: bytes, headers: Headers, append_time_ms: int, event_types: Sequence[str]
) -> Event:
    """Return the event of a record whose key names ``user``.

    Raises:
        NotGoodError: It is none.
    """
    if len(value) > MAX_VALUE_BYTES:
        raise NotGoodError("too large")
    fields = _object(value, headers)
    _check(fields)
    if fields["user_id"] != user:
        raise NotGoodError("key of another user")
    if fields["event_type"] not in event_types:
        raise NotGoodError("unknown type")
    if fields["event_time_ms"] > append_time_ms + FUTURE_MS:
        raise NotGoodError("in the future")
    return Event(
        fields["event_id"],
        fields["item_id"],
        fields.get("category_id"),
        fields["event_type"],
        int(fields["event_time_ms"]),
    )


def _object(value: bytes, headers: Headers) -> dict[str, Any]:
    """Return the fields of a plain event, or of the CloudEvent around it."""
    named = {name.lower(): content or b"" for name, content in headers or ()}
    content_type = named.get("content-type", b"").lower()
    if content_type.startswith(b"application/cloudevents-batch"):
        raise NotGoodError("a batch")
    if "ce_specversion" in named:
        attributes = {
            name[3:]: _text(content or b"") for name, content in headers if name.startswith("ce_")
        }
        return _from_cloud_event(attributes, _parsed(value))
    fields = _parsed(value)
    structured = content_type.startswith(b"application/cloudevents") or (
        isinstance(fields, dict) and "specversion" in fields
    )
    if not structured:
        return _as_object(fields)
    fields = _as_object(fields)
    if "data" in fields:
        return _from_cloud_event(fields, fields["data"])
    try:
        data = base64.b64decode(fields["data_base64"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise NotGoodError("no data") from error
    return _from_cloud_event(fields, _parsed(data))


def _from_cloud_event(attributes: dict[str, Any], data: Any) -> dict[str, Any]:
    """Fill what the data leaves to the attributes."""
    for name in ("specversion", "id", "source", "type"):
        if not isinstance(attributes.get(name), str):
            raise NotGoodError(f"attribute {name}")
    if attributes["specversion"] != "1.0":
        raise NotGoodError("another version of CloudEvents")
    fields = dict(_as_object(data))
    fields.setdefault("event_id", attributes["id"])
    fields.setdefault("event_type", attributes["type"].rpartition(".")[2])
    partition_key = attributes.get("partitionkey")
    if partition_key is not None:
        if not isinstance(partition_key, str):
            raise NotGoodError("attribute partitionkey")
        fields.setdefault("user_id", partition_key)
    if attributes.get("time") is not None:
        told = _milliseconds(attributes["time"])
        if "event_time_ms" not in fields:
            if told is None:
                raise NotGoodError("attribute time without zone")
            fields["event_time_ms"] = told
    return fields


def _milliseconds(time: Any) -> int | None:
    """Return an RFC 3339 time, None when it has no zone."""
    try:
        moment = datetime.datetime.fromisoformat(time)
    except (TypeError, ValueError) as error:
        raise NotGoodError("attribute time") from error
    if moment.tzinfo is None:
        return None
    return (moment - _EPOCH) // datetime.timedelta(milliseconds=1)


def _check(fields: dict[str, Any]) -> None:
    """Hold the fields against the contract of an event."""
    for name in _REQUIRED:
        if fields.get(name) is None:
            raise NotGoodError(f"no {name}")
    for name in _TEXTS:
        text = fields.get(name)
        if text is not None and not (isinstance(text, str) and 0 < len(text) <= MAX_ID_CHARS):
            raise NotGoodError(name)
        if text is not None and _SURROGATE.search(text):
            raise NotGoodError(f"{name} is no text")
    _check_number(fields, "event_time_ms", EARLIEST_MS, LATEST_MS, whole=True)
    _check_number(fields, "page", 0, MAX_PAGE, whole=True)
    _check_number(fields, "price", 0, MAX_PRICE, whole=False)


def _check_number(
    fields: dict[str, Any], name: str, least: float, most: float, whole: bool
) -> None:
    number = fields.get(name)
    if number is None:
        return
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise NotGoodError(name)
    if not least <= number <= most or (whole and number != int(number)):
        raise NotGoodError(name)


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise NotGoodError("header not UTF-8") from error


def _parsed(value: bytes) -> Any:
    """Return the JSON of a value; what RFC 8259 does not know (NaN) is none."""
    try:
        return json.loads(value.decode(), parse_constant=_refused)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise NotGoodError("not JSON") from error


def _refused(name: str) -> float:
    raise ValueError(name)


def _as_object(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise NotGoodError("not an object")
    return found
