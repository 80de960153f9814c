"""Reads ranking requests, JSON or MessagePack, and checks them strictly.

A wrong request is refused with the dotted path of the field that is wrong; nothing is converted,
guessed or ignored: an unknown field is an error too, because it is most often a misspelt one.
"""

import json
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any, NoReturn, TypeVar

import msgspec

from interest_center.core.errors import BadRequestError
from interest_center.core.messages import MSGPACK_MEDIA_TYPE
from ranking.messages import (
    MAX_CANDIDATES,
    MAX_EXPLAINED,
    BatchRequest,
    Candidate,
    RankRequest,
    RequestEvent,
)

JSON_MEDIA_TYPE = "application/json"
MAX_BODY_BYTES = 4 << 20
#: A NaN is looked for in bodies up to here: the search keeps the event loop from all else.
MAX_SEARCHED_BYTES = 64 << 10

BODY_FIELD = "body"

Message = TypeVar("Message")
# msgspec ends a message with the place; a missing or unknown field it names in the message.
_PLACE = re.compile(r" - at `(?:key in )?\$\.?(.*)`\Z")
_NAMED_FIELD = re.compile(r"(?:missing required field|contains unknown field) `(.*)`\Z", re.DOTALL)


def decode_request(body: bytes, media_type: str = JSON_MEDIA_TYPE) -> RankRequest:
    """Read and check a request.

    Args:
        body: As it came.
        media_type: What it is written in.

    Raises:
        BadRequestError: It is wrong; the error names the field.
    """
    request = decode_message(body, media_type, RankRequest)
    check_request(request)
    return request


def decode_batch(body: bytes, media_type: str = JSON_MEDIA_TYPE) -> list[RankRequest]:
    """Read and check a batch of requests.

    Raises:
        BadRequestError: One is wrong; the error names the field, ``requests[3].page`` for example.
    """
    requests = decode_message(body, media_type, BatchRequest).requests
    for number, request in enumerate(requests):
        try:
            check_request(request)
            if request.explain:
                raise BadRequestError("explanations are made one by one, by /v1/rank", "explain")
        except BadRequestError as error:
            raise in_batch(number, error) from error
    return requests


def in_batch(number: int, error: BadRequestError) -> BadRequestError:
    """Return the error of one request of a batch, its field named within the batch."""
    return BadRequestError(error.message, f"requests[{number}].{error.field}")


def decode_message(body: bytes, media_type: str, kind: type[Message]) -> Message:
    """Read a message whose fields are right one by one.

    Raises:
        BadRequestError: It is wrong; the error names the field.
    """
    if len(body) > MAX_BODY_BYTES:
        raise BadRequestError(f"a request has at most {MAX_BODY_BYTES} bytes", BODY_FIELD)
    try:
        message: Message = _decoder(media_type, kind).decode(body)  # type: ignore[arg-type]
    except msgspec.ValidationError as error:
        raise refusal(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if media_type == JSON_MEDIA_TYPE:
            refuse_malformed(body, error)
        raise BadRequestError(f"not valid messagepack: {str(error).lower()}", BODY_FIELD) from error
    return message


def check_request(request: RankRequest) -> None:
    """Refuse what no single field can tell.

    Raises:
        BadRequestError: It is wrong; the error names the field.
    """
    check_candidates(request.candidates)
    check_events(request.events)
    if request.reserve is not None:
        check_finite(request.reserve, "reserve")
    if request.reserve is not None and request.candidates[0].bid is None:
        raise BadRequestError("a reserve is a score with bids; no candidate has one", "reserve")
    n_returned = min(request.top_k or MAX_CANDIDATES, len(request.candidates))
    if request.explain and n_returned > MAX_EXPLAINED:
        raise BadRequestError(
            f"at most {MAX_EXPLAINED} items are explained, {n_returned} would be returned", "top_k"
        )


@cache
def _decoder(media_type: str, kind: type) -> Any:
    """Return what reads a kind of message."""
    packed = media_type == MSGPACK_MEDIA_TYPE
    return (msgspec.msgpack.Decoder if packed else msgspec.json.Decoder)(kind)


def refusal(text: str) -> BadRequestError:
    """Turn what msgspec says into a short fact and a dotted path."""
    place = _PLACE.search(text)
    path = place.group(1) if place else ""
    fact = text[: place.start()] if place else text
    named = _NAMED_FIELD.search(fact)
    if named:
        path = f"{path}.{named.group(1)}" if path else named.group(1)
        fact = "required, but missing" if "missing" in fact else "not a field of the request"
    return BadRequestError(fact.replace("`", "").lower(), path[:200] or BODY_FIELD)


def refuse_malformed(body: bytes, error: Exception) -> NoReturn:
    """Refuse what is not JSON; a NaN or an infinity, which some clients write, by its field.

    In a body longer than ``MAX_SEARCHED_BYTES`` the field is not looked for.

    Raises:
        BadRequestError: Always.
    """
    place = None
    if len(body) <= MAX_SEARCHED_BYTES:
        with suppress(ValueError, RecursionError):
            place = next(not_finite(json.loads(body)), None)
    if place:
        raise BadRequestError("expected a finite number", place) from error
    reason = str(error).removeprefix("JSON is malformed: ")
    raise BadRequestError(f"not valid json: {reason.lower()}", BODY_FIELD) from error


def not_finite(value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of the numbers that JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        yield path or BODY_FIELD
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from not_finite(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from not_finite(inner, f"{path}[{index}]")


def check_candidates(candidates: list[Candidate]) -> None:
    """Refuse an item that is given twice, and bids that only some candidates have."""
    wants_bids = candidates[0].bid is not None
    seen: dict[str, int] = {}
    for index, candidate in enumerate(candidates):
        first = seen.setdefault(candidate.item_id, index)
        if first != index:
            raise BadRequestError(
                f"the same item as candidates[{first}]", f"candidates[{index}].item_id"
            )
        if (candidate.bid is not None) != wants_bids:
            raise BadRequestError(
                "either every candidate has a bid or none has", f"candidates[{index}].bid"
            )
        if candidate.bid is not None:
            check_finite(candidate.bid, f"candidates[{index}].bid")


def check_events(events: list[RequestEvent]) -> None:
    """Refuse events that are not oldest first: the models read them in the order given."""
    for index in range(1, len(events)):
        if events[index].event_time_ms < events[index - 1].event_time_ms:
            raise BadRequestError(
                "earlier than the event before it; events are given oldest first",
                f"events[{index}].event_time_ms",
            )


def check_finite(value: float, field: str) -> None:
    """Refuse what JSON cannot say, and MessagePack can."""
    if not math.isfinite(value):
        raise BadRequestError("expected a finite number", field)
