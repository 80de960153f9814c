"""Ranking requests, good and wrong; the wrong ones with the field that is named."""

import json

from ranking.messages import MAX_CANDIDATES
from ranking.request_reading import MAX_BODY_BYTES

TIME_MS = 1_764_000_000_000


def request_with(**changes: object) -> bytes:
    """Return a good request with some fields changed."""
    good = {"user_id": "u1", "candidates": [{"item_id": "1"}, {"item_id": "2"}]}
    return json.dumps(good | changes).encode()


def event_with(**changes: object) -> dict[str, object]:
    """Return a good event of a request with some fields changed."""
    return {"item_id": "1", "event_time_ms": TIME_MS} | changes


#: Body and wrong field of each.
MALFORMED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "body"),
    "not json": (b"user_id=u1", "body"),
    "cut off": (request_with()[:-3], "body"),
    "something behind it": (request_with() + b"{}", "body"),
    "not utf-8": (b'{"user_id": "\xff\xfe", "candidates": []}', "body"),
    "byte order mark": (b"\xef\xbb\xbf" + request_with(), "body"),
    "lone surrogate": (request_with().replace(b'"u1"', b'"\\ud800"'), "body"),
    "control character": (request_with().replace(b"u1", b"u\n1"), "body"),
    "array": (b"[]", "body"),
    "null": (b"null", "body"),
    "number": (b"1", "body"),
    "deeply nested": (b"[" * 100_000, "body"),
    "deeply nested field": (b'{"user_id": ' + b"[" * 100_000, "user_id"),
    "too large": (b" " * MAX_BODY_BYTES + request_with(), "body"),
    "nothing in it": (b"{}", "user_id"),
    "no candidates": (b'{"user_id": "u1"}', "candidates"),
    "user a number": (request_with(user_id=7), "user_id"),
    "user null": (request_with(user_id=None), "user_id"),
    "user empty": (request_with(user_id=""), "user_id"),
    "user too long": (request_with(user_id="u" * 257), "user_id"),
    "misspelt field": (request_with(top_K=3), "top_K"),
    "candidates null": (request_with(candidates=None), "candidates"),
    "candidates empty": (request_with(candidates=[]), "candidates"),
    "candidates an object": (request_with(candidates={"item_id": "1"}), "candidates"),
    "candidates of ids": (request_with(candidates=["1", "2"]), "candidates[0]"),
    "too many candidates": (
        request_with(candidates=[{"item_id": str(i)} for i in range(MAX_CANDIDATES + 1)]),
        "candidates",
    ),
    "100,000 candidates": (
        request_with(candidates=[{"item_id": str(i)} for i in range(100_000)]),
        "candidates",
    ),
    "candidate without item": (
        request_with(candidates=[{"item_id": "1"}, {"category_id": "2"}]),
        "candidates[1].item_id",
    ),
    "item a number": (request_with(candidates=[{"item_id": 1}]), "candidates[0].item_id"),
    "item empty": (
        request_with(candidates=[{"item_id": "1"}, {"item_id": ""}]),
        "candidates[1].item_id",
    ),
    "item too long": (request_with(candidates=[{"item_id": "i" * 257}]), "candidates[0].item_id"),
    "item twice": (
        request_with(candidates=[{"item_id": "1"}, {"item_id": "2"}, {"item_id": "1"}]),
        "candidates[2].item_id",
    ),
    "category a number": (
        request_with(candidates=[{"item_id": "1", "category_id": 5}]),
        "candidates[0].category_id",
    ),
    "category empty": (
        request_with(candidates=[{"item_id": "1", "category_id": ""}]),
        "candidates[0].category_id",
    ),
    "unknown field of a candidate": (
        request_with(candidates=[{"item_id": "1", "price": 5}]),
        "candidates[0].price",
    ),
    "bid text": (request_with(candidates=[{"item_id": "1", "bid": "1"}]), "candidates[0].bid"),
    "bid negative": (request_with(candidates=[{"item_id": "1", "bid": -1}]), "candidates[0].bid"),
    "bid huge": (request_with(candidates=[{"item_id": "1", "bid": 1e300}]), "candidates[0].bid"),
    "bid out of range": (
        request_with(candidates=[{"item_id": "1", "bid": 0}]).replace(b'"bid": 0', b'"bid": 1e999'),
        "candidates[0].bid",
    ),
    "bid not a number": (
        request_with(candidates=[{"item_id": "1"}, {"item_id": "2", "bid": float("nan")}]),
        "candidates[1].bid",
    ),
    "bid infinite": (
        request_with(candidates=[{"item_id": "1", "bid": float("-inf")}]),
        "candidates[0].bid",
    ),
    "one bid missing": (
        request_with(candidates=[{"item_id": "1", "bid": 1}, {"item_id": "2"}]),
        "candidates[1].bid",
    ),
    "one bid too many": (
        request_with(candidates=[{"item_id": "1"}, {"item_id": "2", "bid": 1}]),
        "candidates[1].bid",
    ),
    "trigger a number": (request_with(trigger=1), "trigger"),
    "trigger empty": (request_with(trigger=""), "trigger"),
    "trigger without item": (request_with(trigger={}), "trigger.item_id"),
    "trigger of another type": (request_with(trigger={"item_id": []}), "trigger.item_id"),
    "page text": (request_with(page="1"), "page"),
    "page negative": (request_with(page=-1), "page"),
    "page a fraction": (request_with(page=1.5), "page"),
    "time in seconds": (request_with(time_ms=TIME_MS // 1000), "time_ms"),
    "time text": (request_with(time_ms="2026-01-01"), "time_ms"),
    "time true": (request_with(time_ms=True), "time_ms"),
    "top_k zero": (request_with(top_k=0), "top_k"),
    "top_k huge": (request_with(top_k=10**30), "top_k"),
    "events null": (request_with(events=None), "events"),
    "too many events": (request_with(events=[event_with()] * 1001), "events"),
    "event without time": (request_with(events=[{"item_id": "1"}]), "events[0].event_time_ms"),
    "event without item": (
        request_with(events=[{"event_time_ms": TIME_MS}]),
        "events[0].item_id",
    ),
    "event from the future of mankind": (
        request_with(events=[event_with(event_time_ms=10**15)]),
        "events[0].event_time_ms",
    ),
    "events newest first": (
        request_with(events=[event_with(), event_with(event_time_ms=TIME_MS - 1)]),
        "events[1].event_time_ms",
    ),
    "unknown field of an event": (
        request_with(events=[event_with(user_id="u1")]),
        "events[0].user_id",
    ),
}
