"""What schemathesis has to be told (SCHEMATHESIS_HOOKS): how MessagePack is written."""

import json
from typing import Any

import msgspec
import schemathesis


@schemathesis.serializer("application/msgpack")
def as_msgpack(_: Any, value: Any) -> bytes:
    """Return a body as MessagePack, whose whole numbers have 64 bits: larger ones are floats."""
    try:
        return msgspec.msgpack.encode(value)
    except OverflowError:
        return msgspec.msgpack.encode(json.loads(json.dumps(value), parse_int=float))
