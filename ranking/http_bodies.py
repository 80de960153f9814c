"""Bodies of the ranking worker's HTTP, in and out: JSON or MessagePack; and the trace passed on."""

import asyncio
import re
from typing import Any

import msgspec
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException

from interest_center import metrics
from interest_center.core.messages import MSGPACK_MEDIA_TYPE
from ranking.request_reading import JSON_MEDIA_TYPE

AnyRequest = Request[Any, Any, Any]

BODY_SECONDS = 10.0
MEDIA_TYPES = (JSON_MEDIA_TYPE, MSGPACK_MEDIA_TYPE)

_ENCODER = msgspec.json.Encoder()
_PACKER = msgspec.msgpack.Encoder()
#: Version, trace, parent and flags of W3C's Trace Context.
_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")


async def body_of(request: AnyRequest) -> tuple[str, bytes]:
    """Receive the body of a request; return its media type too.

    Raises:
        HTTPException: It says that it is of another type, or it comes too slowly.
    """
    given = request.headers.get("content-type", JSON_MEDIA_TYPE)
    media_type = given.partition(";")[0].strip().lower()
    try:
        if media_type not in MEDIA_TYPES:
            raise HTTPException(
                status_code=415, detail=f"expected {' or '.join(MEDIA_TYPES)}, got {given}"
            )
        return media_type, await _in_time(request)
    except HTTPException:
        metrics.RANK_REQUESTS.labels("bad_request").inc()
        raise


async def _in_time(request: AnyRequest) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.body()
    except TimeoutError as error:
        raise HTTPException(
            status_code=408, detail=f"the body took longer than {BODY_SECONDS:.0f} s"
        ) from error


def encoded(request: AnyRequest, answer: msgspec.Struct) -> Response[bytes]:
    """Write an answer as asked for by ``accept``, else as the request was written."""
    wanted = request.headers.get("accept", "")
    written = request.headers.get("content-type", JSON_MEDIA_TYPE)
    packed = MSGPACK_MEDIA_TYPE in wanted or (
        MSGPACK_MEDIA_TYPE in written and JSON_MEDIA_TYPE not in wanted
    )
    if packed:
        return Response(_PACKER.encode(answer), media_type=MSGPACK_MEDIA_TYPE)
    return Response(_ENCODER.encode(answer), media_type=MediaType.JSON)


def trace_of(request: AnyRequest) -> dict[str, str]:
    """Return the headers of W3C's Trace Context that are well formed."""
    parent = request.headers.get("traceparent", "")
    if not _TRACE_PARENT.match(parent):
        return {}
    state = request.headers.get("tracestate")
    return {"traceparent": parent} | ({"tracestate": state} if state else {})
