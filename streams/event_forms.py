"""An event as it goes into Kafka: plain JSON, or a CloudEvent in binary or structured mode."""

import datetime
from collections.abc import Callable
from typing import Any

import msgspec

from interest_center.core.events import BehaviorEvent

SOURCE = "/uic/produce"
TYPE_PREFIX = "interest-center.behavior."

Form = tuple[bytes, list[tuple[str, bytes]]]

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def plain(event: BehaviorEvent) -> Form:
    """Return the event as one flat JSON object."""
    return msgspec.json.encode(event), []


def cloud_event_binary(event: BehaviorEvent) -> Form:
    """Return the event with id, type and time in ``ce_`` headers and the rest as value."""
    attributes, data = _split(event)
    headers = [("ce_" + name, text.encode()) for name, text in attributes.items()]
    return msgspec.json.encode(data), [*headers, ("content-type", b"application/json")]


def cloud_event_structured(event: BehaviorEvent) -> Form:
    """Return the event as one JSON object with attributes and ``data``."""
    attributes, data = _split(event)
    whole = {**attributes, "datacontenttype": "application/json", "data": data}
    return msgspec.json.encode(whole), [
        ("content-type", b"application/cloudevents+json; charset=UTF-8")
    ]


FORMS: dict[str, Callable[[BehaviorEvent], Form]] = {
    "plain": plain,
    "cloudevents-binary": cloud_event_binary,
    "cloudevents-structured": cloud_event_structured,
}


def _split(event: BehaviorEvent) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the attributes of a CloudEvent and what is left for its data."""
    data: dict[str, Any] = msgspec.to_builtins(event)
    time = _EPOCH + datetime.timedelta(milliseconds=data.pop("event_time_ms"))
    attributes = {
        "specversion": "1.0",
        "id": data.pop("event_id"),
        "source": SOURCE,
        "type": TYPE_PREFIX + event.event_type,
        "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    # The type is read from behind the last dot.
    if "." not in event.event_type:
        del data["event_type"]
    return attributes, data
