"""CloudEvents 1.0 on Kafka, binary and structured mode, unwrapped to a plain behavior event.

=================  =====================================================================
event field        taken from the data, and if it is not there, from the attribute
=================  =====================================================================
``event_id``       ``id``
``event_type``     ``type``, its part after the last dot (``com.shop.click`` -> ``click``)
``event_time_ms``  ``time`` (RFC 3339)
``user_id``        ``partitionkey`` (the partitioning extension)
=================  =====================================================================

Every other field comes from the data, a JSON object; the attributes ``source``, ``subject`` and
``dataschema`` are not used. Binary mode: attributes are headers ``ce_*``, the value is the data.
Structured mode: the value is one JSON object with the attributes and ``data``, or ``data_base64``.
"""

import datetime

import msgspec

from interest_center.core.events import Headers

SPEC_VERSION = "1.0"
HEADER_PREFIX = "ce_"
BATCH_CONTENT_TYPE = b"application/cloudevents-batch+json"
CONTENT_TYPE = "content-type"
_MARK = b'"specversion"'
_PROBE = msgspec.json.Decoder(dict[str, msgspec.Raw])


class CloudEventError(Exception):
    """A record says that it is a CloudEvent and is not a good one; the message names the field."""


class Attributes(msgspec.Struct, frozen=True):
    """The attributes that matter to us; required ones are required by the specification."""

    specversion: str
    id: str
    source: str
    type: str
    time: datetime.datetime | None = None
    partitionkey: str | None = None


class StructuredEvent(Attributes, frozen=True):
    """A whole CloudEvent in structured mode; ``data`` without bytes is one that is not there."""

    data: msgspec.Raw = msgspec.Raw()
    data_base64: bytes | None = None


def is_cloud_event(headers: Headers, value: bytes) -> bool:
    """Tell a CloudEvent from a plain event; cheap, it runs for every record.

    Raises:
        msgspec.DecodeError: The value names ``specversion`` and is not JSON.
    """
    if headers:
        for name, content in headers:
            if name == HEADER_PREFIX + "specversion" or _is_cloud_media_type(name, content):
                return True
    # The mark may be the text of an id as well; only a field of the object itself counts.
    return _MARK in value and "specversion" in _PROBE.decode(value)


def _is_cloud_media_type(name: str, content: bytes | None) -> bool:
    """Tell whether a header says that the value is a CloudEvent; Kafka allows null headers."""
    return (
        content is not None
        and name.lower() == CONTENT_TYPE
        and content.lower().startswith(b"application/cloudevents")
    )


def unwrap(headers: Headers, value: bytes) -> bytes:
    """Return the plain JSON event of a CloudEvent.

    Raises:
        CloudEventError: An attribute is missing or wrong, or there is no data.
        msgspec.DecodeError: The value is not JSON.
    """
    names = {name.lower(): content or b"" for name, content in headers or ()}
    if names.get(CONTENT_TYPE, b"").lower().startswith(BATCH_CONTENT_TYPE):
        raise CloudEventError("batched mode is not for Kafka; send one event a record")
    if HEADER_PREFIX + "specversion" in names:
        attributes, data = _attributes_of_headers(headers), value
    else:
        attributes, data = _structured(value)
    if attributes.specversion != SPEC_VERSION:
        raise CloudEventError(
            f"attribute specversion is {attributes.specversion!r}; send {SPEC_VERSION}"
        )
    return _merge(attributes, data)


def _attributes_of_headers(headers: Headers) -> Attributes:
    """Read the attributes of binary mode."""
    found: dict[str, str] = {}
    for name, content in headers:
        if name.startswith(HEADER_PREFIX):
            try:
                found[name[len(HEADER_PREFIX) :]] = (content or b"").decode()
            except UnicodeDecodeError as error:
                raise CloudEventError(f"header {name} is not UTF-8; send text") from error
    try:
        return msgspec.convert(found, Attributes)
    except msgspec.ValidationError as error:
        raise CloudEventError(
            f"headers ce_*: {error}; see the CloudEvents Kafka binding"
        ) from error


def _structured(value: bytes) -> tuple[Attributes, bytes]:
    """Read attributes and data of structured mode."""
    try:
        event = msgspec.json.decode(value, type=StructuredEvent)
    except msgspec.ValidationError as error:
        raise CloudEventError(
            f"structured mode: {error}; see the CloudEvents JSON format"
        ) from error
    data = bytes(event.data)
    if data:
        return event, data
    if event.data_base64 is not None:
        return event, event.data_base64
    raise CloudEventError("attribute data is missing; put the event's fields there")


def _merge(attributes: Attributes, data: bytes) -> bytes:
    """Fill the fields that the data leaves to the attributes."""
    try:
        # Raw values: whatever else the data holds passes through unread, as in a plain event.
        fields = _PROBE.decode(data)
    except msgspec.ValidationError as error:
        raise CloudEventError(
            "the data is not a JSON object; put the event's fields there"
        ) from error
    _fill(fields, "event_id", attributes.id)
    _fill(fields, "event_type", attributes.type.rpartition(".")[2])
    if attributes.partitionkey is not None:
        _fill(fields, "user_id", attributes.partitionkey)
    if attributes.time is not None and "event_time_ms" not in fields:
        if attributes.time.tzinfo is None:
            raise CloudEventError("attribute time has no zone; send RFC 3339 with Z or an offset")
        since = attributes.time - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        _fill(fields, "event_time_ms", since // datetime.timedelta(milliseconds=1))
    return msgspec.json.encode(fields)


def _fill(fields: dict[str, msgspec.Raw], name: str, value: str | int) -> None:
    """Set a field that the data does not hold."""
    if name not in fields:
        fields[name] = msgspec.Raw(msgspec.json.encode(value))
